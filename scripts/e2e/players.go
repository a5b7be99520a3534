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
	"time"
)

// player is a player that counts the pictures that it has shown.
type player struct {
	*process
	frames func(context.Context) (int, error)
	seen   []sighting
	usual  time.Duration // without a new picture, by its nature
	heard  *atomic.Int64 // bytes of sound that it has decoded; nil if it does not tell
	cannot string        // why it shows nothing; "" if it shall show pictures
	mute   string        // why it plays no sound; "" if it shall
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

// refusal returns the first fatal error of hls.js, "" if it has none.
func (p *player) refusal() string {
	raw, _ := os.ReadFile(p.log)
	for line := range strings.Lines(string(raw)) {
		if _, why, ok := strings.Cut(line, " fatal "); ok {
			return fmt.Sprintf("%.200s", strings.TrimSpace(why))
		}
	}
	return ""
}

const (
	// lowLatencyPlayer is hls.js that plays ll.m3u8.
	lowLatencyPlayer = "hls.js-ll"
	// rewindingPlayer is hls.js that plays the end of dvr.m3u8.
	rewindingPlayer = "hls.js-dvr"
)

func (b *bench) mpv(ns inNamespace, hls string) (*player, error) {
	return b.counting("mpv", ns.command("mpv", "--no-config", "--msg-level=all=warn,frames=info",
		"--vo=null", "--ao=null", "--script=scripts/e2e/frames.lua", hls), newTally(`shown (\d+)`))
}

// firstPicture returns when a player was first seen to have shown something.
func (p *player) firstPicture() time.Time {
	for _, s := range p.seen {
		if s.frames > 0 {
			return s.at
		}
	}
	return time.Time{}
}

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
		return b.counting(name, exec.Command("ffmpeg", "-hide_banner", "-nostdin", "-v", "warning",
			"-stats_period", "0.25", "-i", hls, "-map", "0", "-f", "null", "-", "-progress", "pipe:1"), newTally(`^frame=(\d+)`))
	case "mpv":
		return b.mpv(nil, hls)
	case "gstreamer":
		return b.counting(name, exec.Command("gst-launch-1.0", "-v", "playbin", "uri="+hls,
			"video-sink=fpsdisplaysink text-overlay=false fps-update-interval=250 video-sink=fakesink sync=true", "audio-sink=fakesink sync=true"),
			newTally(`rendered: (\d+)`))
	case "hls.js":
		return b.hlsJS(name, hls)
	case lowLatencyPlayer:
		return b.hlsJS(name, lowLatency(hls))
	case rewindingPlayer:
		return b.hlsJS(name, rewindable(hls))
	}
	return nil, fmt.Errorf("no player %q", name)
}

// hlsJS starts Chromium with a page that plays a playlist.
func (b *bench) hlsJS(name, url string) (*player, error) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("node", filepath.Join("scripts", "e2e", "hlsjs.mjs"), url, chromium)
	cmd.Env = append(os.Environ(), "NODE_PATH="+b.modules)
	heard := newTally(`"sound":(\d+)`)
	p, err := b.counting(name, cmd, newTally(`"shown":(\d+)`), heard)
	if err == nil {
		p.heard = &heard.sum
	}
	return p, err
}

// tally is a figure that a player tells of again and again on standard output.
type tally struct {
	pattern *regexp.Regexp // of a line, with the figure as its group
	sum     atomic.Int64
	last    int64
}

func newTally(pattern string) *tally { return &tally{pattern: regexp.MustCompile(pattern)} }

// read takes the figure from a line that has it. One that begins anew, as after a change of
// the picture's size, is added to what was.
func (t *tally) read(line string) {
	m := t.pattern.FindStringSubmatch(line)
	if m == nil {
		return
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return
	}
	if n < t.last {
		t.last = 0
	}
	t.sum.Add(n - t.last)
	t.last = n
}

// count follows figures in the lines of a player until they end.
func count(lines io.Reader, tallies ...*tally) {
	scanner := bufio.NewScanner(lines)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		for _, t := range tallies {
			t.read(scanner.Text())
		}
	}
	_, _ = io.Copy(io.Discard, lines) // a line that was too long
}

// counting starts a player that tells how many pictures it has shown, and perhaps more.
func (b *bench) counting(name string, cmd *exec.Cmd, shown *tally, more ...*tally) (*player, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p, err := b.start(name, cmd)
	if err != nil {
		return nil, err
	}
	go func() {
		count(out, append(more, shown)...)
		p.reap()
	}()
	return &player{process: p, frames: func(context.Context) (int, error) { return int(shown.sum.Load()), nil }}, nil
}
