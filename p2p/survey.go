package p2p

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// surveyName is where a stream's topics have the name of a rendition.
	surveyName = "-survey"
	// surveyBuffer is how many surveys may wait to be drained: the validator handled them.
	surveyBuffer = 4
	// spreadShare is over which part of a survey's interval reports are spread: what is left is
	// for their way.
	spreadShare = 0.6
	// reportWindow is of how long a report's bytes are, about.
	reportWindow = time.Minute
	// maxSamples bounds what is kept for that: one a survey.
	maxSamples = 64
	// maxSeenReports bounds the reports of a round that are told from replays; beyond it they are
	// dropped.
	maxSeenReports = 4096
)

// errSurveyKnown says that a survey is not later than the last.
var errSurveyKnown = errors.New("survey known, or older than what is known")

// surveys is a node's part in the surveys of a stream: it passes them on, passes reports back, and
// reports itself if its owner agreed.
//
// Each round's survey comes from some neighbour first, which had it before: these ways make a tree
// that leads to the broadcaster, along which reports go. It is another one each round.
type surveys struct {
	swarm *Swarm
	topic *pubsub.Topic // set by start
	wake  chan struct{} // something is queued, or due

	mu      sync.Mutex // guards all following
	rounds  []*round   // the last two, oldest first
	peers   map[peer.ID]*rate.Limiter
	all     *rate.Limiter
	queue   [][]byte // reports on their way back
	queued  time.Time
	dueAt   time.Time // when this node's own report is to be made; zero if none is
	dueFor  *stream.SignedSurvey
	epoch   uint64           // of reporter
	signs   *stream.Reporter // nil before the first survey
	samples []sample         // oldest first
}

// round is a survey under way.
type round struct {
	survey *stream.SignedSurvey
	from   peer.ID // whom it came from first
	seen   map[[sha256.Size]byte]struct{}
}

// sample is what the swarm's counters were at a time.
type sample struct {
	at                                             time.Time
	fromPeers, fromBroadcaster, fromOrigins, given int64
}

func newSurveys(s *Swarm) *surveys {
	return &surveys{
		swarm: s, wake: make(chan struct{}, 1),
		peers: make(map[peer.ID]*rate.Limiter), all: rate.NewLimiter(allReportsRate, allReports),
		samples: []sample{{at: time.Now()}},
	}
}

// start joins the topic of surveys.
func (v *surveys) start() error {
	s := v.swarm
	name := chunksTopic(s.id, surveyName)
	if err := s.node.ps.RegisterTopicValidator(name, s.node.heeding(s.validateSurvey)); err != nil {
		return fmt.Errorf("register validator of surveys: %w", err)
	}
	topic, err := s.node.ps.Join(name)
	if err != nil {
		return fmt.Errorf("join surveys: %w", err)
	}
	if err := topic.SetScoreParams(topicScore()); err != nil {
		return fmt.Errorf("set score of surveys: %w", err)
	}
	v.topic = topic
	s.wg.Go(v.run)
	return nil
}

// subscribe has surveys come, and be passed on.
func (v *surveys) subscribe() {
	sub, err := v.topic.Subscribe(pubsub.WithBufferSize(surveyBuffer))
	if err != nil {
		if v.swarm.ctx.Err() == nil {
			v.swarm.log.Error("cannot subscribe to surveys", "err", err)
		}
		return
	}
	v.swarm.wg.Go(func() { v.swarm.drain(sub) })
}

// validateSurvey is gossipsub's validator for surveys: nothing is passed on that the stream's key
// did not sign, or that is no news.
func (s *Swarm) validateSurvey(_ context.Context, from peer.ID, msg *pubsub.Message) pubsub.ValidationResult {
	if from == s.node.host.ID() {
		return pubsub.ValidationAccept
	}
	survey, err := s.roles.OpenSurvey(msg.Data)
	if err != nil {
		s.count(func(c *counters) { c.stats.SurveysRefused++; c.stats.Penalties++; c.peer(from).Refused++ })
		s.log.Debug("survey refused", "peer", from, "err", err)
		why := Malformed
		if errors.Is(err, stream.ErrForgedSurvey) {
			why = Forged
		}
		s.fault(from, why)
		return pubsub.ValidationReject // which lowers the score
	}
	if s.roles.Holds(survey.Delegation(), s.node.clock(time.Now())) != nil || survey.Epoch < s.newestEpoch() || s.surveys.begin(survey, from, time.Now()) != nil {
		return pubsub.ValidationIgnore // an honest peer may be behind
	}
	s.count(func(c *counters) { c.stats.Surveys++ })
	return pubsub.ValidationAccept
}

// begin takes a survey that is later than the last, and draws whether this node reports.
func (v *surveys) begin(survey *stream.SignedSurvey, from peer.ID, now time.Time) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if n := len(v.rounds); n > 0 {
		last := v.rounds[n-1].survey
		if survey.Epoch < last.Epoch || survey.Epoch == last.Epoch && survey.Round <= last.Round {
			return errSurveyKnown
		}
		v.rounds = v.rounds[n-1:]
	}
	v.rounds = append(v.rounds, &round{survey, from, make(map[[sha256.Size]byte]struct{})})
	if v.swarm.node.cfg.Report == nil || v.swarm.source {
		return nil
	}
	v.sampleLocked(now)
	if v.signs == nil || v.epoch != survey.Epoch {
		v.signs, v.epoch = stream.NewReporter(), survey.Epoch
	}
	v.dueFor = nil
	if v.signs.Drawn(survey) {
		spread := time.Duration(spreadShare * float64(survey.Interval))
		v.dueFor, v.dueAt = survey, now.Add(rand.N(spread))
		v.wakeUp()
	}
	return nil
}

func (v *surveys) wakeUp() {
	select {
	case v.wake <- struct{}{}:
	default: // it will look
	}
}

// sampleLocked notes what was received and given so far.
func (v *surveys) sampleLocked(now time.Time) {
	var x sample
	v.swarm.count(func(c *counters) {
		x = sample{now, c.stats.BytesReceived, c.stats.BytesFromBroadcaster, c.stats.OriginBytes, c.stats.BytesSent}
	})
	v.samples = append(v.samples, x)
	for len(v.samples) > maxSamples || len(v.samples) > 2 && now.Sub(v.samples[1].at) >= reportWindow {
		v.samples = v.samples[1:]
	}
}

// report makes this node's own report, which answers a survey.
func (v *surveys) report(survey *stream.SignedSurvey) error {
	out, agreed := v.swarm.node.cfg.Report(v.swarm.id) // asked without the lock
	if !agreed {
		return nil
	}
	st := v.swarm.counts()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.sampleLocked(time.Now())
	before, now := v.samples[0], v.samples[len(v.samples)-1]
	out.Window = now.at.Sub(before.at).Round(time.Second)
	out.FromBroadcaster = now.fromBroadcaster - before.fromBroadcaster
	out.FromPeers = now.fromPeers - before.fromPeers - out.FromBroadcaster
	out.FromOrigins = now.fromOrigins - before.fromOrigins
	out.Given = now.given - before.given
	out.Feeders, out.Children, out.Slots = st.Feeders, st.Children, st.Slots
	if v.epoch != survey.Epoch {
		return nil // the broadcaster has begun anew
	}
	raw, err := v.signs.Seal(survey, out)
	if err != nil {
		return err
	}
	v.enqueueLocked(raw, time.Now())
	v.swarm.count(func(c *counters) { c.stats.ReportsSent++ })
	return nil
}

// counts returns the counters that need no peers.
func (s *Swarm) counts() (st SwarmStats) {
	s.count(func(c *counters) { st = c.stats })
	return st
}

// run makes this node's own reports when they are due, and sends what is queued, until the swarm
// ends.
func (v *surveys) run() {
	timer := time.NewTimer(time.Minute)
	defer timer.Stop()
	for {
		select {
		case <-v.swarm.ctx.Done():
			return
		case <-v.wake:
		case <-timer.C:
		}
		now := time.Now()
		if survey := v.due(now); survey != nil {
			if err := v.report(survey); err != nil {
				v.swarm.log.Error("cannot report", "err", err)
			}
		}
		if to, batch := v.batch(now); len(batch) > 0 {
			v.send(to, batch)
		}
		timer.Reset(v.next(time.Now()))
	}
}

// due returns the survey that is to be answered now, or nil.
func (v *surveys) due(now time.Time) *stream.SignedSurvey {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.dueFor == nil || now.Before(v.dueAt) {
		return nil
	}
	survey := v.dueFor
	v.dueFor = nil
	return survey
}

// next returns when something is due.
func (v *surveys) next(now time.Time) time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	next := time.Minute
	if v.dueFor != nil {
		next = min(next, v.dueAt.Sub(now))
	}
	if len(v.queue) > 0 {
		next = min(next, v.queued.Add(batchFor).Sub(now))
	}
	return max(next, time.Millisecond)
}
