//go:build linux

package main

import (
	"context"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	// apartSeconds is how long the stream is watched for whose sound has playlists of its own.
	apartSeconds = 10
	// vlcSeconds is for how long VLC plays it at least.
	vlcSeconds = 4
)

// originSoundCase publishes again what ffmpeg packages with sound in playlists of its own: two
// variants and two languages in fragmented MP4.
func originSoundCase(ctx context.Context, b *bench) (string, error) {
	index, _, stop, err := serveFiles(b.dir)
	if err != nil {
		return "", err
	}
	defer stop()
	packager, err := b.start("packager", exec.Command("ffmpeg", apartArgs(b.dir)...))
	if err != nil {
		return "", err
	}
	go packager.reap()
	for _, name := range []string{"v0.m3u8", "v1.m3u8", "v2.m3u8", "v3.m3u8"} {
		if err := awaitSegments(ctx, filepath.Join(b.dir, name), 3); err != nil {
			return "", err
		}
	}
	broadcaster, err := b.grapevine(ctx, nil, "broadcaster", nil, append([]string{"broadcast", "--input", index}, anyLoopback...)...)
	if err != nil {
		return "", err
	}
	viewer, err := b.grapevine(ctx, nil, "viewer", nil, append([]string{"watch", broadcaster.Link}, anyLoopback...)...)
	if err != nil {
		return "", err
	}
	base := strings.TrimSuffix(viewer.HLS, "index.m3u8")
	player, err := b.ffmpeg(nil, base+"180p/index.m3u8", apartSeconds)
	if err != nil {
		return "", err
	}
	vlc, err := b.vlc(nil, viewer.HLS, onNoScreen...)
	if err != nil {
		return "", err
	}
	frames, err := player.perfect(ctx, apartSeconds*frameRate)
	if err != nil {
		return "", err
	}
	shown, lost, err := vlc.awaitShown(ctx, vlcSeconds*frameRate)
	if err != nil {
		return "", err
	}
	figures, err := vlc.figures(ctx)
	if err != nil || figures["audio decoded"] < vlcSeconds*frameRate {
		return "", fmt.Errorf("VLC has heard %d sounds: %w", figures["audio decoded"], err)
	}
	if _, err := mediaURLs(ctx, viewer.HLS, "180p", "90p"); err != nil {
		return "", err
	}
	for rendition, hertz := range map[string]float64{"180p": 440, "90p": 440, "audio-de": 1200} {
		if heard, err := b.hertz(ctx, base+rendition+"/index.m3u8"); err != nil || math.Abs(heard-hertz) > 2 {
			return "", fmt.Errorf("%s has %.1f Hz, want %v: %w", rendition, heard, hertz, err)
		}
	}
	packager.kill()
	_, err = broadcaster.terminate(ctx)
	return fmt.Sprintf("%d of %d frames, none missing; VLC displayed %d, %d lost, and decoded %d sounds; 2 variants and 2 languages sound as they should",
		frames, apartSeconds*frameRate, shown, lost, figures["audio decoded"]), err
}

// apartArgs have ffmpeg package a live test pattern of two sizes, with a tone for each of two
// languages.
func apartArgs(dir string) []string {
	args := []string{"-hide_banner", "-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"}
	for _, hertz := range []int{440, 1200} {
		args = append(args, "-re", "-f", "lavfi", "-i", fmt.Sprintf("sine=frequency=%d:sample_rate=48000", hertz))
	}
	return append(args, "-filter_complex", "[0:v]split[high][more];[more]scale=160:90[low]",
		"-map", "[high]", "-map", "[low]", "-map", "1:a", "-map", "2:a", "-b:v:0", "300k", "-b:v:1", "100k",
		"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "50", "-bf", "2", "-sc_threshold", "0", "-c:a", "aac",
		"-f", "hls", "-hls_segment_type", "fmp4", "-hls_time", "2", "-hls_list_size", "6", "-hls_flags", "delete_segments",
		"-master_pl_name", "index.m3u8",
		"-var_stream_map", "v:0,agroup:a v:1,agroup:a a:0,agroup:a,language:en,default:yes a:1,agroup:a,language:de",
		filepath.Join(dir, "v%v.m3u8"))
}
