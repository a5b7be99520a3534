//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
)

// controlsCase uses the page as people do.
func controlsCase(ctx context.Context, b *bench) (string, error) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		return "", err
	}
	c, err := b.chain(ctx)
	if err != nil {
		return "", err
	}
	framing, err := b.serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><html lang="en"><title>Talks</title><link rel="icon" href="data:,"><main><h1>Talks</h1>`+
			`<iframe id="player" title="The talk" src="%sembed/%s" width="640" height="360" allow="autoplay; fullscreen; picture-in-picture"></iframe>`+
			`<iframe id="page" title="The page" src="%s" width="64" height="36"></iframe></main>`, c.viewer.Page, c.viewer.Stream, c.viewer.Page)
	}))
	if err != nil {
		return "", err
	}
	out, err := b.node(ctx, "controls.mjs", c.viewer.Page, b.dir, chromium, framing)
	return fmt.Sprintf("keys, rewinding, sound, full screen; accessible in light, dark and narrow; framed; badge %q; screenshots in %s", strings.TrimSpace(out), b.dir), err
}

// streamsCase chooses between two streams of one node.
func streamsCase(ctx context.Context, b *bench) (string, error) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		return "", err
	}
	args := append([]string{"relay"}, anyLoopback...)
	for _, name := range []string{"one", "two"} {
		broadcaster, err := b.grapevine(ctx, nil, name, nil, append([]string{"broadcast", "--input", "sample:"}, anyLoopback...)...)
		if err != nil {
			return "", err
		}
		args = append(args, broadcaster.Link)
	}
	relay, err := b.grapevine(ctx, nil, "relay", nil, args...)
	if err != nil {
		return "", err
	}
	_, err = b.node(ctx, "streams.mjs", relay.Page, b.dir, chromium)
	return "the address keeps the choice", err
}

// serve answers on a free port of this machine until the case ends.
func (b *bench) serve(h http.Handler) (url string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // until it is closed
	}()
	b.cleanups = append(b.cleanups, func() {
		_ = server.Close()
		<-done
	})
	return "http://" + l.Addr().String() + "/", nil
}

// levelsCase chooses quality, language and subtitles, and rewinds into the archive. No
// node makes all of that yet, so its playlists are a stand-in's.
func levelsCase(ctx context.Context, b *bench) (string, error) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		return "", err
	}
	broadcaster, err := b.broadcaster(ctx, nil, anyLoopback...)
	if err != nil {
		return "", err
	}
	// The page waits until the node's own stream is playable.
	if _, err := mediaURL(ctx, broadcaster.HLS); err != nil {
		return "", err
	}
	without, err := newLevels(ctx, b.dir, broadcaster)
	if err != nil {
		return "", err
	}
	with := *without
	with.archive = true
	urlWith, err := b.serve(&with)
	if err != nil {
		return "", err
	}
	urlWithout, err := b.serve(without)
	if err != nil {
		return "", err
	}
	out, err := b.node(ctx, "levels.mjs", urlWith, b.dir, chromium, urlWithout)
	return strings.TrimSpace(out), err
}
