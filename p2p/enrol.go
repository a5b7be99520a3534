package p2p

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// enrolName is where a stream's topics have the name of a rendition.
	enrolName = "-enrol"
	// enrolBuffer is how many enrolments may wait to be drained: the validator handled them.
	enrolBuffer = 16
	// A neighbour may pass on peerEnrolments at once, a crowd's, and so many a second from then
	// on. To check one takes a tenth of a millisecond.
	peerEnrolments     = 1024
	peerEnrolmentsRate = 128
	// An invite may be used for inviteEnrolments at once and twice for each viewer that it is
	// for, and for as many again a minute.
	inviteEnrolments = 16
	// maxLimited bounds the neighbours and the invites whose enrolments are counted.
	maxLimited = 8192
	// enrolClock is how far this node's clock may be behind an invite's end.
	enrolClock = 10 * time.Minute
)

// enrolments is a node's part in passing viewers' enrolments on to a private stream's
// broadcaster.
type enrolments struct {
	wg sync.WaitGroup

	mu      sync.Mutex    // guards all following
	topic   *pubsub.Topic // nil until the stream is known to be private
	sub     *pubsub.Subscription
	peers   map[peer.ID]*rate.Limiter
	invites map[stream.InviteID]*rate.Limiter
}

// openEnrolments joins the topic of enrolments, unless that was done. It must not be called
// from pubsub's event loop.
func (s *Swarm) openEnrolments() error {
	if s.enrolTopic() != nil {
		return nil
	}
	s.node.joining.Lock()
	defer s.node.joining.Unlock()
	if s.enrolTopic() != nil {
		return nil
	}
	if s.ctx.Err() != nil {
		return ErrClosed
	}
	name := chunksTopic(s.id, enrolName)
	if err := s.node.ps.RegisterTopicValidator(name, s.node.heeding(s.validateEnrolment)); err != nil {
		return fmt.Errorf("register validator of enrolments: %w", err)
	}
	topic, err := s.node.ps.Join(name)
	if err != nil {
		return fmt.Errorf("join enrolments: %w", err)
	}
	if err := topic.SetScoreParams(topicScore()); err != nil {
		return fmt.Errorf("set score of enrolments: %w", err)
	}
	sub, err := topic.Subscribe(pubsub.WithBufferSize(enrolBuffer))
	if err != nil {
		return fmt.Errorf("subscribe to enrolments: %w", err)
	}
	s.enrol.mu.Lock()
	defer s.enrol.mu.Unlock()
	s.enrol.topic, s.enrol.sub = topic, sub
	s.enrol.peers, s.enrol.invites = make(map[peer.ID]*rate.Limiter), make(map[stream.InviteID]*rate.Limiter)
	s.enrol.wg.Go(func() { s.drain(sub) })
	return nil
}

func (s *Swarm) enrolTopic() *pubsub.Topic {
	s.enrol.mu.Lock()
	defer s.enrol.mu.Unlock()
	return s.enrol.topic
}

// end leaves the topic, once the swarm's context is over, and returns it to be closed.
func (e *enrolments) end() []*pubsub.Topic {
	e.wg.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.topic == nil {
		return nil
	}
	return []*pubsub.Topic{e.topic}
}

// validateEnrolment is gossipsub's validator for enrolments: nothing is passed on that was not
// made with an invite which the stream's key signed. The broadcaster takes them out.
func (s *Swarm) validateEnrolment(_ context.Context, from peer.ID, msg *pubsub.Message) pubsub.ValidationResult {
	if from == s.node.host.ID() {
		return pubsub.ValidationAccept
	}
	now := time.Now()
	if !s.enrol.admitPeer(from, now) {
		s.count(func(c *counters) { c.stats.EnrolmentsDropped++ })
		return pubsub.ValidationIgnore
	}
	e, err := s.roles.OpenEnrolment(msg.Data)
	if err != nil {
		s.count(func(c *counters) { c.stats.EnrolmentsRefused++; c.stats.Penalties++; c.peer(from).Refused++ })
		s.log.Debug("enrolment refused", "peer", from, "err", err)
		s.fault(from, Forged)
		return pubsub.ValidationReject // which lowers the score
	}
	if clock := s.node.clock(now); clock.After(e.Expires.Add(enrolClock)) || s.roles.Holds(e.Delegation(), clock) != nil {
		s.count(func(c *counters) { c.stats.EnrolmentsRefused++ })
		return pubsub.ValidationIgnore // a clock may be wrong
	}
	if !s.enrol.admitInvite(&e.Grant, now) {
		s.count(func(c *counters) { c.stats.EnrolmentsDropped++ })
		return pubsub.ValidationIgnore
	}
	if host := s.hosting.Load(); host != nil {
		if !host.take(e) {
			s.count(func(c *counters) { c.stats.EnrolmentsDropped++ })
			return pubsub.ValidationIgnore
		}
		s.count(func(c *counters) { c.stats.Enrolments++ })
		return pubsub.ValidationIgnore // it has arrived
	}
	s.count(func(c *counters) { c.stats.Enrolments++ })
	return pubsub.ValidationAccept
}

func (e *enrolments) admitPeer(id peer.ID, now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return limiterOf(e.peers, id, peerEnrolmentsRate, peerEnrolments).AllowN(now, 1)
}

// admitInvite bounds what one invite can have everybody pass on and the broadcaster answer.
func (e *enrolments) admitInvite(g *stream.Grant, now time.Time) bool {
	most := inviteEnrolments + 2*g.Uses
	e.mu.Lock()
	defer e.mu.Unlock()
	return limiterOf(e.invites, g.Invite, rate.Limit(float64(most)/60), most).AllowN(now, 1)
}

func limiterOf[K comparable](all map[K]*rate.Limiter, key K, limit rate.Limit, burst int) *rate.Limiter {
	l := all[key]
	if l == nil {
		if len(all) >= maxLimited {
			clear(all)
		}
		l = rate.NewLimiter(limit, burst)
		all[key] = l
	}
	return l
}

// errNotOpen says that an enrolment was to be sent before its topic was joined.
var errNotOpen = errors.New("the topic of enrolments is not joined")

// sendEnrolment passes this node's own enrolment to its neighbours.
func (s *Swarm) sendEnrolment(ctx context.Context, raw []byte) error {
	topic := s.enrolTopic()
	if topic == nil {
		return errNotOpen
	}
	return topic.Publish(ctx, raw)
}
