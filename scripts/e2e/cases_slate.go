//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"
)

// slateCase kills the encoder while VLC and ffmpeg play, looks for the slate in the playlist
// and starts another encoder.
func slateCase(ctx context.Context, b *bench) (string, error) {
	broadcaster, target, encoder, i, err := b.fragile(ctx, byRTMP, "--slate", "auto")
	if err != nil {
		return "", err
	}
	if dark, err := isSlate(ctx, i.media); err != nil || dark {
		return "", errors.Join(errors.New("the test pattern is taken for the slate"), err)
	}
	encoder.kill()
	begins, err := awaitSlate(ctx, i.media, true)
	if err != nil {
		return "", err
	}
	if _, err := broadcaster.await(ctx, "that the slate is counted", func(s stats) bool { return s.Input.Slate > 2 && s.Input.OnSlate }); err != nil {
		return "", err
	}
	if _, err := b.encoder(nil, ordinary, target, nil); err != nil {
		return "", err
	}
	ends, err := awaitSlate(ctx, i.media, false)
	if err != nil {
		return "", err
	}
	if err := i.end(ctx, 2); err != nil {
		return "", err
	}
	return fmt.Sprintf("both play on, a segment of the slate listed %.1f s after the encoder's end, one of the pattern %.1f s after the next one's start, two discontinuities", begins.Seconds(), ends.Seconds()), nil
}

// awaitSlate returns how long it takes until the newest segment shows the slate, or something
// else.
func awaitSlate(ctx context.Context, media string, wanted bool) (time.Duration, error) {
	began := time.Now()
	for {
		dark, err := isSlate(ctx, media)
		if err != nil || dark == wanted {
			return time.Since(began), err
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("the slate is shown: %v, still: %w", dark, context.Cause(ctx))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// isSlate reports whether the newest segment begins with a picture that is as dark as the
// slate; the test pattern is bright.
func isSlate(ctx context.Context, media string) (bool, error) {
	out, err := exec.CommandContext(ctx, "ffmpeg", "-hide_banner", "-nostdin", "-v", "error", "-live_start_index", "-1", "-i", media,
		"-map", "0:v:0", "-frames:v", "1", "-vf", "scale=1:1:flags=area,format=rgb24", "-f", "rawvideo", "pipe:1").Output()
	if err != nil {
		return false, fmt.Errorf("grab a picture of %s: %w", media, err)
	}
	if len(out) != 3 {
		return false, fmt.Errorf("grab a picture of %s: %d bytes", media, len(out))
	}
	const dark = 64 // the slate's mean is 42 at most, the pattern's 122 and more
	return max(out[0], out[1], out[2]) < dark, nil
}
