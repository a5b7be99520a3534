//go:build linux

package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// originSeconds is how long the stream of another packager is watched for.
const originSeconds = 14

// originCase publishes again what ffmpeg packages and a plain file server serves: MPEG-TS,
// then fragmented MP4.
func originCase(ctx context.Context, b *bench) (string, error) {
	var figures []string
	for _, kind := range []string{"mpegts", "fmp4"} {
		figure, err := b.origin(ctx, kind)
		if err != nil {
			return "", fmt.Errorf("%s: %w", kind, err)
		}
		figures = append(figures, kind+": "+figure)
	}
	return strings.Join(figures, "; "), nil
}

// origin has one kind of segments go through broadcaster and viewer.
func (b *bench) origin(ctx context.Context, kind string) (string, error) {
	broadcaster, packager, sums, err := b.republish(ctx, kind, kind)
	if err != nil {
		return "", err
	}
	viewer, err := b.grapevine(ctx, nil, kind+"-viewer", nil, append([]string{"watch", broadcaster.Link}, anyLoopback...)...)
	if err != nil {
		return "", err
	}
	player, err := b.ffmpeg(nil, viewer.HLS, originSeconds)
	if err != nil {
		return "", err
	}
	vlc, err := b.vlc(nil, viewer.HLS, onNoScreen...)
	if err != nil {
		return "", err
	}
	frames, err := player.perfect(ctx, originSeconds*frameRate)
	if err != nil {
		return "", err
	}
	shown, lost, err := vlc.awaitShown(ctx, 4*frameRate)
	if err != nil {
		return "", err
	}
	figure := fmt.Sprintf("%d of %d frames, none missing; VLC displayed %d, %d lost", frames, originSeconds*frameRate, shown, lost)
	if kind == "mpegts" {
		same, err := b.sameSegments(ctx, viewer.HLS, sums)
		if err != nil {
			return "", err
		}
		figure += fmt.Sprintf("; %d segments are the packager's, byte for byte", same)
	}
	packager.kill()
	_, err = broadcaster.terminate(ctx)
	return figure, err
}

// republish starts a packager, and a node of that name that publishes again what a file
// server has of it. More options make the packager's output a ladder, with a multivariant
// playlist of the name index.m3u8.
func (b *bench) republish(ctx context.Context, name, kind string, ladder ...string) (broadcaster *node, packager *process, sums *served, err error) {
	dir := filepath.Join(b.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, nil, nil, err
	}
	index, sums, stop, err := serveFiles(dir)
	if err != nil {
		return nil, nil, nil, err
	}
	b.cleanups = append(b.cleanups, func() { stop() })
	media := filepath.Join(dir, "index.m3u8")
	if len(ladder) > 0 {
		media = filepath.Join(dir, "%v.m3u8")
	}
	if packager, err = b.packager(kind, media, ladder...); err != nil {
		return nil, nil, nil, err
	}
	if err := awaitSegments(ctx, strings.Replace(media, "%v", "0", 1), 3); err != nil {
		return nil, nil, nil, err
	}
	broadcaster, err = b.grapevine(ctx, nil, name, nil, append([]string{"broadcast", "--input", index}, anyLoopback...)...)
	return broadcaster, packager, sums, err
}

// packager starts ffmpeg's own packager with a live test pattern.
func (b *bench) packager(kind, media string, ladder ...string) (*process, error) {
	args := append([]string{"-hide_banner", "-nostdin", "-v", "error",
		"-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
		"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "50", "-sc_threshold", "0", "-bf", "2", "-c:a", "aac",
		"-f", "hls", "-hls_segment_type", kind, "-hls_time", "2", "-hls_list_size", "6", "-hls_flags", "delete_segments"}, ladder...)
	p, err := b.start("packager", exec.Command("ffmpeg", append(args, media)...))
	if err != nil {
		return nil, err
	}
	go p.reap()
	return p, nil
}

// awaitSegments waits until a playlist on disk lists so many segments.
func awaitSegments(ctx context.Context, file string, count int) error {
	for {
		text, err := os.ReadFile(file)
		if err == nil && strings.Count(string(text), "#EXTINF") >= count {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s lists too little: %w", file, context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// served is what a file server sent.
type served struct {
	mu   sync.Mutex
	sums map[[sha256.Size]byte]string // guarded by mu; of segments, their names
}

// serveFiles serves a directory, and notes what its segments were.
func serveFiles(dir string) (index string, sums *served, stop func() error, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, nil, err
	}
	sums = &served{sums: make(map[[sha256.Size]byte]string)}
	files := http.FileServer(http.Dir(dir))
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name := filepath.Base(r.URL.Path); strings.HasSuffix(name, ".ts") {
			if body, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
				sums.mu.Lock()
				sums.sums[sha256.Sum256(body)] = name
				sums.mu.Unlock()
			}
		}
		files.ServeHTTP(w, r)
	}), ReadHeaderTimeout: 10 * time.Second}
	go server.Serve(l)
	return "http://" + l.Addr().String() + "/index.m3u8", sums, server.Close, nil
}

// sameSegments checks that what a node lists is what was served.
func (b *bench) sameSegments(ctx context.Context, hls string, sums *served) (same int, err error) {
	media, err := mediaURL(ctx, hls)
	if err != nil {
		return 0, err
	}
	p, err := getPlaylist(ctx, media)
	if err != nil {
		return 0, err
	}
	for _, s := range p.segments {
		u, err := resolve(media, s.uri)
		if err != nil {
			return same, err
		}
		body, err := get(ctx, u)
		if err != nil {
			return same, err
		}
		sums.mu.Lock()
		name := sums.sums[sha256.Sum256(body)]
		sums.mu.Unlock()
		if name == "" {
			return same, fmt.Errorf("segment %s has %d bytes, and is none of the packager's", s.uri, len(body))
		}
		same++
	}
	return same, nil
}
