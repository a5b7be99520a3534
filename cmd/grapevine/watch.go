package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	// progressEvery is how often a command that waits says what it waits for.
	progressEvery = 250 * time.Millisecond
	// lonelyAfter is when a viewer that found nobody is told why that may be.
	lonelyAfter = 10 * time.Second
)

func watchCommand(env *environment) *cli.Command {
	return &cli.Command{
		Name:      "watch",
		Usage:     "watch a stream in any player, and pass it on",
		ArgsUsage: "LINK|STREAM-ID",
		Flags: slices.Concat([]cli.Flag{
			&cli.BoolFlag{Name: "open", Usage: "open the page in the default browser"},
			qrFlag(),
			recordFlag(),
			viewerOriginFlag(),
			reportFlag(),
		}, dhtFlags(), cacheFlags(), gatewayFlags(), policyFlags()),
		Action: func(c *cli.Context) error {
			set, err := readSettings(c)
			if err != nil {
				return err
			}
			if err := readNetwork(c, &set); err != nil {
				return err
			}
			if c.NArg() != 1 {
				return &usageError{"watch needs one link.", "grapevine watch 'grapevine://…?peer=…', or the bare stream ID; the broadcaster prints both"}
			}
			links, err := readLinks(c.Args().Slice())
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
			w := watch{link: links[0], origins: origins, open: c.Bool("open"), qr: c.Bool("qr")}
			return env.do(c, job{set: set, links: links, origins: origins, run: func(ctx context.Context, set settings) error {
				return w.run(ctx, set, newScreen(env, set.json))
			}})
		},
	}
}

// watch is the command's own settings.
type watch struct {
	link     stream.Link
	origins  []string // besides the link's
	open, qr bool
}

func (w *watch) run(ctx context.Context, set settings, scr *screen) (err error) {
	if err := w.check(set); err != nil {
		return err
	}
	h, err := openHome(set.home, set.passphrase)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	if err := w.readInvite(&set, h); err != nil {
		return err
	}
	s, err := startSession(ctx, roleWatch, set, h, scr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	swarm, err := s.node.Join(w.link)
	if err != nil {
		return fmt.Errorf("join stream %s: %w", w.link.Stream.Short(), err)
	}
	if err := swarm.UseOrigins(w.origins); err != nil {
		return err
	}
	s.tellClosed()
	if err := w.enrol(s, h, swarm); err != nil {
		return err
	}
	if err := s.awaitPlayable(swarm); err != nil || s.ctx.Err() != nil {
		return err
	}
	if w.link.Invite != nil {
		if err := h.keepInvite(w.link.Invite); err != nil {
			return err
		}
	}
	s.running.Go(func() { s.watchRefusals(swarm) })
	w.announce(s, set, swarm.Link())
	s.follow(func() string { return viewerLine(s, swarm) }, nil)
	return s.why()
}

// check refuses a link that can lead nowhere.
func (w *watch) check(set settings) error {
	if len(w.link.Peers)+len(w.origins)+len(w.link.Origins.URLs()) > 0 || set.mdns || set.dht != nil || len(set.listen) > 0 {
		return nil
	}
	h, err := findHome(set.home)
	if err != nil {
		return err
	}
	if known, err := (memory{h}).Recall(w.link.Stream); err == nil && len(known) > 0 {
		return nil
	}
	return &usageError{"The link names no peer, and with --no-mdns and --no-dht none can be found.", "use the whole link, with its ?peer=…, or leave one of the two out"}
}

func (w *watch) announce(s *session, set settings, link stream.Link) {
	s.ready(link)
	s.screen.settle()
	s.screen.say("%s", s.screen.bold("Watching; open this in VLC or any other player:"))
	s.showTitle(w.link.Stream)
	s.screen.field("hls", s.hlsURL(w.link.Stream))
	s.screen.field("rewind", s.dvrURL(w.link.Stream))
	s.screen.field("page", s.pageURL())
	s.screen.field("share", link.String())
	s.showNetwork()
	s.showGateway()
	s.showReports()
	s.showLimits(set)
	s.showRecording(set)
	s.openPage(w.open)
	s.showQR(w.qr, link)
}

// awaitPlayable waits until players can start, and says meanwhile what is missing. It
// returns nil if the session's context ended because of a signal.
func (s *session) awaitPlayable(swarm *p2p.Swarm) error {
	playable := make(chan error, 1)
	s.running.Go(func() { playable <- s.server.WaitPlayable(s.ctx, swarm.ID()) })
	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()
	start, lonely := time.Now(), false
	last := ""
	for {
		select {
		case err := <-playable:
			if s.ctx.Err() != nil {
				return s.why()
			}
			return err
		case <-ticker.C:
		}
		if err := s.refused(swarm); err != nil {
			return err
		}
		st := swarm.Stats()
		stage, detail := waitingFor(st)
		if closed := s.closedFact(); closed != "" {
			stage, detail, lonely = capital(closed), "", true
		}
		s.screen.show(clock(time.Since(start))+"  "+stage+detail, stage != last)
		last = stage
		if !lonely && len(st.Peers) == 0 && st.OriginHeaders == 0 && time.Since(start) > lonelyAfter {
			lonely = true
			s.screen.say("Nobody who has this stream answers so far. The broadcaster may be offline, the link may be old,\nor a firewall may be in between. This goes on trying until you press ctrl-c.")
		}
	}
}

// waitingFor says what a viewer still lacks. The detail changes all the time.
func waitingFor(st p2p.SwarmStats) (stage, detail string) {
	peers := count(len(st.Peers), "peer")
	switch {
	case len(st.Peers) == 0 && st.OriginHeaders > 0:
		return "Buffering from the origin", ": " + formatBytes(st.OriginBytes)
	case len(st.Peers) == 0 && st.LastDialError != "":
		return "Looking for peers", "; the last one failed: " + dialReason(st.LastDialError) + dhtDetail(st)
	case len(st.Peers) == 0:
		return "Looking for peers", dhtDetail(st)
	case st.HeadersReceived == 0:
		return "Connected to " + peers + "; waiting for the stream", ""
	default:
		return "Buffering from " + peers, ": " + formatBytes(st.BytesReceived+st.OriginBytes)
	}
}

// dialReason makes one short line of libp2p's report on a peer that it could not reach:
// a summary, and then a line for each address.
func dialReason(report string) string {
	summary, addresses, several := strings.Cut(report, "\n")
	if !several {
		return summary
	}
	var reasons []string
	for line := range strings.Lines(addresses) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "* ")
		reasons = append(reasons, strings.NewReplacer("[", "", "]", ":").Replace(line))
	}
	return strings.Join(reasons, "; ")
}

// viewerLine is one line of truth for whoever watches.
func viewerLine(s *session, swarm *p2p.Swarm) string {
	st, stats := s.node.Stats(), swarm.Stats()
	state := fmt.Sprintf("%.0f s ready to play", s.server.Buffer(swarm.ID()).Seconds())
	if _, ended := endedEpoch(swarm); ended {
		state = "ended"
	}
	return joinFacts(
		clock(time.Since(s.started)),
		state,
		countPeers(stats.Peers),
		offloadFact(stats),
		s.gatewayFact(),
		"down "+formatRate(rateDown(st, stats)),
		"up "+formatRate(st.RateOut)+" ("+formatBytes(st.BytesOut)+" given)",
		s.keepFact(),
	)
}
