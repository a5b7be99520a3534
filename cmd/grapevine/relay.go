package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
)

func relayCommand(env *environment) *cli.Command {
	return &cli.Command{
		Name:      "relay",
		Usage:     "keep streams and pass them on, headless",
		ArgsUsage: "[LINK|STREAM-ID …]",
		Flags:     slices.Concat([]cli.Flag{qrFlag(), recordFlag(), bootstrapOnlyFlag(), viewerOriginFlag(), relayMediaFlag()}, dhtFlags(), gatewayFlags()),
		Action: func(c *cli.Context) error {
			set, err := readSettings(c)
			if err != nil {
				return err
			}
			if err := readNetwork(c, &set); err != nil {
				return err
			}
			if set.relay, err = readRelay(c); err != nil {
				return err
			}
			links, err := readLinks(c.Args().Slice())
			if err != nil {
				return err
			}
			origins, err := readOrigins(c)
			if err != nil {
				return err
			}
			return relay(c.Context, set, links, origins, c.Bool("qr"), newScreen(env, set.json))
		},
	}
}

func relayMediaFlag() cli.Flag {
	return &cli.StringFlag{Name: "relay-media", Usage: "carry media, too, between nodes that cannot reach each other directly, at `RATE` in all, such as 20Mbit/s", DefaultText: "only what it takes them to connect"}
}

// readRelay reads what a relay does for nodes that nobody can reach directly.
func readRelay(c *cli.Context) (*p2p.RelayConfig, error) {
	cfg := &p2p.RelayConfig{}
	if text := c.String("relay-media"); text != "" {
		rate, err := parseRate(text)
		if err != nil || rate < minUpload {
			return nil, badFlag("relay-media", text, "a rate in bits per second looks like 20Mbit/s; at least "+formatRate(minUpload)+" are needed")
		}
		cfg.Media = rate
	}
	return cfg, nil
}

func relay(ctx context.Context, set settings, links []stream.Link, origins []string, qr bool, scr *screen) (err error) {
	h, err := openHome(set.home)
	if err != nil {
		return err
	}
	s, err := startSession(ctx, roleRelay, set, h, scr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	own := make([]stream.Link, 0, len(links))
	for _, l := range links {
		swarm, err := s.node.Join(l)
		if err != nil {
			return fmt.Errorf("join stream %s: %w", l.Stream.Short(), err)
		}
		if err := swarm.UseOrigins(origins); err != nil {
			return err
		}
		own = append(own, swarm.Link())
	}
	s.ready(own...)
	switch {
	case set.dht != nil && set.dht.Server:
		s.showBootstrap()
	case len(own) == 0:
		scr.say("%s", scr.bold("Relaying "+count(len(own), "stream")))
		scr.say("This node only keeps its place: name the streams to pass on as links.")
	default:
		scr.say("%s", scr.bold("Relaying "+count(len(own), "stream")))
	}
	for _, l := range own {
		scr.field("share", l.String())
		scr.field("hls", s.hlsURL(l.Stream))
		scr.field("rewind", s.dvrURL(l.Stream))
		if err := s.showQR(qr, l); err != nil {
			return err
		}
	}
	if addrs := s.node.Addrs(); len(addrs) > 0 {
		scr.field("peer", addrs[0])
	}
	scr.field("page", s.pageURL())
	s.showGateway()
	s.showUpload(set)
	s.showRecording(set)
	s.follow(func() string { return relayLine(s) }, nil)
	return s.why()
}

// relayLine is one line of truth for whoever lends a machine.
func relayLine(s *session) string {
	st := s.node.Stats()
	peers := make(map[string]struct{})
	var all []p2p.SwarmStats
	for _, sw := range s.node.Swarms() {
		stats := sw.Stats()
		all = append(all, stats)
		for _, p := range stats.Peers {
			peers[p.ID.String()] = struct{}{}
		}
	}
	return joinFacts(
		clock(time.Since(s.started)),
		count(len(s.node.Swarms()), "stream"),
		count(len(peers), "peer"),
		offloadFact(all...),
		s.gatewayFact(),
		"down "+formatRate(st.RateIn),
		"up "+formatRate(st.RateOut)+roomFor(st)+" ("+formatBytes(st.BytesOut)+" given)",
		"keeping "+formatBytes(s.node.Store().Stats().Bytes),
		dhtPeers(st),
	)
}

// roomFor says what the uplink was found to have room for.
func roomFor(st p2p.Stats) string {
	if st.UploadKnown || st.UploadBound == 0 {
		return ""
	}
	return " of about " + formatRate(float64(st.UploadBound))
}
