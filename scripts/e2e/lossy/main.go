//go:build linux

// Command lossy is a viewer's node that can be told to lose what comes to it. It joins a
// swarm as grapevine watch does; between the node and the HLS server lies a copy of the
// timeline and the store, into which parts come late, or not at all:
//
//	swarm -> node's timeline, store -> relayed, held back or left out -> copies -> hls.Server
//
// It takes commands on standard input, one a line: "late 12s" holds back all that comes
// for so long, and "hole" leaves out the next segment. It prints the same ready event as
// grapevine watch --json. scripts/e2e uses it.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/grapevine-live/grapevine/hls"
	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
)

func main() {
	link := flag.String("link", "", "watch the stream that `LINK` names")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *link); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, text string) error {
	link, err := stream.ParseLink(text)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	node, err := p2p.New(p2p.Config{
		Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"},
		Store:  stream.NewStore(0),
		Logger: log,
	})
	if err != nil {
		return err
	}
	if err := node.Start(); err != nil {
		return err
	}
	defer node.Close()
	swarm, err := node.Join(link)
	if err != nil {
		return err
	}
	lossy := newLossy(swarm, node.Store(), log)
	server, err := hls.NewServer(hls.Config{Node: lossy, Door: hls.Door{Origins: []string{hls.AllOrigins}}, Logger: log})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel(nil)
	for _, service := range []func() error{
		func() error { return server.Run(ctx) },
		func() error { return server.Serve(ctx, listener) },
		func() error { return lossy.run(ctx) },
	} {
		running.Go(func() {
			if err := service(); err != nil {
				cancel(err)
			}
		})
	}
	if err := server.WaitPlayable(ctx, link.Stream); err != nil {
		return err
	}
	base := "http://" + listener.Addr().String() + "/"
	if err := json.NewEncoder(os.Stdout).Encode(map[string]string{
		"event":   "ready",
		"role":    "watch",
		"stream":  link.Stream.String(),
		"hls":     base + link.Stream.String() + "/index.m3u8",
		"page":    base,
		"peer_id": node.ID().String(),
	}); err != nil {
		return err
	}
	go lossy.obey(cancel)
	<-ctx.Done()
	return context.Cause(ctx)
}

// obey carries out the commands on standard input until it ends.
func (l *lossy) obey(fail context.CancelCauseFunc) {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		what, arg, _ := strings.Cut(lines.Text(), " ")
		switch what {
		case "late":
			d, err := time.ParseDuration(arg)
			if err != nil {
				fail(fmt.Errorf("command %q: %w", lines.Text(), err))
				return
			}
			l.late(d)
		case "hole":
			l.hole()
		default:
			fail(fmt.Errorf("unknown command %q", lines.Text()))
			return
		}
	}
}
