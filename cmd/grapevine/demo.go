package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/urfave/cli/v2"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/ingest"
)

const demoName = "demo"

// sampleInput is the built-in test card, which never ends.
const sampleInput = "sample:"

func demoCommand(env *environment) *cli.Command {
	return &cli.Command{
		Name:  demoName,
		Usage: "broadcast, relay and watch a built-in test card on this machine",
		Description: "Three nodes of their own in one process: a broadcaster, a relay that knows the broadcaster,\n" +
			"and a viewer that knows the relay only. They listen on 127.0.0.1 and on no other address,\n" +
			"keep nothing, and look for nobody.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "open", Usage: "open the page in the default browser"},
		},
		Action: func(c *cli.Context) error {
			set, err := readSettings(c)
			if err != nil {
				return err
			}
			if err := noArguments(c); err != nil {
				return err
			}
			if len(set.listen) > 0 {
				return &usageError{"demo listens for peers on 127.0.0.1 only.", "leave --listen out"}
			}
			return env.do(c, job{set: set, run: func(ctx context.Context, set settings) error {
				return runDemo(ctx, set, c.Bool("open"), newScreen(env, set.json))
			}})
		},
	}
}

func runDemo(ctx context.Context, set settings, open bool, scr *screen) (err error) {
	listener, err := listenHTTP(ctx, set.http)
	if err != nil {
		return err
	}
	door, err := openDoor(set.door, listener, set.http, nil)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	log := newLogger(scr, set.level)
	closeAll := func() error { return listener.Close() }
	defer func() { err = errors.Join(err, closeAll()) }()

	var nodes [3]*p2p.Node
	for i := range nodes {
		node, err := demoNode(set, log)
		if err != nil {
			return err
		}
		nodes[i] = node
		before := closeAll
		closeAll = func() error { return errors.Join(node.Close(), before()) }
	}
	broadcaster, relay, viewer := nodes[0], nodes[1], nodes[2]
	s, err := serveNode(ctx, roleDemo, viewer, serveConfig{listener: listener, door: door, dvr: set.dvr, metrics: newMetrics()}, scr, log)
	if err != nil {
		return err
	}
	// The session closes the viewer and the listener.
	closeAll = func() error { return errors.Join(s.close(), relay.Close(), broadcaster.Close()) }
	if err := s.startProfiler(s.ctx, set.pprof); err != nil {
		return err
	}

	in, err := ingest.New(ingest.Config{Input: sampleInput, Logger: log})
	if err != nil {
		return fmt.Errorf("open the test card: %w", err)
	}
	cast, err := broadcaster.Broadcast(stream.NewKey(), rendition, uint64(time.Now().UnixMilli()))
	if err != nil {
		return fmt.Errorf("broadcast: %w", err)
	}
	relaySwarm, err := relay.Join(cast.Swarm().Link())
	if err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	swarm, err := viewer.Join(relaySwarm.Link())
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	input := make(chan error, 1)
	s.running.Go(func() {
		err := in.Run(s.ctx, func(p stream.Part) error { return cast.Publish(s.ctx, p) })
		if s.ctx.Err() == nil {
			s.fail(fmt.Errorf("play the test card: %w", err))
		}
		input <- err
	})
	err = showDemo(s, set, swarm, open, broadcaster, relay)
	s.fail(nil)
	<-input // nothing may follow the end
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endGrace)
	defer cancel()
	if endErr := cast.End(end); endErr != nil && !errors.Is(endErr, context.DeadlineExceeded) {
		err = errors.Join(err, endErr)
	}
	return err
}

// demoNode starts a host of its own, reachable from this machine only.
func demoNode(set settings, log *slog.Logger) (*p2p.Node, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make node key: %w", err)
	}
	return startNode(nodeConfig{
		identity: &identity{key: key},
		listen:   []string{"/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"},
		upload:   set.upload,
		history:  set.dvr,
	}, newStore(set.cache, nil), log)
}

// showDemo tells what to open once it plays, and live figures of the three.
func showDemo(s *session, set settings, swarm *p2p.Swarm, open bool, broadcaster, relay *p2p.Node) error {
	s.screen.say("%s", s.screen.bold("A test card goes from a broadcaster by way of a relay to a viewer, all on this machine."))
	if err := s.awaitPlayable(swarm); err != nil || s.ctx.Err() != nil {
		return err
	}
	s.ready(swarm.Link())
	s.screen.settle()
	s.screen.say("It plays; open the page in a browser, or the other in VLC:")
	s.screen.field("page", s.pageURL())
	s.screen.field("hls", s.hlsURL(swarm.ID()))
	s.showNetwork()
	s.showLimits(set) // of each node
	s.openPage(open)
	s.follow(func() string {
		b, r, v := broadcaster.Stats(), relay.Stats(), s.node.Stats()
		return joinFacts(
			clock(time.Since(s.started)),
			"broadcaster up "+formatRate(b.RateOut),
			"relay down "+formatRate(r.RateIn)+" up "+formatRate(r.RateOut),
			"viewer down "+formatRate(v.RateIn),
			fmt.Sprintf("%.0f s ready to play", s.server.Buffer(swarm.ID()).Seconds()),
		)
	}, nil)
	return s.why()
}
