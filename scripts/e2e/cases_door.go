//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// slowClients are more than any player opens, and as many as a node holds.
const slowClients = 1000

// doorCase tries who gets in at a node, and has a player play among slow clients.
func doorCase(ctx context.Context, b *bench) (string, error) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		return "", err
	}
	b.closed = true
	c, err := b.chain(ctx)
	if err != nil {
		return "", err
	}
	own, err := ownAddress()
	if err != nil {
		return "", err
	}
	// What comes by this machine's address of the network is another machine's to the node.
	b.http = net.JoinHostPort(own.String(), "0")
	beyond, err := b.grapevine(ctx, nil, "beyond", nil, append([]string{"watch", c.relay.Link}, anyLoopback...)...)
	if err != nil {
		return "", err
	}
	other, err := b.serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><html lang="en"><title>Another site</title><link rel="icon" href="data:,">`+
			`<iframe id="page" src=%q></iframe><iframe id="player" src="%sembed/%s"></iframe><a href=%q>Watch</a>`, c.viewer.Page, c.viewer.Page, c.viewer.Stream, beyond.Page)
	}))
	if err != nil {
		return "", err
	}
	if _, err := b.node(ctx, "door.mjs", c.viewer.Page, c.viewer.HLS, chromium, other, beyond.Page); err != nil {
		return "", err
	}
	player, err := b.ffmpeg(nil, beyond.HLS, 5)
	if err != nil {
		return "", err
	}
	if _, err := player.perfect(ctx, 5*frameRate); err != nil {
		return "", fmt.Errorf("with the token in the address: %w", err)
	}
	frames, conns, err := b.playAmongSlow(ctx, c.viewer)
	return fmt.Sprintf("all refused that should be, the page's policy holds; %d of %d frames among %d slow clients", frames, amongSlow*frameRate, conns), err
}

// ownAddress returns an address of this machine's in a network.
func ownAddress() (netip.Addr, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Addr{}, err
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && p.Addr().IsGlobalUnicast() {
			return p.Addr(), nil
		}
	}
	return netip.Addr{}, errors.New("this machine has no address in a network")
}

// amongSlow is how long a player plays among slow clients, in seconds.
const amongSlow = 20

// playAmongSlow has ffmpeg play while slow clients hold a node's connections, and returns how
// many the node counted.
func (b *bench) playAmongSlow(ctx context.Context, n *node) (frames int, conns int64, err error) {
	at, err := url.Parse(n.Page)
	if err != nil {
		return 0, 0, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var slow sync.WaitGroup
	defer slow.Wait()
	defer cancel()
	for i := range slowClients {
		slow.Go(func() { beSlow(ctx, at.Host, i) })
	}
	for conns < slowClients*9/10 && ctx.Err() == nil { // as they come
		if conns, err = connections(ctx, n.Page); err != nil {
			return 0, 0, err
		}
	}
	player, err := b.ffmpeg(nil, n.HLS, amongSlow)
	if err != nil {
		return 0, 0, err
	}
	frames, err = player.perfect(ctx, amongSlow*frameRate)
	return frames, conns, err
}

// connections returns how many a node has.
func connections(ctx context.Context, page string) (int64, error) {
	body, err := get(ctx, page+"api/v1/status")
	var status struct {
		HTTP struct {
			Conns int64 `json:"conns"`
		} `json:"http"`
	}
	if err == nil {
		err = json.Unmarshal(body, &status)
	}
	return status.HTTP.Conns, err
}

// beSlow sends a header that never ends, or takes an answer that nobody could wait for, and
// comes back whenever it is cut off.
func beSlow(ctx context.Context, host string, number int) {
	for ctx.Err() == nil {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", host)
		if err != nil {
			return
		}
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		_, err = io.WriteString(conn, "GET /hls.min.js HTTP/1.1\r\nHost: "+host+"\r\n")
		one := make([]byte, 1)
		for err == nil {
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
			if number%2 == 0 {
				_, err = io.WriteString(conn, "X-More: "+strings.Repeat("x", 100)+"\r\n")
			} else if _, err = io.WriteString(conn, "\r\n"); err == nil {
				_, err = conn.Read(one)
				number += 2 // the answer is there: from now on it only waits
			}
		}
		stop()
		conn.Close()
	}
}
