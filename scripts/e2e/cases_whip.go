//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// whipCase goes live from a browser's camera by the page of a WHIP input, and has ffmpeg,
// VLC and the viewer's page play that, until the page stops.
func whipCase(ctx context.Context, b *bench) (string, error) {
	broadcaster, page, stop, err := b.whip(ctx)
	if err != nil {
		return "", err
	}
	c, err := b.chainBehind(ctx, broadcaster)
	if err != nil {
		return "", err
	}
	play, err := b.playBoth(ctx, c.viewer.HLS)
	if err != nil {
		return "", err
	}
	if err := play.goOn(ctx); err != nil {
		return "", err
	}
	if _, err := b.playPage(ctx, c.viewer.Page); err != nil {
		return "", err
	}
	if err := stop(); err != nil {
		return "", err
	}
	if err := page.wait(ctx); err != nil {
		return "", err
	}
	if page.err != nil {
		return "", fmt.Errorf("the page's check ended with %w", page.err)
	}
	now, err := broadcaster.await(ctx, "that the page has stopped", func(s stats) bool { return s.Input.Gone > 0 })
	if err != nil {
		return "", err
	}
	decoded, err := play.ffmpeg.frames()
	if err != nil {
		return "", err
	}
	shown, _, err := play.vlc.shown(ctx)
	return fmt.Sprintf("ffmpeg decoded %d pictures, VLC showed %d, the page plays; %d packets lost, %d frames left out", len(decoded), shown, now.Input.LostRTP, now.Input.LeftOut), err
}

// whip starts a broadcaster, and a browser that publishes its camera to it until stop is called.
func (b *bench) whip(ctx context.Context) (broadcaster *node, page *process, stop func() error, err error) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		return nil, nil, nil, err
	}
	args := append([]string{"broadcast", "--input", "whip://127.0.0.1:0/live", "--stream-key", encoderKey, "--log-level", "info"}, anyLoopback...)
	if broadcaster, err = b.grapevine(ctx, nil, "broadcaster", nil, args...); err != nil {
		return nil, nil, nil, err
	}
	now, err := broadcaster.await(ctx, "the address of its input", func(s stats) bool { return s.Input.Listen != "" })
	if err != nil {
		return nil, nil, nil, err
	}
	page, stop, err = b.goLive(ctx, chromium, "http://"+now.Input.Listen+"/")
	return broadcaster, page, stop, err
}

// goLive publishes from a page in Chromium until stop is called.
func (b *bench) goLive(ctx context.Context, chromium, url string) (page *process, stop func() error, err error) {
	cmd := exec.Command("node", filepath.Join("scripts", "e2e", "golive.mjs"), url, encoderKey, b.dir, chromium)
	cmd.Env = append(os.Environ(), "NODE_PATH="+b.modules)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if page, err = b.start("golive", cmd); err != nil {
		return nil, nil, err
	}
	first := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(out)
		lines.Scan()
		first <- lines.Text()
		for lines.Scan() {
		}
		page.reap()
	}()
	select {
	case line := <-first:
		if strings.TrimSpace(line) != "live" {
			return nil, nil, fmt.Errorf("the page did not go live, see %s", page.log)
		}
		return page, in.Close, nil
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("the page did not go live: %w", context.Cause(ctx))
	}
}
