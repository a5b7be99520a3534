//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
)

// player is a player that counts the pictures that it has shown.
type player struct {
	*process
	frames func(context.Context) (int, error)
	seen   []sighting
}

// ended reports whether the player has ended.
func (p *player) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// trouble returns how the player ended, and its last words.
func (p *player) trouble() error {
	raw, _ := os.ReadFile(p.log)
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	words := fmt.Sprintf("%.200s", strings.TrimSpace(lines[len(lines)-1]))
	if p.ended() {
		return fmt.Errorf("it ended: %v %s", p.err, words)
	}
	if words == "" {
		return nil
	}
	return errors.New("its last words: " + words)
}

var playerNames = []string{"vlc", "ffmpeg", "mpv", "gstreamer", "hls.js"}

// players starts them on one stream.
func (b *bench) players(names []string, hls string) (list []*player, err error) {
	for _, name := range names {
		p, err := b.player(name, hls)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

func (b *bench) player(name, hls string) (*player, error) {
	switch name {
	case "vlc":
		p, err := b.vlc(nil, hls, onNoScreen...)
		if err != nil {
			return nil, err
		}
		return &player{process: p.process, frames: func(ctx context.Context) (int, error) {
			shown, _, err := p.shown(ctx)
			return shown, err
		}}, nil
	case "ffmpeg":
		// It decodes what is there at once: its pictures come a segment at a time.
		return b.counting(name, `^frame=(\d+)`, exec.Command("ffmpeg", "-hide_banner", "-nostdin", "-v", "warning",
			"-stats_period", "0.25", "-i", hls, "-map", "0", "-f", "null", "-", "-progress", "pipe:1"))
	case "mpv":
		return b.counting(name, `shown (\d+)`, exec.Command("mpv", "--no-config", "--msg-level=all=warn,frames=info",
			"--vo=null", "--ao=null", "--script=scripts/e2e/frames.lua", hls))
	case "gstreamer":
		return b.counting(name, `rendered: (\d+)`, exec.Command("gst-launch-1.0", "-v", "playbin", "uri="+hls,
			"video-sink=fpsdisplaysink text-overlay=false fps-update-interval=250 video-sink=fakesink sync=true", "audio-sink=fakesink sync=true"))
	case "hls.js":
		return b.hlsJS(nil, lowLatency(hls))
	}
	return nil, fmt.Errorf("no player %q", name)
}

// hlsJS starts Chromium with a page that plays a low-latency playlist.
func (b *bench) hlsJS(ns inNamespace, url string) (*player, error) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		return nil, err
	}
	cmd := ns.command("node", filepath.Join("scripts", "e2e", "hlsjs.mjs"), url, chromium)
	cmd.Env = append(os.Environ(), "NODE_PATH="+b.modules)
	return b.counting("hls.js", `"shown":(\d+)`, cmd)
}

// counting starts a player that tells on standard output how many pictures it has shown.
func (b *bench) counting(name, pattern string, cmd *exec.Cmd) (*player, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p, err := b.start(name, cmd)
	if err != nil {
		return nil, err
	}
	var shown atomic.Int64
	go func() {
		count(out, regexp.MustCompile(pattern), &shown)
		p.reap()
	}()
	return &player{process: p, frames: func(context.Context) (int, error) { return int(shown.Load()), nil }}, nil
}

// count follows a figure in the lines of a player until they end. One that begins anew,
// as after a change of the picture's size, is added to what was.
func count(lines io.Reader, pattern *regexp.Regexp, shown *atomic.Int64) {
	var before, last int64
	scanner := bufio.NewScanner(lines)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		m := pattern.FindStringSubmatch(scanner.Text())
		if m == nil {
			continue
		}
		n, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil {
			continue
		}
		if n < last {
			before += last
		}
		last = n
		shown.Store(before + n)
	}
	_, _ = io.Copy(io.Discard, lines) // a line that was too long
}
