package main

import (
	"cmp"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/grapevine-live/grapevine/hls"
	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
)

const reportName = "report"

// reportFlag is off unless the owner chose it: what others learn of a machine is its owner's to say.
func reportFlag() cli.Flag {
	return &cli.BoolFlag{Name: reportName, Usage: "tell broadcasters how their streams play here: players, delay, stalls, what came from whom and was given, and the version; no addresses"}
}

// reporter makes what a node tells broadcasters, as long as its owner agrees.
type reporter struct {
	relay  bool
	agreed atomic.Bool
	server atomic.Pointer[hls.Server] // nil until there is one
}

// report is what p2p.Config.Report wants.
func (r *reporter) report(id stream.ID) (out stream.Report, agreed bool) {
	server := r.server.Load()
	if server == nil || !r.agreed.Load() {
		return out, false
	}
	out.Relay, out.Version = r.relay, version()
	out.Players, out.Playing = server.Playing(id, time.Now())
	return out, true
}

// showReports says what the broadcaster is told.
func (s *session) showReports() {
	if s.shown.reporter.agreed.Load() {
		s.screen.field("reports", "the broadcaster is told how the stream plays here, without addresses; --report=false ends that")
	} else {
		s.screen.field("reports", "nothing is told of how the stream plays here; --report lets the broadcaster know, without addresses")
	}
}

// survey has a broadcaster ask those who agreed how its stream fares.
func (c *casts) survey(s *session) error {
	v, err := c.node.Survey(c.key, c.epoch)
	if err != nil {
		return err
	}
	s.running.Go(func() { v.Run(s.ctx) })
	return nil
}

// audienceFact says how many viewers a broadcaster was told of, "" if it was told nothing.
func (s *session) audienceFact() string {
	for _, sw := range s.node.Swarms() {
		if v := sw.Surveyor(); v != nil {
			if a, ok := v.Audience(); ok && a.Nodes > 0 {
				return estimate(a.Viewers, a.ViewersError) + plural(" viewer", a.Viewers) + " told of"
			}
		}
	}
	return ""
}

// estimate writes a number with its standard error, if it has one.
func estimate(n, err float64) string {
	if err >= 0.5 {
		return fmt.Sprintf("%.0f±%.0f", n, err)
	}
	return fmt.Sprintf("%.0f", n)
}

func plural(noun string, n float64) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

// audienceStatus is what was reported of a stream, nil unless this node asks.
func audienceStatus(v *p2p.Surveyor) *hls.AudienceStatus {
	if v == nil {
		return nil
	}
	st := v.Stats()
	out := &hls.AudienceStatus{
		Surveys: st.Surveys, Asked: st.Sampling, Every: st.Interval.Seconds(),
		ReportsTaken: st.Reports, ReportsRefused: st.Refused, Versions: []hls.VersionStatus{},
	}
	a, ok := v.Audience()
	if !ok {
		return out
	}
	out.At, out.Share, out.Reports = a.At.UnixMilli(), a.Share, a.Reports
	out.Nodes, out.NodesError, out.Relays = a.Nodes, a.NodesError, a.Relays
	out.Viewers, out.ViewersError, out.Largest = a.Viewers, a.ViewersError, a.Largest
	out.Players = hls.PlayersStatus{
		VLC:       a.Kinds[stream.PlayerVLC],
		Page:      a.Kinds[stream.PlayerPage],
		MPV:       a.Kinds[stream.PlayerMPV],
		FFmpeg:    a.Kinds[stream.PlayerFFmpeg],
		GStreamer: a.Kinds[stream.PlayerGStreamer],
		Other:     a.Kinds[stream.PlayerOther],
	}
	out.Rewound = a.Rewound
	out.DelayP50, out.DelayP95 = a.DelayP50.Seconds(), a.DelayP95.Seconds()
	out.StalledP50, out.StalledP95 = a.StalledP50.Seconds(), a.StalledP95.Seconds()
	out.Stalling, out.StalledShare = a.Stalling, a.StalledShare
	out.FromPeers, out.FromBroadcaster, out.FromOrigins, out.Given = a.FromPeers, a.FromBroadcaster, a.FromOrigins, a.Given
	out.OneFeeder, out.NoSpare = a.OneFeeder, a.NoSpare
	for version, nodes := range a.Versions {
		out.Versions = append(out.Versions, hls.VersionStatus{Version: version, Nodes: nodes})
	}
	slices.SortFunc(out.Versions, func(a, b hls.VersionStatus) int {
		return cmp.Or(cmp.Compare(b.Nodes, a.Nodes), cmp.Compare(a.Version, b.Version))
	})
	return out
}
