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
		Flags:     slices.Concat([]cli.Flag{streamsFlag(), qrFlag(), recordFlag(), bootstrapOnlyFlag(), viewerOriginFlag(), relayMediaFlag(), browsersFlag(), reportFlag()}, dhtFlags(), cacheFlags(), gatewayFlags(), policyFlags(), followFlags()),
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
			set.browsers = !c.Bool(noBrowsers)
			links, err := carriedLinks(c)
			if err != nil {
				return err
			}
			origins, err := readOrigins(c)
			if err != nil {
				return err
			}
			if set.policy, err = readPolicy(c); err != nil {
				return err
			}
			if err := checkAllowed(&set.policy, links); err != nil {
				return err
			}
			follow, err := readFollow(c)
			if err != nil {
				return err
			}
			return env.do(c, job{set: set, links: links, origins: origins, run: func(ctx context.Context, set settings) error {
				return relay(ctx, set, links, origins, follow, c.Bool("qr"), newScreen(env, set.json))
			}})
		},
	}
}

const streamsName = "streams"

func streamsFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: streamsName, Usage: "carry the stream of `LINK`, or of a stream ID, as an argument does; may be given more than once"}
}

// carried returns the streams to carry: those of the command line, if it has any.
func carried(c *cli.Context) []string {
	if c.Args().Present() && givenOf(c)[streamsName].kind != fromFlag {
		return c.Args().Slice()
	}
	return slices.Concat(c.Args().Slice(), c.StringSlice(streamsName))
}

// carriedLinks reads them.
func carriedLinks(c *cli.Context) ([]stream.Link, error) {
	if !c.Args().Present() {
		for _, text := range c.StringSlice(streamsName) {
			if _, err := readLinks([]string{text}); err != nil {
				return nil, badFlag(streamsName, text, "a stream is named by its link or its ID, as the broadcaster prints them")
			}
		}
	}
	return readLinks(carried(c))
}

func relayMediaFlag() cli.Flag {
	return &cli.StringFlag{Name: "relay-media", Usage: "carry media, too, between nodes that cannot reach each other directly, at `RATE` in all, such as 20Mbit/s", DefaultText: "only what it takes them to connect"}
}

// readRelay reads what a relay does for nodes that nobody can reach directly.
func readRelay(c *cli.Context) (*p2p.RelayConfig, error) {
	cfg := &p2p.RelayConfig{}
	if text := c.String("relay-media"); text != "" {
		rate, err := parseRate(text)
		if err != nil || rate < minRate {
			return nil, badFlag("relay-media", text, "a rate in bits per second looks like 20Mbit/s; at least "+formatRate(minRate)+" are needed")
		}
		cfg.Media = rate
	}
	return cfg, nil
}

func relay(ctx context.Context, set settings, links []stream.Link, origins []string, follow int, qr bool, scr *screen) (err error) {
	h, err := openHome(set.home, set.passphrase)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
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
	s.tellClosed()
	switch {
	case set.dht != nil && set.dht.Server:
		s.showBootstrap()
	case follow > 0:
		scr.say("%s", scr.bold(fmt.Sprintf("Relaying %s, and up to %s", count(len(own), "stream"), count(follow, "public stream"))))
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
		s.showQR(qr, l)
	}
	if addrs := s.node.Addrs(); len(addrs) > 0 {
		scr.field("peer", addrs[0])
	}
	scr.field("page", s.pageURL())
	s.showNetwork()
	s.showGateway()
	s.showReports()
	s.showLimits(set)
	s.showRecording(set)
	if follow > 0 {
		s.serve(newVolunteer(s, follow).run)
	}
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
		"down "+formatRate(rateDown(st, all...)),
		"up "+formatRate(st.RateOut)+roomFor(st)+" ("+formatBytes(st.BytesOut)+" given)",
		keepingFact(s.node.Store().Stats()),
		dhtPeers(st),
		s.keepFact(),
	)
}

// roomFor says what the uplink was found to have room for.
func roomFor(st p2p.Stats) string {
	if st.UploadKnown || st.UploadBound == 0 {
		return ""
	}
	return " of about " + formatRate(float64(st.UploadBound))
}
