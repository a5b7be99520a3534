//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
)

// discoveryCase has nodes that know nothing but a bootstrap node and the stream ID. mDNS is
// off, as everywhere, so that it is the DHT by which they find each other.
func discoveryCase(ctx context.Context, b *bench) (string, error) {
	boot, err := b.grapevine(ctx, nil, "bootstrap", nil, append([]string{"relay", "--bootstrap-only"}, anyLoopback...)...)
	if err != nil {
		return "", err
	}
	own := slices.Concat(anyLoopback, []string{"--bootstrap", boot.Addrs[0]})
	broadcaster, err := b.broadcaster(ctx, nil, own...)
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
