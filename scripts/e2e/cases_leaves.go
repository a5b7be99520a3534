//go:build linux

package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// afterLanguage is how many seconds ffmpeg must show once a language is gone, and VLC half of
// them.
const afterLanguage = 10

// leavesCase replaces an encoder of three languages by one of the first alone, while ffmpeg
// listens to all of them at once, and VLC to the first.
func leavesCase(ctx context.Context, b *bench) (string, error) {
	broadcaster, target, err := b.listen(ctx, byTCP)
	if err != nil {
		return "", err
	}
	encoder, err := b.start("encoder", exec.Command("ffmpeg", append(soundArgs(), target)...))
	if err != nil {
		return "", err
	}
	go encoder.reap()
	viewer, err := b.grapevine(ctx, nil, "viewer", nil, append([]string{"watch", broadcaster.Link}, anyLoopback...)...)
	if err != nil {
		return "", err
	}
	if _, err := mediaURLs(ctx, viewer.HLS, "main"); err != nil {
		return "", err
	}
	player, err := b.listener(viewer.HLS)
	if err != nil {
		return "", err
	}
	vlc, err := b.vlc(nil, viewer.HLS, onNoScreen...)
	if err != nil {
		return "", err
	}
	if _, err := player.awaitFrames(ctx, 4*frameRate); err != nil {
		return "", err
	}
	encoder.kill()
	if _, err := b.encoder(nil, ordinary, target, nil, "-metadata:s:a:0", "language="+sounds[0].code); err != nil {
		return "", err
	}
	began := time.Now()
	if err := awaitWithout(ctx, viewer.HLS, "audio-"); err != nil {
		return "", err
	}
	gone := time.Since(began)
	seen, err := player.frames()
	if err != nil {
		return "", err
	}
	if _, err := player.awaitFrames(ctx, len(seen)+afterLanguage*frameRate); err != nil {
		return "", err
	}
	before, _, err := vlc.shown(ctx)
	if err != nil {
		return "", err
	}
	shown, _, err := vlc.awaitShown(ctx, before+afterLanguage/2*frameRate)
	return fmt.Sprintf("the others are listed for %.1f s more; ffmpeg, which plays all, and VLC go on, VLC displayed %d frames", gone.Seconds(), shown), err
}

// listener starts an ffmpeg that plays the pictures and all sound of a multivariant playlist.
func (b *bench) listener(url string) (*ffmpegPlayer, error) {
	video := filepath.Join(b.dir, "listener.framecrc")
	p, err := b.start("ffmpeg", exec.Command("ffmpeg", "-hide_banner", "-nostdin", "-y", "-v", "error", "-i", url,
		"-map", "0:v:0", "-fps_mode", "passthrough", "-flush_packets", "1", "-f", "framecrc", video, "-map", "0:a", "-f", "null", "-"))
	if err != nil {
		return nil, err
	}
	go p.reap()
	return &ffmpegPlayer{p, video}, nil
}

// awaitWithout waits until a multivariant playlist lists no rendition whose name begins so.
func awaitWithout(ctx context.Context, master, prefix string) error {
	listed := regexp.MustCompile(`URI="` + prefix)
	for {
		body, err := get(ctx, master)
		if err != nil {
			return err
		}
		if !listed.Match(body) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it is still listed: %w\n%s", context.Cause(ctx), strings.TrimSpace(string(body)))
		case <-time.After(200 * time.Millisecond):
		}
	}
}
