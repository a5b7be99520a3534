//go:build linux

package main

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
)

// publicTitle is what the page would show otherwise if it took it for HTML.
const publicTitle = "Keynote <b>live</b><script>alert(1)</script>"

// discoveryCase has nodes that know nothing but a bootstrap node and the stream ID. mDNS is
// off, as everywhere, so that it is the DHT by which they find each other. The stream is public,
// and listed on the page of a node that does not have it.
func discoveryCase(ctx context.Context, b *bench) (string, error) {
	boot, err := b.grapevine(ctx, nil, "bootstrap", nil, append([]string{"relay", "--bootstrap-only"}, anyLoopback...)...)
	if err != nil {
		return "", err
	}
	own := slices.Concat(anyLoopback, []string{"--bootstrap", boot.Addrs[0]})
	broadcaster, err := b.broadcaster(ctx, nil, append([]string{"--public", "--title", publicTitle}, own...)...)
	if err != nil {
		return "", err
	}
	relay, err := b.grapevine(ctx, nil, "relay", nil, append([]string{"relay", broadcaster.Stream}, own...)...)
	if err != nil {
		return "", err
	}
	if _, err := relay.await(ctx, "the broadcaster, found in the DHT", foundInDHT); err != nil {
		return "", err
	}
	viewer, err := b.grapevine(ctx, nil, "viewer", nil, append([]string{"watch", broadcaster.Stream}, own...)...)
	if err != nil {
		return "", err
	}
	if _, err := viewer.await(ctx, "a peer that was found in the DHT", foundInDHT); err != nil {
		return "", err
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		return "", err
	}
	// The bootstrap node cannot play the stream: its page has the command.
	if _, err := b.node(ctx, "directory.mjs", boot.Page, broadcaster.Link, publicTitle, b.dir, chromium); err != nil {
		return "", err
	}
	const seconds = 15
	player, err := b.ffmpeg(nil, viewer.HLS, seconds)
	if err != nil {
		return "", err
	}
	if _, err := player.awaitFrames(ctx, 3*frameRate); err != nil {
		return "", err
	}
	boot.kill() // who has found each other does not need it
	frames, err := player.perfect(ctx, seconds*frameRate)
	return fmt.Sprintf("ready %.1f s after the start; %d of %d frames, none missing", viewer.took.Seconds(), frames, seconds*frameRate), err
}

func foundInDHT(s stats) bool { return len(s.Streams) > 0 && s.Streams[0].Found["dht"] > 0 }
