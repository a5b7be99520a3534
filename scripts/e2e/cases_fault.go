//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// restartCase kills the broadcaster and starts it again with the same home, and so the
// same key, identity and address.
func restartCase(ctx context.Context, b *bench) (string, error) {
	listen, err := fixedListen()
	if err != nil {
		return "", err
	}
	broadcaster, err := b.broadcaster(ctx, nil, listen...)
	if err != nil {
		return "", err
	}
	c, err := b.chainBehind(ctx, broadcaster)
	if err != nil {
		return "", err
	}
	i, err := b.interrupt(ctx, c.viewer.HLS)
	if err != nil {
		return "", err
	}

	broadcaster.kill()
	again, err := b.broadcaster(ctx, nil, listen...)
	if err != nil {
		return "", err
	}
	if again.Stream != broadcaster.Stream {
		return "", fmt.Errorf("stream %s came back as %s", broadcaster.Stream, again.Stream)
	}
	listed, err := i.over(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("both play on, new epoch listed %.1f s after the new start, one discontinuity", listed.Seconds()), nil
}

// An interruption of a stream that VLC and ffmpeg play.
type interruption struct {
	media   string
	play    bothPlayers
	stop    chan struct{}
	watched chan error
	breaks  int // that the playlist listed
}

// interrupt starts both players, and watches their playlist from then on.
func (b *bench) interrupt(ctx context.Context, hls string) (*interruption, error) {
	media, err := mediaURL(ctx, hls)
	if err != nil {
		return nil, err
	}
	i := &interruption{media: media, stop: make(chan struct{}), watched: make(chan error, 1)}
	if i.play, err = b.playBoth(ctx, hls); err != nil {
		return nil, err
	}
	go func() {
		var err error
		i.breaks, err = watchPlaylist(ctx, media, i.stop)
		i.watched <- err
	}()
	return i, nil
}

// over returns how long it takes from now until the playlist goes on with one
// discontinuity, which both players play through.
func (i *interruption) over(ctx context.Context) (listed time.Duration, err error) {
	back := time.Now()
	if err := awaitBreak(ctx, i.media); err != nil {
		return 0, err
	}
	listed = time.Since(back)
	return listed, i.end(ctx, 1)
}

// end waits until both players have gone on, and fails unless the playlist had so many
// discontinuities.
func (i *interruption) end(ctx context.Context, breaks int) error {
	if err := i.play.goOn(ctx); err != nil {
		return err
	}
	close(i.stop)
	if err := <-i.watched; err != nil {
		return err
	}
	if i.breaks != breaks {
		return fmt.Errorf("%d discontinuities, want %d", i.breaks, breaks)
	}
	return nil
}

// awaitBreak waits until a playlist shows a discontinuity.
func awaitBreak(ctx context.Context, media string) error {
	for {
		p, err := getPlaylist(ctx, media)
		if err != nil || p.discontinuities > 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no discontinuity was listed: %w", context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// relayCase has two relays, and kills the one that gives the viewer more.
func relayCase(ctx context.Context, b *bench) (string, error) {
	broadcaster, err := b.broadcaster(ctx, nil, anyLoopback...)
	if err != nil {
		return "", err
	}
	relays, link, err := b.twoRelays(ctx, broadcaster)
	if err != nil {
		return "", err
	}
	viewer, err := b.grapevine(ctx, nil, "viewer", nil, append([]string{"watch", link}, anyLoopback...)...)
	if err != nil {
		return "", err
	}
	const seconds = 30
	player, err := b.ffmpeg(nil, viewer.HLS, seconds)
	if err != nil {
		return "", err
	}
	if _, err := player.awaitFrames(ctx, 8*frameRate); err != nil {
		return "", err
	}
	given, err := bytesFrom(ctx, viewer)
	if err != nil {
		return "", err
	}
	victim, other := byGiven(given, relays)
	victim.kill()
	frames, err := player.perfect(ctx, seconds*frameRate)
	if err != nil {
		return "", err
	}
	after, err := bytesFrom(ctx, viewer)
	if err != nil {
		return "", err
	}
	if after[victim.PeerID] > given[victim.PeerID]+1<<20 {
		return "", errors.New("the killed relay still gives")
	}
	return fmt.Sprintf("%d of %d frames, none missing; the killed one had given %.1f MB, the other gave %.1f MB in all", frames, seconds*frameRate,
		float64(given[victim.PeerID])/1e6, float64(after[other.PeerID])/1e6), nil
}

// twoRelays starts two, and returns a link that names both.
func (b *bench) twoRelays(ctx context.Context, broadcaster *node) (relays [2]*node, link string, err error) {
	for i := range relays {
		relays[i], err = b.grapevine(ctx, nil, fmt.Sprintf("relay-%d", i+1), nil, append([]string{"relay", broadcaster.Link}, anyLoopback...)...)
		if err != nil {
			return relays, "", err
		}
		stream, peers, _ := strings.Cut(relays[i].Link, "?")
		if i == 0 {
			link = stream + "?" + peers
		} else {
			link += "&" + peers
		}
	}
	return relays, link, nil
}

// byGiven returns the relay that gave more, and the other.
func byGiven(given map[string]int64, relays [2]*node) (more, less *node) {
	if given[relays[1].PeerID] > given[relays[0].PeerID] {
		return relays[1], relays[0]
	}
	return relays[0], relays[1]
}

// bytesFrom asks a node what each peer has given it.
func bytesFrom(ctx context.Context, n *node) (map[string]int64, error) {
	body, err := get(ctx, n.Page+"api/v1/status")
	if err != nil {
		return nil, err
	}
	var status struct {
		Streams []struct {
			Peers []struct {
				ID      string
				BytesIn int64 `json:"bytes_in"`
			}
		}
	}
	if err := json.Unmarshal(body, &status); err != nil {
		return nil, fmt.Errorf("read the status of %s: %w", n.name, err)
	}
	given := make(map[string]int64)
	for _, s := range status.Streams {
		for _, p := range s.Peers {
			given[p.ID] += p.BytesIn
		}
	}
	return given, nil
}

func endCase(ctx context.Context, b *bench) (string, error) {
	c, err := b.chain(ctx)
	if err != nil {
		return "", err
	}
	media, err := mediaURL(ctx, c.viewer.HLS)
	if err != nil {
		return "", err
	}
	took, err := c.broadcaster.terminate(ctx)
	if err != nil {
		return "", fmt.Errorf("the broadcaster ended with %w", err)
	}
	if took > 3*time.Second {
		return "", fmt.Errorf("the broadcaster took %v to end", took)
	}
	began := time.Now()
	for {
		p, err := getPlaylist(ctx, media)
		if err != nil {
			return "", err
		}
		if p.ended {
			break
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("no ENDLIST: %w", context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
	listed := time.Since(began)
	for _, n := range []*node{c.relay, c.viewer} {
		took, err := n.terminate(ctx)
		if err != nil || took > 3*time.Second {
			return "", fmt.Errorf("%s took %v to end: %w", n.name, took, err)
		}
	}
	return fmt.Sprintf("ended in %.2f s, ENDLIST %.2f s later", took.Seconds(), listed.Seconds()), nil
}

// fixedListen returns flags for an address that a node can come back to.
func fixedListen() ([]string, error) {
	udp, err := freeAddr("udp")
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(udp)
	return []string{"--listen", "/ip4/127.0.0.1/udp/" + port + "/quic-v1"}, err
}
