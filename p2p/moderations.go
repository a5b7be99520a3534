package p2p

import (
	"context"
	"errors"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// moderateName is where a stream's topics have the name of a rendition.
	moderateName = "-moderate"
	// A neighbour may pass on peerModerations and answers at once, and so many a second from then on:
	// as many as several moderators make. To check one takes a tenth of a millisecond.
	peerModerations     = 256
	peerModerationsRate = 16
	// A moderator may ask moderatorAsks times at once, which is to be told of all invites that there
	// can be twice, and once a second from then on.
	moderatorAsks     = 2 * stream.MaxViewers / stream.MaxInvited
	moderatorAsksRate = 1
	// maxModerations bounds the moderations whose answers a node passes on, for askedFor.
	maxModerations = 1024
	askedFor       = time.Minute
)

// moderations is a node's part in passing what moderators ask on to a private stream's broadcaster,
// and its answers back.
type moderations struct {
	wg sync.WaitGroup

	mu         sync.Mutex    // guards all following
	topic      *pubsub.Topic // nil until the stream is known to be private
	peers      map[peer.ID]*rate.Limiter
	moderators map[stream.ID]*asker
	asked      map[stream.ModerationID]time.Time                   // passed on
	asking     map[stream.ModerationID]chan<- *stream.SealedAnswer // this node's own
}

// asker is what is remembered of a moderator.
type asker struct {
	limit *rate.Limiter
	last  time.Time // when the last was issued that was taken of it
}

func newModerations() *moderations {
	return &moderations{
		peers: make(map[peer.ID]*rate.Limiter), moderators: make(map[stream.ID]*asker),
		asked: make(map[stream.ModerationID]time.Time), asking: make(map[stream.ModerationID]chan<- *stream.SealedAnswer),
	}
}

// openModerations joins the topic of moderations, unless that was done. It must not be called from
// pubsub's event loop.
func (s *Swarm) openModerations() error {
	if s.moderations.opened() != nil {
		return nil
	}
	s.node.joining.Lock()
	defer s.node.joining.Unlock()
	if s.moderations.opened() != nil {
		return nil
	}
	topic, sub, err := s.openTopic(moderateName, s.validateModeration)
	if err != nil {
		return err
	}
	s.moderations.mu.Lock()
	defer s.moderations.mu.Unlock()
	s.moderations.topic = topic
	s.moderations.wg.Go(func() { s.drain(sub) })
	return nil
}

func (m *moderations) opened() *pubsub.Topic {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.topic
}

// end leaves the topic, once the swarm's context is over, and returns it to be closed.
func (m *moderations) end() []*pubsub.Topic {
	m.wg.Wait()
	if topic := m.opened(); topic != nil {
		return []*pubsub.Topic{topic}
	}
	return nil
}

// validateModeration is gossipsub's validator for moderations and their answers: nothing is passed on
// that a moderator of the stream did not sign, or its broadcaster. That one takes moderations out.
func (s *Swarm) validateModeration(_ context.Context, from peer.ID, msg *pubsub.Message) pubsub.ValidationResult {
	if from == s.node.host.ID() {
		return pubsub.ValidationAccept
	}
	now := time.Now()
	if !s.moderations.admitPeer(from, now) {
		s.count(func(c *counters) { c.stats.ModerationsDropped++ })
		return pubsub.ValidationIgnore
	}
	var err error
	if stream.IsModerationAnswer(msg.Data) {
		var a *stream.SealedAnswer
		if a, err = s.roles.OpenModerationAnswer(msg.Data); err == nil {
			return s.passAnswer(a, now)
		}
	} else {
		var m *stream.SignedModeration
		if m, err = s.roles.OpenModeration(msg.Data); err == nil {
			return s.passModeration(from, m, now)
		}
	}
	s.count(func(c *counters) { c.stats.ModerationsRefused++; c.stats.Penalties++; c.peer(from).Refused++ })
	s.log.Debug("moderation refused", "peer", from, "err", err)
	s.fault(from, Forged)
	return pubsub.ValidationReject // which lowers the score
}

// passModeration passes a moderation on whose signature was checked, or takes it.
func (s *Swarm) passModeration(from peer.ID, m *stream.SignedModeration, now time.Time) pubsub.ValidationResult {
	clock := s.node.clock(now)
	if err := errors.Join(m.OfTime(clock), s.roles.Holds(m.Delegation(), clock)); err != nil {
		s.count(func(c *counters) { c.stats.ModerationsRefused++ })
		if errors.Is(err, stream.ErrRevoked) {
			s.post(from, func(now time.Time) { s.tellRevocations(from, now) }) // and so the moderator hears why
		}
		s.log.Debug("moderation refused", "moderator", m.Moderator().Short(), "err", err)
		return pubsub.ValidationIgnore // a clock may be wrong, and a peer need not have heard
	}
	host := s.hosting.Load()
	if !s.moderations.admit(m, host == nil, now) || host != nil && !host.takeModeration(m) {
		s.count(func(c *counters) { c.stats.ModerationsDropped++ })
		return pubsub.ValidationIgnore
	}
	s.count(func(c *counters) { c.stats.Moderations++ })
	if host != nil {
		return pubsub.ValidationIgnore // it has arrived
	}
	return pubsub.ValidationAccept
}

// passAnswer passes an answer on whose signature was checked, if this node passed on what it answers,
// or takes it.
func (s *Swarm) passAnswer(a *stream.SealedAnswer, now time.Time) pubsub.ValidationResult {
	if s.roles.Holds(a.Delegation(), s.node.clock(now)) != nil {
		s.count(func(c *counters) { c.stats.ModerationsRefused++ })
		return pubsub.ValidationIgnore
	}
	switch own, asked := s.moderations.answered(a); {
	case own:
		return pubsub.ValidationIgnore // it has arrived
	case asked:
		return pubsub.ValidationAccept
	}
	s.count(func(c *counters) { c.stats.ModerationsDropped++ })
	return pubsub.ValidationIgnore
}

func (m *moderations) admitPeer(id peer.ID, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return limiterOf(m.peers, id, peerModerationsRate, peerModerations).AllowN(now, 1)
}

// admit bounds what a moderator, or who replays what it asked, can have everybody pass on; pass says
// that this node does, and so remembers it for the answer.
func (m *moderations) admit(s *stream.SignedModeration, pass bool, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	of := m.moderators[s.Moderator()]
	if of == nil {
		if len(m.moderators) >= maxLimited {
			clear(m.moderators) // the stream's key alone makes them
		}
		of = &asker{limit: rate.NewLimiter(moderatorAsksRate, moderatorAsks)}
		m.moderators[s.Moderator()] = of
	}
	if !s.Issued.After(of.last) || !of.limit.AllowN(now, 1) {
		return false
	}
	if pass {
		if len(m.asked) >= maxModerations {
			for id, at := range m.asked {
				if now.Sub(at) > askedFor {
					delete(m.asked, id)
				}
			}
		}
		if len(m.asked) >= maxModerations {
			return false
		}
		m.asked[s.ID()] = now
	}
	of.last = s.Issued
	return true
}

// answered takes what an answer is to off those that wait for one: own says that this node asked,
// asked that another did, by way of it.
func (m *moderations) answered(a *stream.SealedAnswer) (own, asked bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if to := m.asking[a.Of]; to != nil {
		select {
		case to <- a:
		default: // it has one
		}
		return true, false
	}
	_, asked = m.asked[a.Of]
	delete(m.asked, a.Of)
	return false, asked
}

// await has a channel get the answers to a moderation of this node's own; nil ends that.
func (m *moderations) await(id stream.ModerationID, to chan<- *stream.SealedAnswer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if to == nil {
		delete(m.asking, id)
	} else {
		m.asking[id] = to
	}
}

// sendModeration passes what this node itself asks, or answers, to its neighbours.
func (s *Swarm) sendModeration(ctx context.Context, raw []byte) error {
	topic := s.moderations.opened()
	if topic == nil {
		return errNotOpen
	}
	return topic.Publish(ctx, raw)
}
