//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ffmpegPlayer decodes a stream as ffmpeg plays it, and notes each frame's time.
type ffmpegPlayer struct {
	*process
	video string // file with a line per frame
}

// ffmpeg plays as many pictures of url as last that long, with some options for the input,
// and writes what it decoded beside its log. Sound may begin before the first picture.
func (b *bench) ffmpeg(ns inNamespace, url string, seconds int, options ...string) (*ffmpegPlayer, error) {
	video := filepath.Join(b.dir, fmt.Sprintf("%02d-video.framecrc", len(b.processes)+1))
	audio := filepath.Join(b.dir, fmt.Sprintf("%02d-audio.framecrc", len(b.processes)+1))
	pictures, limit := strconv.Itoa(seconds*frameRate), strconv.Itoa(seconds)
	args := append([]string{"-hide_banner", "-nostdin", "-y", "-v", "error", "-copyts", "-start_at_zero"}, options...)
	args = append(args, "-i", url,
		"-frames:v", pictures, "-map", "0:v:0", "-fps_mode", "passthrough", "-enc_time_base:v", "1:90000", "-flush_packets", "1", "-f", "framecrc", video,
		"-t", limit, "-map", "0:a:0", "-f", "framecrc", audio)
	cmd := ns.command("ffmpeg", args...)
	p, err := b.start("ffmpeg", cmd)
	if err != nil {
		return nil, err
	}
	go p.reap()
	return &ffmpegPlayer{p, video}, nil
}

// frames returns the times of the frames decoded so far, in ticks of 1/90000 s.
func (p *ffmpegPlayer) frames() ([]int64, error) {
	f, err := os.Open(p.video)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // it waits for the first segment
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var times []int64
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// stream, dts, pts, duration, size, checksum
		fields := strings.Split(lines.Text(), ",")
		if strings.HasPrefix(fields[0], "#") || len(fields) < 6 {
			continue
		}
		t, err := strconv.ParseInt(strings.TrimSpace(fields[2]), 10, 64)
		if err != nil {
			return nil, err
		}
		times = append(times, t)
	}
	return times, lines.Err()
}

// complained returns what ffmpeg wrote to standard error.
func (p *ffmpegPlayer) complained() string {
	raw, _ := os.ReadFile(p.log)
	return strings.TrimSpace(string(raw))
}

// perfect waits for the player to end, and checks that it decoded at least so many
// frames, each exactly one frame's time after the one before, without an error.
func (p *ffmpegPlayer) perfect(ctx context.Context, atLeast int) (int, error) {
	return p.steps(ctx, atLeast, ticksPerFrame, ticksPerFrame)
}

// steady is perfect, but for frames that may be up to most ticks after the one before.
func (p *ffmpegPlayer) steady(ctx context.Context, atLeast int, most int64) (int, error) {
	return p.steps(ctx, atLeast, 1, most)
}

func (p *ffmpegPlayer) steps(ctx context.Context, atLeast int, least, most int64) (int, error) {
	if err := p.wait(ctx); err != nil {
		return 0, err
	}
	if text := p.complained(); text != "" || p.err != nil {
		return 0, fmt.Errorf("ffmpeg: %v %s", p.err, text)
	}
	times, err := p.frames()
	if err != nil {
		return 0, err
	}
	if err := evenly(times, least, most); err != nil {
		return len(times), err
	}
	if len(times) < atLeast {
		return len(times), fmt.Errorf("%d frames were decoded, want %d", len(times), atLeast)
	}
	return len(times), nil
}

// evenly checks that each frame is so many ticks after the one before.
func evenly(times []int64, least, most int64) error {
	for i := 1; i < len(times); i++ {
		if step := times[i] - times[i-1]; step < least || step > most {
			return fmt.Errorf("frame %d of %d comes %d ticks after the one before, want %d to %d", i, len(times), step, least, most)
		}
	}
	return nil
}

// awaitFrames waits until the player has decoded more than so many frames.
func (p *ffmpegPlayer) awaitFrames(ctx context.Context, more int) (int, error) {
	for {
		times, err := p.frames()
		if err != nil || len(times) > more {
			return len(times), err
		}
		select {
		case <-p.done:
			return len(times), fmt.Errorf("ffmpeg ended after %d frames: %v %s", len(times), p.err, p.complained())
		case <-ctx.Done():
			return len(times), fmt.Errorf("ffmpeg stays at %d frames: %w", len(times), context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// vlcPlayer is VLC. It refuses to run as root.
type vlcPlayer struct {
	*process
	control string // address of its rc interface
}

// onNoScreen are VLC's options for nobody to look at it.
var onNoScreen = []string{"--vout", "dummy"}

func (b *bench) vlc(ns inNamespace, url string, screen ...string) (*vlcPlayer, error) {
	home, err := os.MkdirTemp("", "grapevine-vlc-")
	if err != nil {
		return nil, err
	}
	b.cleanups = append(b.cleanups, func() { os.RemoveAll(home) })
	control, err := freeAddr("tcp")
	if err != nil {
		return nil, err
	}
	args := append([]string{"cvlc", "-q", "--no-color", "--aout", "dummy",
		"--extraintf", "rc", "--rc-host", control, "--play-and-exit", url}, screen...)
	if os.Geteuid() == 0 {
		if err := os.Chmod(home, 0o777); err != nil {
			return nil, err
		}
		args = append([]string{"runuser", "-u", "nobody", "--"}, args...)
	}
	cmd := ns.command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_RUNTIME_DIR="+home)
	cmd.Dir = home
	p, err := b.start("vlc", cmd)
	if err != nil {
		return nil, err
	}
	go p.reap()
	return &vlcPlayer{p, control}, nil
}

// vlcFigure finds "| frames displayed :     1234" in what stats answers.
var vlcFigure = regexp.MustCompile(`(?m)(frames displayed|frames lost|audio decoded)\s*:\s*(\d+)`)

// figures asks VLC for its statistics.
func (p *vlcPlayer) figures(ctx context.Context) (map[string]int, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", p.control)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, "stats\n"); err != nil {
		return nil, err
	}
	var answer strings.Builder
	lines := bufio.NewScanner(conn)
	for lines.Scan() && !strings.Contains(lines.Text(), "end of statistical info") {
		answer.WriteString(lines.Text() + "\n")
	}
	figures := make(map[string]int)
	for _, m := range vlcFigure.FindAllStringSubmatch(answer.String(), -1) {
		figures[m[1]], _ = strconv.Atoi(m[2])
	}
	return figures, lines.Err()
}

// shown returns how many frames VLC has displayed and lost.
func (p *vlcPlayer) shown(ctx context.Context) (displayed, lost int, err error) {
	figures, err := p.figures(ctx)
	return figures["frames displayed"], figures["frames lost"], err
}

// awaitShown waits until VLC has displayed more than so many frames.
func (p *vlcPlayer) awaitShown(ctx context.Context, more int) (displayed, lost int, err error) {
	for {
		// VLC takes a while to open its interface.
		if displayed, lost, err = p.shown(ctx); err == nil && displayed > more {
			return displayed, lost, nil
		}
		select {
		case <-p.done:
			return displayed, lost, fmt.Errorf("VLC ended after %d frames: %v", displayed, p.err)
		case <-ctx.Done():
			return displayed, lost, fmt.Errorf("VLC stays at %d frames (%v): %w", displayed, err, context.Cause(ctx))
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// freeAddr returns an address of this machine that was free a moment ago, for programs
// that cannot pick one themselves or must come back to it.
func freeAddr(network string) (string, error) {
	if network == "udp" {
		c, err := net.ListenPacket(network, "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		defer c.Close()
		return c.LocalAddr().String(), nil
	}
	l, err := net.Listen(network, "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
