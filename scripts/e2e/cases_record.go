//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// recordCase records at a broadcaster, which is killed and starts again, and at a viewer
// that stays. Then it cuts a range that has the break in it.
func recordCase(ctx context.Context, b *bench) (string, error) {
	listen, err := fixedListen()
	if err != nil {
		return "", err
	}
	cast, view := filepath.Join(b.dir, "cast"), filepath.Join(b.dir, "view")
	broadcaster, err := b.broadcaster(ctx, nil, append(listen, "--record", cast)...)
	if err != nil {
		return "", err
	}
	viewer, err := b.grapevine(ctx, nil, "viewer", nil, append([]string{"watch", broadcaster.Link, "--record", view}, anyLoopback...)...)
	if err != nil {
		return "", err
	}
	recorded := filepath.Join(broadcaster.Stream, "main")
	if _, err := awaitListed(ctx, filepath.Join(view, recorded), "", 5); err != nil {
		return "", err
	}
	broadcaster.kill()
	// A killed node's playlist and MP4 have the same segments, or the MP4 one more.
	names, err := listedSegments(filepath.Join(cast, recorded))
	if err != nil {
		return "", err
	}
	const perSegment = 2 * frameRate
	// Nobody wrote ENDLIST: ffmpeg would wait for more at the end of the playlist.
	all := filepath.Join(b.dir, "killed.ts")
	if _, err := output(ctx, b.binary, "export", cast, "--out", all); err != nil {
		return "", err
	}
	killed, err := decodedPictures(ctx, all)
	if err != nil {
		return "", err
	}
	movie, err := decodedPictures(ctx, filepath.Join(cast, recorded, "recording.mp4"))
	if err != nil {
		return "", err
	}
	if killed != perSegment*len(names) || movie < killed || movie > killed+perSegment {
		return "", fmt.Errorf("%d segments are listed, %d pictures decode from the playlist and %d from the MP4", len(names), killed, movie)
	}

	if _, err := b.broadcaster(ctx, nil, append(listen, "--record", cast)...); err != nil {
		return "", err
	}
	for _, dir := range []string{cast, view} {
		if _, err := awaitListed(ctx, filepath.Join(dir, recorded), "#EXT-X-DISCONTINUITY\n", 3); err != nil {
			return "", err
		}
	}
	if _, err := viewer.terminate(ctx); err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(view, recorded, "index.m3u8"))
	if err != nil {
		return "", err
	}
	if breaks := strings.Count(string(text), "#EXT-X-DISCONTINUITY\n"); breaks != 1 || !strings.Contains(string(text), "#EXT-X-ENDLIST") {
		return "", fmt.Errorf("%d discontinuities for one restart, or no ENDLIST, in\n%s", breaks, text)
	}
	if names, err = listedSegments(filepath.Join(view, recorded)); err != nil {
		return "", err
	}
	played, err := decodedPictures(ctx, filepath.Join(view, recorded, "index.m3u8"))
	if err != nil {
		return "", err
	}
	if played != perSegment*len(names) {
		return "", fmt.Errorf("%d pictures decode from a playlist of %d segments", played, len(names))
	}
	for _, out := range []string{"cut.mp4", "cut.ts"} {
		out = filepath.Join(b.dir, out)
		if _, err := output(ctx, b.binary, "export", view, "--from", "3", "--out", out); err != nil {
			return "", err
		}
		got, err := decodedPictures(ctx, out)
		if err != nil {
			return "", err
		}
		if want := perSegment * (len(names) - 1); got != want {
			return "", fmt.Errorf("%d pictures decode from %s, want %d", got, out, want)
		}
	}
	return fmt.Sprintf("all %d pictures decode after the kill; %d segments with one discontinuity, all of what is cut over it decodes", killed, len(names)), nil
}

// listedSegments returns the names in a recording's playlist.
func listedSegments(dir string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "index.m3u8"))
	if err != nil {
		return nil, err
	}
	return segmentLines(string(text)), nil
}

func segmentLines(text string) (names []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			names = append(names, line)
		}
	}
	return names
}

// awaitListed waits until a recording's playlist has that many segments after a mark.
func awaitListed(ctx context.Context, dir, mark string, n int) (names []string, err error) {
	for {
		text, err := os.ReadFile(filepath.Join(dir, "index.m3u8"))
		if err == nil {
			if _, after, found := strings.Cut(string(text), mark); found {
				if names = segmentLines(after); len(names) >= n {
					return names, nil
				}
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s has %d segments after %q: %w", dir, len(names), mark, context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// decodedPictures returns how many pictures ffmpeg decodes of a file. A word of complaint is
// an error.
func decodedPictures(ctx context.Context, path string) (int, error) {
	out, err := output(ctx, "ffmpeg", "-hide_banner", "-nostdin", "-v", "error", "-nostats", "-progress", "-", "-i", path, "-f", "null", "-")
	if err != nil {
		return 0, err
	}
	frames := 0
	for line := range strings.Lines(out) {
		key, value, found := strings.Cut(strings.TrimSpace(line), "=")
		if !found || strings.HasPrefix(line, "[") {
			return 0, fmt.Errorf("ffmpeg says of %s: %s", path, out)
		}
		if key == "frame" {
			if frames, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return 0, err
			}
		}
	}
	return frames, nil
}
