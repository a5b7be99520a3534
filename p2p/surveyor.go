package p2p

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// reportsRate is how many reports a second the broadcaster asks for at most, however large the
	// swarm is.
	reportsRate = 10
	// surveyEvery is the interval of surveys, surveySoon that of a swarm so small that everybody
	// may report in it, and while it is found out how large the swarm is.
	surveyEvery = 10 * time.Second
	surveySoon  = 3 * time.Second
	// firstShare is whom the first survey of a run asks, as nobody knows yet how many there are;
	// mostGrowth is how much more the next one asks at most.
	firstShare = 1. / 16
	mostGrowth = 8
	// surveyFailed is how soon a survey that could not be published is tried again.
	surveyFailed = time.Second
	// maxRoundReports bounds the reports that are kept of a round: more than the bucket lets in.
	maxRoundReports = 4096
	// audienceWindow is of how long figures are at most, if not everybody is asked.
	audienceWindow = 30 * time.Second
)

// Surveyor is the broadcaster's side of surveys: it asks the nodes of its stream that agreed to it
// how they fare, and puts together what they say.
type Surveyor struct {
	swarm  *Swarm
	key    stream.Key
	epoch  uint64
	opener *stream.SurveyKey

	mu     sync.Mutex // guards all following
	rounds []*surveyRound
	stats  SurveyorStats
}

// SurveyorStats count since the start.
type SurveyorStats struct {
	Surveys  int64            // published
	Reports  int64            // that were opened and are good
	Refused  map[string]int64 // by reason: malformed, forged, drawn, again, full
	Sampling float64          // the share of nodes that the last survey asks
	Interval time.Duration    // of the last survey
}

// surveyRound is one survey with what came of it.
type surveyRound struct {
	survey  *stream.SignedSurvey
	began   time.Time
	dropped int64 // reports that the swarm's bounds had dropped when it began
	reports map[stream.ReporterID]*stream.Report
}

// Survey joins the stream of the key as its broadcaster, unless that was done, and asks how nodes
// fare. [Surveyor.Run] must be called.
func (n *Node) Survey(key stream.Key, epoch uint64) (*Surveyor, error) {
	s, err := n.Open(key)
	if err != nil {
		return nil, err
	}
	v := &Surveyor{swarm: s, key: key, epoch: epoch, opener: stream.NewSurveyKey(key.ID()), stats: SurveyorStats{Refused: make(map[string]int64)}}
	s.surveying.Store(v)
	return v, nil
}

// Surveyor returns who asks how nodes of the stream fare, nil unless this node does.
func (s *Swarm) Surveyor() *Surveyor { return s.surveying.Load() }

// Run asks until ctx ends.
func (v *Surveyor) Run(ctx context.Context) {
	timer := time.NewTimer(surveyFailed)
	defer timer.Stop()
	for {
		next := surveyFailed
		if survey, err := v.ask(ctx, time.Now()); err != nil && ctx.Err() == nil {
			v.swarm.log.Error("cannot ask how nodes fare, trying again", "err", err)
		} else if err == nil {
			next = survey.Interval
		}
		timer.Reset(next)
		select {
		case <-ctx.Done():
			return
		case <-v.swarm.ctx.Done():
			return
		case <-timer.C:
		}
	}
}

// ask publishes the next survey.
func (v *Surveyor) ask(ctx context.Context, now time.Time) (*stream.SignedSurvey, error) {
	dropped := v.swarm.counts().ReportsDropped
	v.mu.Lock()
	next := stream.Survey{Epoch: v.epoch, Round: 1}
	share, interval := firstShare, surveySoon
	if n := len(v.rounds); n > 0 {
		last := v.rounds[n-1]
		next.Round = last.survey.Round + 1
		share, interval = nextShare(last.survey.Share(), len(last.reports), int(dropped-last.dropped))
	}
	v.mu.Unlock()
	next.Sampling = uint64(max(1, math.Round(share*stream.MaxSampling)))
	next.Interval = interval
	survey, err := v.key.SignSurvey(next, v.opener)
	if err != nil {
		return nil, err
	}
	if err := v.swarm.surveys.begin(survey, v.swarm.node.host.ID(), now); err != nil {
		return nil, fmt.Errorf("begin a survey: %w", err)
	}
	v.mu.Lock()
	v.rounds = append(v.rounds, &surveyRound{survey, now, dropped, make(map[stream.ReporterID]*stream.Report)})
	for len(v.rounds) > 3 && now.Sub(v.rounds[2].began) > audienceWindow {
		v.rounds = v.rounds[1:]
	}
	v.stats.Surveys++
	v.stats.Sampling, v.stats.Interval = survey.Share(), survey.Interval
	v.mu.Unlock()
	if err := v.swarm.surveys.topic.Publish(ctx, survey.Bytes()); err != nil {
		return nil, fmt.Errorf("publish a survey: %w", err)
	}
	return survey, nil
}

// nextShare returns whom to ask next, and for how long, when a share of the nodes sent so many
// reports and so many more were dropped.
//
// No more shall come than are wanted though the sample was a small one by chance: of n reports, the
// number that was to be expected is no more than n + 2*sqrt(n+1) + 1 (97.5% and more, as for a
// Poisson distribution).
func nextShare(share float64, reports, dropped int) (float64, time.Duration) {
	n := float64(reports + max(0, dropped))
	nodes := (n + 2*math.Sqrt(n+1) + 1) / share
	next := func(interval time.Duration) float64 {
		return min(1, share*mostGrowth, reportsRate*interval.Seconds()/nodes)
	}
	// Nothing is known well yet while the share grows.
	if soon := next(surveySoon); soon == 1 || soon >= 2*share {
		return soon, surveySoon
	}
	return next(surveyEvery), surveyEvery
}

// take opens a report that reached the broadcaster.
func (v *Surveyor) take(r *stream.SealedReport) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, round := range v.rounds {
		if round.survey.Epoch != r.Epoch || round.survey.Round != r.Round {
			continue
		}
		report, err := v.opener.Open(round.survey, r)
		if reason := round.refusal(report, err); reason != "" {
			v.stats.Refused[reason]++
			v.swarm.log.Debug("report refused", "reason", reason, "err", err)
			return
		}
		round.reports[report.Reporter] = &report.Report
		v.stats.Reports++
		return
	}
}

// refusal names the reason for which a report does not count, "" if it does.
func (r *surveyRound) refusal(report *stream.SignedReport, err error) string {
	switch {
	case errors.Is(err, stream.ErrForgedReport):
		return "forged"
	case errors.Is(err, stream.ErrNotDrawn):
		return "drawn"
	case err != nil:
		return "malformed"
	case r.reports[report.Reporter] != nil:
		return "again"
	case len(r.reports) >= maxRoundReports:
		return "full"
	}
	return ""
}

// Stats returns the figures.
func (v *Surveyor) Stats() SurveyorStats {
	v.mu.Lock()
	defer v.mu.Unlock()
	out := v.stats
	out.Refused = make(map[string]int64, len(v.stats.Refused))
	for reason, n := range v.stats.Refused {
		out.Refused[reason] = n
	}
	return out
}

// Audience returns what the last surveys that are over brought, or false if none is, or if none of a
// sample answered yet: that says little.
func (v *Surveyor) Audience() (Audience, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var over []answeredSurvey
	for _, r := range v.rounds[:max(0, len(v.rounds)-1)] {
		a := answeredSurvey{share: r.survey.Share(), began: r.began}
		for _, report := range r.reports {
			a.reports = append(a.reports, report)
		}
		over = append(over, a)
	}
	if len(over) == 0 {
		return Audience{}, false
	}
	a := newAudience(over)
	return a, a.Reports > 0 || a.Share == 1
}
