//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// reloadCase changes a relay's configuration file while a player is behind it.
func reloadCase(ctx context.Context, b *bench) (string, error) {
	broadcaster, err := b.broadcaster(ctx, nil, anyLoopback...)
	if err != nil {
		return "", err
	}
	second, err := b.grapevine(ctx, nil, "second", nil, append([]string{"broadcast", "--input", "sample:"}, anyLoopback...)...)
	if err != nil {
		return "", err
	}
	file := filepath.Join(b.dir, "config.yaml")
	write := func(lines ...string) error { return os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600) }
	if err := write("max-upload: 8Mbit/s", "relay:", "  streams: ['"+broadcaster.Link+"']"); err != nil {
		return "", err
	}
	relay, err := b.grapevine(ctx, nil, "relay", nil, append([]string{"relay", "--config", file}, anyLoopback...)...)
	if err != nil {
		return "", err
	}
	viewer, err := b.grapevine(ctx, nil, "viewer", nil, append([]string{"watch", relay.Link}, anyLoopback...)...)
	if err != nil {
		return "", err
	}
	const seconds = 25
	player, err := b.ffmpeg(nil, viewer.HLS, seconds)
	if err != nil {
		return "", err
	}
	if _, err := player.awaitFrames(ctx, 4*frameRate); err != nil {
		return "", err
	}

	if err := write("max-upload: 6Mbit/s", "cache-memory: 300MB", "relay:", "  streams:", "    - '"+broadcaster.Link+"'", "    - '"+second.Link+"'"); err != nil {
		return "", err
	}
	said, err := relay.reload(ctx)
	if err != nil {
		return "", err
	}
	if !slices.Equal(said.Changed, []string{"max-upload", "streams"}) || !slices.Equal(said.Restart, []string{"cache-memory"}) {
		return "", fmt.Errorf("the relay says %+v", said)
	}
	changed := func(s stats) bool { return s.Limits.MaxUpload == 6_000_000 && len(s.Streams) == 2 }
	if _, err := relay.await(ctx, "the new stream", func(s stats) bool { return changed(s) && s.Streams[1].BytesReceived > 100_000 }); err != nil {
		return "", err
	}

	if err := write("max-upload: 6Mbit/s", "relay:", "  max-uplaod: 1Mbit/s"); err != nil {
		return "", err
	}
	if said, err = relay.reload(ctx); err != nil {
		return "", err
	}
	if want := file + `:3: relay has no setting "max-uplaod"; did you mean max-upload?`; said.Error != want {
		return "", fmt.Errorf("a file with a mistake: %+v, want %s", said, want)
	}
	before := slices.Clone(relay.now().Streams) // events are read into the same memory
	if _, err := relay.await(ctx, "both streams after a mistake", func(s stats) bool {
		return changed(s) && s.Streams[0].BytesReceived > before[0].BytesReceived && s.Streams[1].BytesReceived > before[1].BytesReceived
	}); err != nil {
		return "", err
	}
	frames, err := player.perfect(ctx, seconds*frameRate)
	return fmt.Sprintf("%d of %d frames, none missing", frames, seconds*frameRate), err
}
