//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func stdinCase(ctx context.Context, b *bench) (string, error) {
	c, err := b.chain(ctx)
	if err != nil {
		return "", err
	}
	const seconds = 60
	player, err := b.ffmpeg(nil, c.viewer.HLS, seconds)
	if err != nil {
		return "", err
	}
	viewer, err := mediaURL(ctx, c.viewer.HLS)
	if err != nil {
		return "", err
	}
	broadcaster, err := mediaURL(ctx, c.broadcaster.HLS)
	if err != nil {
		return "", err
	}
	var same int
	var bytes int64
	compared, watched := make(chan error, 1), make(chan error, 1)
	go func() {
		var err error
		same, bytes, err = compareSegments(ctx, viewer, broadcaster, player.done)
		compared <- err
	}()
	go func() {
		breaks, err := watchPlaylist(ctx, viewer, player.done)
		if err == nil && breaks > 0 {
			err = fmt.Errorf("%d discontinuities in an unbroken stream", breaks)
		}
		watched <- err
	}()
	frames, err := player.perfect(ctx, seconds*frameRate)
	if err := errors.Join(err, <-compared, <-watched); err != nil {
		return "", err
	}
	if _, err := b.node(ctx, "playlist.mjs", c.viewer.HLS, viewer); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d of %d frames, none missing, %d segments (%.1f MB) as at the broadcaster, playlists valid", frames, seconds*frameRate, same, float64(bytes)/1e6), nil
}

// joinCase measures from the start of the viewer's process to its ready event.
func joinCase(ctx context.Context, b *bench) (string, error) {
	c, err := b.chain(ctx)
	if err != nil {
		return "", err
	}
	const limit = time.Second
	var took []string
	worst := time.Duration(0)
	for i := range 3 {
		viewer, err := b.grapevine(ctx, nil, fmt.Sprintf("late-%d", i+1), nil, append([]string{"watch", c.relay.Link}, anyLoopback...)...)
		if err != nil {
			return "", err
		}
		if body, err := get(ctx, viewer.HLS); err != nil || !strings.Contains(string(body), "#EXT-X-STREAM-INF") {
			return "", fmt.Errorf("ready, but the playlist answers %q, %v", body, err)
		}
		took = append(took, viewer.took.Round(time.Millisecond).String())
		worst = max(worst, viewer.took)
	}
	if worst > limit {
		return "", fmt.Errorf("ready after %s, want %v at most", strings.Join(took, ", "), limit)
	}
	return strings.Join(took, ", "), nil
}

func tcpCase(ctx context.Context, b *bench) (string, error) { return socketCase(ctx, b, "tcp", "") }

// udpCase gives ffmpeg the size of packets that hold whole MPEG-TS packets.
func udpCase(ctx context.Context, b *bench) (string, error) {
	return socketCase(ctx, b, "udp", "?pkt_size=1316")
}

func socketCase(ctx context.Context, b *bench, network, options string) (string, error) {
	broadcaster, err := b.grapevine(ctx, nil, "broadcaster", nil,
		append([]string{"broadcast", "--input", network + "://127.0.0.1:0"}, anyLoopback...)...)
	if err != nil {
		return "", err
	}
	now, err := broadcaster.await(ctx, "the address of its input", func(s stats) bool { return s.Input.Listen != "" })
	if err != nil {
		return "", err
	}
	if _, err := b.encoder(nil, ordinary, network+"://"+now.Input.Listen+options, nil); err != nil {
		return "", err
	}
	c, err := b.chainBehind(ctx, broadcaster)
	if err != nil {
		return "", err
	}
	const seconds = 15
	player, err := b.ffmpeg(nil, c.viewer.HLS, seconds)
	if err != nil {
		return "", err
	}
	frames, err := player.perfect(ctx, seconds*frameRate)
	return fmt.Sprintf("%d of %d frames, none missing", frames, seconds*frameRate), err
}

// fileCase plays files that are shorter than what is watched of them: one with what browsers
// play, and one that must be encoded.
func fileCase(ctx context.Context, b *bench) (string, error) {
	const length, seconds = 5, 12
	var figures []string
	for _, kind := range []struct {
		file   string
		codecs []string
	}{
		{"talk.mp4", []string{"-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-c:a", "aac"}},
		{"talk.mkv", []string{"-c:v", "mpeg4", "-c:a", "flac"}},
	} {
		file := filepath.Join(b.dir, kind.file)
		args := []string{"-v", "error", "-y", "-f", "lavfi", "-i", fmt.Sprintf("testsrc2=size=320x180:rate=%d:duration=%d", frameRate, length),
			"-f", "lavfi", "-i", fmt.Sprintf("sine=frequency=440:sample_rate=48000:duration=%d", length), "-pix_fmt", "yuv420p"}
		if _, err := output(ctx, "ffmpeg", append(append(args, kind.codecs...), file)...); err != nil {
			return "", err
		}
		broadcaster, err := b.grapevine(ctx, nil, kind.file, nil, append([]string{"broadcast", "--input", file, "--loop"}, anyLoopback...)...)
		if err != nil {
			return "", err
		}
		player, err := b.ffmpeg(nil, broadcaster.HLS, seconds)
		if err != nil {
			return "", err
		}
		// Where it begins again, sound may be a little longer than the pictures.
		frames, err := player.steady(ctx, (seconds-1)*frameRate, 2*ticksPerFrame)
		if err != nil {
			return "", fmt.Errorf("%s: %w", kind.file, err)
		}
		figures = append(figures, fmt.Sprintf("%s: %d frames, none missing", kind.file, frames))
		if _, err := broadcaster.terminate(ctx); err != nil {
			return "", err
		}
	}
	return strings.Join(figures, "; "), nil
}

func vlcCase(ctx context.Context, b *bench) (string, error) {
	c, err := b.chain(ctx)
	if err != nil {
		return "", err
	}
	player, err := b.vlc(nil, c.viewer.HLS, onNoScreen...)
	if err != nil {
		return "", err
	}
	first, lostBefore, err := player.awaitShown(ctx, 0)
	if err != nil {
		return "", err
	}
	began := time.Now()
	last, lost, err := player.awaitShown(ctx, first+10*frameRate)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d frames displayed in %.1f s, %d lost", last-first, time.Since(began).Seconds(), lost-lostBefore), nil
}

// rewindCase has a viewer come when the stream has run for a while, and the broadcaster
// leave before the viewer has seen it all.
func rewindCase(ctx context.Context, b *bench) (string, error) {
	broadcaster, err := b.broadcaster(ctx, nil, anyLoopback...)
	if err != nil {
		return "", err
	}
	relay, err := b.grapevine(ctx, nil, "relay", nil, append([]string{"relay", broadcaster.Link}, anyLoopback...)...)
	if err != nil {
		return "", err
	}
	const late, rest = 20, 6 // seconds
	relayed, err := rewinding(ctx, relay)
	if err != nil {
		return "", err
	}
	if err := awaitPlaylist(ctx, relayed, func(p *playlist) bool { return p.duration >= late }); err != nil {
		return "", err
	}
	viewer, err := b.grapevine(ctx, nil, "viewer", nil, append([]string{"watch", relay.Link}, anyLoopback...)...)
	if err != nil {
		return "", err
	}
	media, err := rewinding(ctx, viewer)
	if err != nil {
		return "", err
	}
	player, err := b.ffmpeg(nil, media, 600, "-live_start_index", "0")
	if err != nil {
		return "", err
	}
	if err := awaitPlaylist(ctx, media, func(p *playlist) bool { return p.duration >= late+rest }); err != nil {
		return "", err
	}
	if _, err := broadcaster.terminate(ctx); err != nil {
		return "", fmt.Errorf("the broadcaster ended with %w", err)
	}
	frames, err := player.perfect(ctx, (late+rest)*frameRate)
	if err != nil {
		return "", err
	}
	p, err := getPlaylist(ctx, media)
	if err != nil {
		return "", err
	}
	if _, err := b.node(ctx, "playlist.mjs", rewindable(viewer.HLS), media); err != nil {
		return "", err
	}
	switch listed := int(math.Round(p.duration * frameRate)); {
	case !p.ended || p.discontinuities > 0 || !strings.HasSuffix(p.segments[0].uri, "-0.ts"):
		return "", fmt.Errorf("the playlist begins with %s, with %d discontinuities, ended: %t", p.segments[0].uri, p.discontinuities, p.ended)
	case frames != listed:
		return "", fmt.Errorf("%d frames were decoded, %d are listed", frames, listed)
	}
	return fmt.Sprintf("%d of %d frames from the first segment to ENDLIST, none missing, playlists valid", frames, frames), nil
}

// rewinding returns the address of a node's media playlist that rewinds.
func rewinding(ctx context.Context, n *node) (string, error) {
	return mediaURL(ctx, rewindable(n.HLS))
}

func pageCase(ctx context.Context, b *bench) (string, error) {
	c, err := b.chain(ctx)
	if err != nil {
		return "", err
	}
	figure, err := b.playPage(ctx, c.viewer.Page)
	if err != nil {
		return "", err
	}
	low := lowLatency(c.viewer.HLS)
	media, err := mediaURL(ctx, low)
	if err != nil {
		return "", err
	}
	if _, err := b.node(ctx, "playlist.mjs", low, media); err != nil {
		return "", err
	}
	return figure + ", low-latency playlists valid", nil
}

// maxDelay is how far behind the broadcaster's clock the page may be, in seconds. Without
// low latency it is 7.
const maxDelay = 6

// playPage opens a node's page in Chromium, and checks that it plays picture and sound
// and loads nothing from elsewhere.
func (b *bench) playPage(ctx context.Context, url string) (string, error) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		return "", err
	}
	const seconds = 8
	screenshot := filepath.Join(b.dir, "page.png")
	out, err := b.node(ctx, "page.mjs", url, screenshot, chromium, fmt.Sprint(seconds))
	if err != nil {
		return "", err
	}
	var seen struct {
		Advanced          float64
		Frames, Width     int
		Audio             int
		Delay             float64
		Swarm             string // what the picture of the swarm says to who does not see it
		Feeds             int    // lines drawn along which something flows
		Foreign, Failures []string
	}
	if err := json.Unmarshal([]byte(out), &seen); err != nil {
		return "", fmt.Errorf("read %q: %w", out, err)
	}
	switch {
	case seen.Advanced < seconds*0.8:
		err = fmt.Errorf("time advanced by %.1f s in %d s", seen.Advanced, seconds)
	case seen.Frames == 0 || seen.Width == 0:
		err = errors.New("there is no picture")
	case seen.Delay > maxDelay:
		err = fmt.Errorf("it is %.1f s behind live, want %d s at most", seen.Delay, maxDelay)
	case seen.Audio == 0:
		err = errors.New("there is no sound")
	case seen.Feeds == 0 || !strings.Contains(seen.Swarm, "this node"):
		err = fmt.Errorf("the picture of the swarm has %d lines and says %q", seen.Feeds, seen.Swarm)
	case len(seen.Foreign) > 0:
		err = fmt.Errorf("it asks other hosts: %v", seen.Foreign)
	case len(seen.Failures) > 0:
		err = fmt.Errorf("failures on the page: %v", seen.Failures)
	}
	return fmt.Sprintf("%.1f s and %d frames in %d s, with sound, %.1f s behind live; %s", seen.Advanced, seen.Frames, seconds, seen.Delay, screenshot), err
}

// node runs one of the scripts beside this file. They are JavaScript because the
// browser and the strictest validator are driven from there only.
func (b *bench) node(ctx context.Context, script string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "node", append([]string{filepath.Join("scripts", "e2e", script)}, args...)...)
	cmd.Env = append(os.Environ(), "NODE_PATH="+b.modules)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %.1000s", script, err, ownLines(stderr.String()))
	}
	return string(out), nil
}

// ownLines leaves out what a stack says of libraries.
func ownLines(stack string) string {
	lines := slices.DeleteFunc(strings.Split(stack, "\n"), func(l string) bool { return strings.Contains(l, "/node_modules/") })
	return strings.Join(lines, "\n")
}
