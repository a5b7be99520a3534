//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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
	return b.apart(ctx, index, "fmp4")
}

// originPackedCase does so in MPEG-TS, with the second language as packed audio.
func originPackedCase(ctx context.Context, b *bench) (string, error) {
	server := httptest.NewServer(packer{b.dir})
	defer server.Close()
	return b.apart(ctx, server.URL+"/index.m3u8", "mpegts")
}

// apart publishes what ffmpeg packages into the case's directory, and has it played.
func (b *bench) apart(ctx context.Context, index, kind string) (string, error) {
	packager, err := b.start("packager", exec.Command("ffmpeg", apartArgs(b.dir, kind)...))
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

// packer serves a directory, and its second language as packed audio, which ffmpeg's packager
// does not make.
type packer struct{ dir string }

func (p packer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := filepath.Base(r.URL.Path)
	var body []byte
	var err error
	switch {
	case name == "v3.m3u8":
		body, err = os.ReadFile(filepath.Join(p.dir, name))
		body = bytes.ReplaceAll(body, []byte(".ts"), []byte(".aac"))
	case strings.HasSuffix(name, ".aac"):
		body, err = packed(r.Context(), filepath.Join(p.dir, strings.TrimSuffix(name, ".aac")+".ts"))
	default:
		http.ServeFile(w, r, filepath.Join(p.dir, name))
		return
	}
	if err != nil {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write(body) // the broadcaster may have gone
}

// packed returns the sound of a segment of MPEG-TS as packed audio: ADTS after an ID3 tag with
// the timestamp (RFC 8216, section 3.4).
func packed(ctx context.Context, file string) ([]byte, error) {
	out, err := exec.CommandContext(ctx, "ffprobe", "-v", "error", "-select_streams", "a:0", "-show_entries", "packet=pts", "-read_intervals", "%+#1", "-of", "csv=p=0", file).Output()
	if err != nil {
		return nil, err
	}
	pts, err := strconv.ParseUint(strings.Trim(string(out), ",\n"), 10, 33)
	if err != nil {
		return nil, err
	}
	frames, err := exec.CommandContext(ctx, "ffmpeg", "-hide_banner", "-nostdin", "-v", "error", "-i", file, "-c:a", "copy", "-f", "adts", "pipe:1").Output()
	if err != nil {
		return nil, err
	}
	content := binary.BigEndian.AppendUint64([]byte("com.apple.streaming.transportStreamTimestamp\x00"), pts)
	frame := append([]byte{'P', 'R', 'I', 'V', 0, 0, 0, byte(len(content)), 0, 0}, content...)
	tag := append([]byte{'I', 'D', '3', 4, 0, 0, 0, 0, 0, byte(len(frame))}, frame...)
	return append(tag, frames...), nil
}

// apartArgs have ffmpeg package a live test pattern of two sizes, with a tone for each of two
// languages, in segments of a kind.
func apartArgs(dir, kind string) []string {
	args := []string{"-hide_banner", "-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"}
	for _, hertz := range []int{440, 1200} {
		args = append(args, "-re", "-f", "lavfi", "-i", fmt.Sprintf("sine=frequency=%d:sample_rate=48000", hertz))
	}
	return append(args, "-filter_complex", "[0:v]split[high][more];[more]scale=160:90[low]",
		"-map", "[high]", "-map", "[low]", "-map", "1:a", "-map", "2:a", "-b:v:0", "300k", "-b:v:1", "100k",
		"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "50", "-bf", "2", "-sc_threshold", "0", "-c:a", "aac",
		"-f", "hls", "-hls_segment_type", kind, "-hls_time", "2", "-hls_list_size", "6", "-hls_flags", "delete_segments",
		"-master_pl_name", "index.m3u8",
		"-var_stream_map", "v:0,agroup:a v:1,agroup:a a:0,agroup:a,language:en,default:yes a:1,agroup:a,language:de",
		filepath.Join(dir, "v%v.m3u8"))
}
