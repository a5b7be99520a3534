//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// moderators has a private stream's key delegate to a broadcaster, two trusted relays and a moderator, who
// knows the relays only, and takes a viewer's invite back. Then one relay is revoked at the other.
func (b *bench) moderators(ctx context.Context) (string, error) {
	owner, err := b.streamOf(ctx, "owner")
	if err != nil {
		return "", err
	}
	var files []string
	for _, d := range []struct{ role, name, home string }{{"broadcast", "chair", "chair"}, {"moderator", "mod-1", "mod"}} {
		key, err := b.streamOf(ctx, d.home)
		if err != nil {
			return "", err
		}
		file, err := b.delegateBy(ctx, "owner", d.role, d.name, key)
		if err != nil {
			return "", err
		}
		files = append(files, file)
	}
	chairs, moderators := files[0], files[1]
	names := []string{"relay-1", "relay-2"}
	var words, listens, peers []string
	for _, name := range names {
		id, err := b.peerID(ctx, name)
		if err != nil {
			return "", err
		}
		word, err := b.delegateBy(ctx, "owner", "relay", name, id)
		if err != nil {
			return "", err
		}
		port, err := freeUDP()
		if err != nil {
			return "", err
		}
		listen := fmt.Sprintf("/ip4/127.0.0.1/udp/%d/quic-v1", port)
		words, listens, peers = append(words, word), append(listens, listen), append(peers, "--peer", listen+"/p2p/"+id)
	}
	broadcaster, err := b.broadcasterOf(ctx, nil, "chair", append(append([]string{"--private", "--delegation", chairs,
		"--trusted-relays", strings.Join(words, ",")}, peers...), anyLoopback...)...)
	if err != nil {
		return "", err
	}
	if broadcaster.Stream != owner {
		return "", fmt.Errorf("the stream is %s, want the owner's, %s", broadcaster.Stream, owner)
	}
	var relays, viewers []*node
	for i, name := range names {
		relay, err := b.grapevine(ctx, nil, name, nil, "relay", broadcaster.Link, "--listen", listens[i])
		if err != nil {
			return "", err
		}
		relays = append(relays, relay)
	}
	for _, name := range []string{"guest", "stays"} {
		link, err := b.invite(ctx, "chair", name, "--delegation", chairs)
		if err != nil {
			return "", err
		}
		viewer, err := b.grapevine(ctx, nil, name, nil, append([]string{"watch", link}, anyLoopback...)...)
		if err != nil {
			return "", err
		}
		viewers = append(viewers, viewer)
	}
	guest, stays := viewers[0], viewers[1]
	connected := func(n *node, peers int) error {
		bounded, cancel := context.WithTimeoutCause(ctx, 20*time.Second, errors.New("it has others"))
		defer cancel()
		_, err := n.await(bounded, fmt.Sprintf("%d peers", peers), func(s stats) bool { return s.stream().Peers == peers })
		return err
	}
	if err := connected(stays, len(relays)); err != nil {
		return "", err
	}
	player, err := b.ffmpeg(nil, stays.HLS, privateWatch)
	if err != nil {
		return "", err
	}

	moderator := []string{"--link", broadcaster.Link, "--delegation", moderators, "--home", filepath.Join(b.dir, "home-mod")}
	if err := b.refuseModerators(ctx, broadcaster, chairs, moderator); err != nil {
		return "", err
	}
	began := time.Now()
	listed, err := output(ctx, b.binary, append([]string{"invite", "list"}, moderator...)...)
	if err != nil {
		return "", err
	}
	answered := time.Since(began)
	for _, name := range []string{"guest", "stays"} {
		if !strings.Contains(listed, name) {
			return "", fmt.Errorf("the moderator is not told of %s: %s", name, listed)
		}
	}
	shut, err := b.shutOut(ctx, guest, moderator...)
	if err != nil {
		return "", err
	}
	key, err := b.streamOf(ctx, "mod")
	if err != nil {
		return "", err
	}
	kept, err := output(ctx, b.binary, "invite", "list", "--home", filepath.Join(b.dir, "home-chair"), "--delegation", chairs)
	if err != nil || !strings.Contains(kept, "by the moderator "+key) {
		return "", fmt.Errorf("the broadcaster does not know who took the invite back: %w: %s", err, kept)
	}

	if err := b.revokeBy(ctx, "owner", names[1], relays[0]); err != nil {
		return "", err
	}
	began = time.Now()
	for _, n := range []*node{stays, broadcaster} {
		if err := connected(n, 1); err != nil {
			return "", fmt.Errorf("a relay was revoked: %w", err)
		}
	}
	left := time.Since(began)
	frames, err := player.perfect(ctx, privateWatch*frameRate)
	if err != nil {
		return "", fmt.Errorf("the viewer that stays: %w", err)
	}

	// Its own word has ended, too.
	if err := b.revokeBy(ctx, "owner", "mod-1", relays[0]); err != nil {
		return "", err
	}
	bounded, cancel := context.WithTimeoutCause(ctx, 20*time.Second, errors.New("a revoked moderator is answered"))
	defer cancel()
	for {
		out, err := output(bounded, b.binary, append([]string{"invite", "list"}, moderator...)...)
		if err != nil && strings.Contains(out, "This machine moderates the stream no more: its key has been revoked.") {
			break
		} else if err != nil {
			return "", fmt.Errorf("a revoked moderator: %w", err)
		}
		if err := settle(bounded, time.Second); err != nil { // a node looks every 2 s for what was imported
			return "", err
		}
	}
	return fmt.Sprintf("a moderator behind two trusted relays is told who is invited in %.1f s, and shuts a viewer out in %.0f s; all left a revoked relay in %.1f s, and who stays has %d of %d frames",
		answered.Seconds(), shut.Seconds(), left.Seconds(), frames, privateWatch*frameRate), nil
}

// refuseModerators has others ask than a moderator of the stream, and wants a sentence each time.
func (b *bench) refuseModerators(ctx context.Context, broadcaster *node, chairs string, moderator []string) error {
	for _, c := range []struct {
		who  string
		args []string
		want string
	}{
		{"the broadcaster", []string{"--link", broadcaster.Link, "--delegation", chairs, "--home", filepath.Join(b.dir, "home-chair")}, "is of the role broadcast, and this takes the role moderator."},
		{"a stranger", append(append([]string{}, moderator[:4]...), "--home", filepath.Join(b.dir, "home-stranger")), "The delegation is not for this machine's key"},
	} {
		out, err := output(ctx, b.binary, append([]string{"invite", "list"}, c.args...)...)
		if err == nil || !strings.Contains(out, c.want) {
			return fmt.Errorf("%s: want %q, got %v: %s", c.who, c.want, err, out)
		}
	}
	return nil
}
