//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// privateWatch is how many seconds of the private stream ffmpeg plays, over the time in which
// another viewer is shut out.
const privateWatch = 50

// privateTitle has at least patternSize bytes.
const privateTitle = "the board meets about the third quarter"

// privateCase has two viewers play a private stream by way of a trusted relay, looks for what
// they play in the relay's memory, files and packets, and takes one's invite back.
func privateCase(ctx context.Context, b *bench) (string, error) {
	port, err := freeUDP()
	if err != nil {
		return "", err
	}
	listen := fmt.Sprintf("/ip4/127.0.0.1/udp/%d/quic-v1", port)
	relayID, err := b.peerID(ctx, "relay")
	if err != nil {
		return "", err
	}
	broadcaster, err := b.broadcaster(ctx, nil, append([]string{"--private", "--title", privateTitle,
		"--trusted-relays", listen + "/p2p/" + relayID}, anyLoopback...)...)
	if err != nil {
		return "", err
	}
	relay, err := b.grapevine(ctx, nil, "relay", nil, "relay", broadcaster.Link, "--listen", listen, "--cache-dir", filepath.Join(b.dir, "cache-relay"))
	if err != nil {
		return "", err
	}
	var links, joins []string
	var viewers []*node
	for _, name := range []string{"guest", "stays"} {
		link, err := b.invite(ctx, name)
		if err != nil {
			return "", err
		}
		viewer, err := b.grapevine(ctx, nil, name, nil, append([]string{"watch", link}, anyLoopback...)...)
		if err != nil {
			return "", err
		}
		links, viewers = append(links, link), append(viewers, viewer)
		joins = append(joins, fmt.Sprintf("%.1f s", viewer.took.Seconds()))
	}
	guest, stays := viewers[0], viewers[1]
	hidden, err := b.hidden(ctx, relay, stays, port)
	if err != nil {
		return "", err
	}
	if err := b.refusals(ctx, links[0]); err != nil {
		return "", err
	}
	player, err := b.ffmpeg(nil, stays.HLS, privateWatch)
	if err != nil {
		return "", err
	}
	shut, err := b.shutOut(ctx, guest)
	if err != nil {
		return "", err
	}
	frames, err := player.perfect(ctx, privateWatch*frameRate)
	if err != nil {
		return "", fmt.Errorf("the viewer that stays: %w", err)
	}
	for _, n := range []*node{stays, broadcaster} {
		if peers := n.now().stream().Peers; peers != 1 {
			return "", fmt.Errorf("%s is connected to %d peers, want the trusted relay alone", n.name, peers)
		}
	}
	return fmt.Sprintf("two viewers ready after %s; %s; the one whose invite was taken back was shut out after %.0f s, the other has %d of %d frames",
		strings.Join(joins, " and "), hidden, shut.Seconds(), frames, privateWatch*frameRate), nil
}

// peerID makes a node's key, and returns its peer ID.
func (b *bench) peerID(ctx context.Context, name string) (string, error) {
	out, err := output(ctx, b.binary, "id", "--json", "--home", filepath.Join(b.dir, "home-"+name))
	if err != nil {
		return "", err
	}
	var id struct {
		PeerID string `json:"peer_id"`
	}
	err = json.Unmarshal([]byte(out), &id)
	return id.PeerID, err
}

// invite makes an invite for one viewer at the broadcaster's home, and returns its link.
func (b *bench) invite(ctx context.Context, name string) (string, error) {
	out, err := output(ctx, b.binary, "invite", "create", "--name", name, "--expires", "1h", "--json", "--home", filepath.Join(b.dir, "home-broadcaster"))
	if err != nil {
		return "", err
	}
	var made struct {
		Link string `json:"link"`
	}
	err = json.Unmarshal([]byte(out), &made)
	return made.Link, err
}

// hidden looks for what a viewer plays at the viewer, where it must be, and at the relay, where
// it must not.
func (b *bench) hidden(ctx context.Context, relay, viewer *node, port int) (string, error) {
	res, err := http.Get(relay.HLS)
	if err != nil {
		return "", err
	}
	said, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || res.StatusCode != http.StatusForbidden || !strings.Contains(string(said), "This stream is private") {
		return "", fmt.Errorf("the relay's playlist answers %s: %s, %v", res.Status, said, err)
	}
	wire, err := listenOnWire()
	if err != nil {
		return "", err
	}
	listening, stop := context.WithCancel(ctx)
	defer func() { stop(); <-wire.done }()
	go wire.run(listening)
	if err := settle(ctx, 8*time.Second); err != nil {
		return "", err
	}
	segments, err := lastSegments(ctx, viewer.HLS, 3)
	if err != nil {
		return "", err
	}
	text := plaintextOf(segments...)
	at, _, err := text.inMemory(viewer.cmd.Process.Pid)
	if err != nil {
		return "", err
	}
	title := newPlaintext()
	title.add([]byte(privateTitle)[:patternSize])
	titleAt, _, err := title.inMemory(viewer.cmd.Process.Pid)
	if err != nil {
		return "", err
	}
	var there, files int
	var searched, kept int64
	for _, p := range []*plaintext{text, title} {
		n, memory, err := p.inMemory(relay.cmd.Process.Pid)
		if err != nil {
			return "", err
		}
		there, searched, kept = there+n, memory, 0
		for _, place := range []string{filepath.Join(b.dir, "home-relay"), filepath.Join(b.dir, "cache-relay"), relay.log} {
			n, size, err := p.inFiles(place)
			if err != nil {
				return "", err
			}
			files, kept = files+n, kept+size
		}
	}
	if err := settle(ctx, time.Second); err != nil { // the last packets
		return "", err
	}
	all, sent, bytes := wire.search(text, port)
	titles, _, _ := wire.search(title, port)
	switch {
	case at < text.count/2 || all < text.count/2:
		return "", fmt.Errorf("the search finds %d and %d of %d patterns where they must be", at, all, text.count)
	case titleAt == 0:
		return "", errors.New("the search does not find the title where it must be")
	case there+files+sent+titles > 0:
		return "", fmt.Errorf("what plays, or its title, is found in the relay's memory %d times, in its files %d times, in its packets %d times; the title in any packets %d times", there, files, sent, titles)
	case searched < 10<<20 || bytes < 1<<20 || kept < 1<<20:
		return "", fmt.Errorf("only %d bytes of the relay's memory, %d of its files and %d of its packets were searched", searched, kept, bytes)
	}
	return fmt.Sprintf("%d patterns of what plays are at %d places of the viewer's memory, and at none of %d MB of the relay's, %.1f MB of its files and %.1f MB of its packets; nor is the title",
		text.count, at, searched>>20, float64(kept)/1e6, float64(bytes)/1e6), nil
}

// lastSegments fetches the last segments that a stream's playlist lists.
func lastSegments(ctx context.Context, master string, n int) (segments [][]byte, err error) {
	media, err := mediaURL(ctx, master)
	if err != nil {
		return nil, err
	}
	body, err := get(ctx, media)
	if err != nil {
		return nil, err
	}
	var urls []string
	for line := range strings.Lines(string(body)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			u, err := resolve(media, line)
			if err != nil {
				return nil, err
			}
			urls = append(urls, u)
		}
	}
	for _, u := range urls[max(0, len(urls)-n):] {
		s, err := get(ctx, u)
		if err != nil {
			return nil, err
		}
		segments = append(segments, s)
	}
	return segments, nil
}

// refusals has viewers of their own try an invite that is used up, one that was changed, and
// none, and wants a sentence each time.
func (b *bench) refusals(ctx context.Context, used string) error {
	changed := []byte(used)
	i := strings.Index(used, "invite=") + len("invite=") + 60
	if changed[i] == 'A' {
		changed[i] = 'B'
	} else {
		changed[i] = 'A'
	}
	for _, c := range []struct{ name, link, want string }{
		{"second", used, "This invite has been used by as many viewers as it is for."},
		{"forger", string(changed), "the invite is not signed by the stream's broadcaster"},
		{"stranger", used[:strings.Index(used, "&invite=")], "This stream is private, and the link holds no invite."},
	} {
		bounded, cancel := context.WithTimeout(ctx, 20*time.Second)
		out, err := output(bounded, b.binary, append([]string{"watch", c.link, "--json", "--no-mdns", "--no-dht", "--no-port-mapping", "--http", "127.0.0.1:0",
			"--home", filepath.Join(b.dir, "home-"+c.name)}, anyLoopback...)...)
		cancel()
		if err == nil || !strings.Contains(out, c.want) {
			return fmt.Errorf("%s: want %q, got %v: %s", c.name, c.want, err, out)
		}
	}
	return nil
}

// shutOut takes a viewer's invite back, and returns how long it goes on. It must end by itself,
// with a sentence.
func (b *bench) shutOut(ctx context.Context, guest *node) (time.Duration, error) {
	out, err := exec.CommandContext(ctx, b.binary, "invite", "revoke", guest.name, "--home", filepath.Join(b.dir, "home-broadcaster")).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("take the invite back: %w: %s", err, out)
	}
	began := time.Now()
	bounded, cancel := context.WithTimeoutCause(ctx, 35*time.Second, errors.New("it goes on"))
	defer cancel()
	if err := guest.wait(bounded); err != nil {
		return 0, err
	}
	took := time.Since(began)
	if !strings.Contains(b.logs(), "The broadcaster has taken this invite back") {
		return took, fmt.Errorf("the viewer ends without the sentence: %v", guest.err)
	}
	if took > 30*time.Second {
		return took, fmt.Errorf("the viewer was shut out after %v", took)
	}
	return took, nil
}
