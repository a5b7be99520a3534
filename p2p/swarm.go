package p2p

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// maxRenditions bounds the renditions of a stream: eight of video, and as many
	// languages of sound and of subtitles as two inputs have.
	maxRenditions = 32
	// headerBuffer is how many verified headers may wait for the loop.
	headerBuffer = 256
	// farewellTimeout bounds the wait for the loop when leaving, farewellPause is how long
	// what is to be said then may take to go out.
	farewellTimeout = time.Second
	farewellPause   = 50 * time.Millisecond
	// holderValue is what a peer that holds a stream is worth to the connection manager:
	// more than those that only answer in a DHT, which are worth 5.
	holderValue = 20
	// subscribeAfter is how long a node that meets nobody waits until it subscribes.
	subscribeAfter = 700 * time.Millisecond
)

// Swarm is a node's part in one stream.
//
// One goroutine, the loop, owns the exchange and the repair; everything else reaches
// it as a function in the inbox. Lock order: Node.joining, Node.mu, Swarm.mu; the
// last two are never held while calling into pubsub, whose event loop takes them.
type Swarm struct {
	node    *Node
	id      stream.ID
	log     *slog.Logger
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	inbox   *inbox
	dialer  *dialer
	source  bool // this node is the broadcaster
	closing sync.Once
	met     chan struct{} // closed when a peer is known to hold the stream, or this node begins it

	promised atomic.Int64 // bits per second, to children
	starved  atomic.Bool  // nothing new comes though the stream has not ended

	exchange *exchange // the loop's
	repair   *repair   // the loop's
	origins  *origins  // the loop's
	past     *past
	restored sync.Once
	roles    *stream.Roles

	surveys   *surveys
	surveying atomic.Pointer[Surveyor] // this node's, if it broadcasts the stream

	enrol       enrolments
	moderations *moderations
	hosting     atomic.Pointer[Private] // this node's, if it broadcasts the stream sealed
	viewing     atomic.Bool             // this node opens the stream, and joins enrolments by itself
	trusted     trusted                 // the only peers that viewers connect to; nil for any
	entry       []string                // where trusted relays are reached
	dismissed   atomic.Bool             // this node was one of them, and is so no more

	mu         sync.Mutex // guards all following
	renditions map[string]*rendition
	only       map[string]struct{} // renditions to carry; nil for all
	topic      *pubsub.Topic
	mesh       map[string]map[peer.ID]struct{} // by topic
	subscribed map[peer.ID]struct{}            // peers that hold the stream
	advertised stream.Origins
	relays     stream.Relays
	told       map[peer.ID]time.Time // the revocations
	counters   counters
	disputes   disputes
}

func newSwarm(n *Node, id stream.ID) *Swarm {
	ctx, cancel := context.WithCancel(n.ctx)
	s := &Swarm{
		node:       n,
		id:         id,
		log:        n.log.With("stream", id.Short()),
		ctx:        ctx,
		cancel:     cancel,
		inbox:      newInbox(),
		met:        make(chan struct{}),
		renditions: make(map[string]*rendition),
		mesh:       make(map[string]map[peer.ID]struct{}),
		subscribed: make(map[peer.ID]struct{}),
		roles:      stream.NewRoles(id),
		told:       make(map[peer.ID]time.Time),
		counters:   newCounters(),

		moderations: newModerations(),
	}
	s.exchange = newExchange(s)
	s.repair = newRepair(s)
	s.origins = newOrigins(s)
	s.dialer = newDialer(s)
	s.past = newPast(s)
	s.surveys = newSurveys(s)
	return s
}

// start joins the topic of headers and runs the loop.
func (s *Swarm) start() error {
	name := headersTopic(s.id)
	if err := s.node.ps.RegisterTopicValidator(name, s.node.heeding(s.validateHeader)); err != nil {
		return fmt.Errorf("register validator: %w", err)
	}
	topic, err := s.node.ps.Join(name)
	if err != nil {
		return fmt.Errorf("join topic: %w", err)
	}
	if err := topic.SetScoreParams(topicScore()); err != nil {
		return fmt.Errorf("set score of topic: %w", err)
	}
	events, err := topic.EventHandler()
	if err != nil {
		return fmt.Errorf("watch topic: %w", err)
	}
	s.mu.Lock()
	s.topic = topic
	s.mu.Unlock()
	if err := s.surveys.start(); err != nil {
		events.Cancel()
		return err
	}
	if s.source {
		close(s.met)
	}
	s.wg.Go(func() { s.subscribe(topic) })
	s.wg.Go(func() { s.followSubscribers(events) })
	s.wg.Go(s.loop)
	s.wg.Go(s.dialer.run)
	if s.trusted.byWord() {
		s.wg.Go(s.followRelays)
	}
	if s.node.cfg.Memory != nil && !s.source {
		s.wg.Go(s.remember)
	}
	if s.node.dht != nil {
		s.wg.Go(s.provide)
		if patient := s.dialer.known() > 0; !s.source { // a broadcaster is sought
			s.wg.Go(func() { s.seek(patient) })
		}
	}
	return nil
}

// subscribe subscribes to the headers when a first peer is known to, as gossipsub makes
// those that it knows its neighbours at once and seeks others only each heartbeat; or
// before the second of these, so that peers hear of this node, too.
func (s *Swarm) subscribe(topic *pubsub.Topic) {
	select {
	case <-s.ctx.Done():
		return
	case <-s.met:
	case <-time.After(subscribeAfter):
	}
	sub, err := topic.Subscribe(pubsub.WithBufferSize(headerBuffer))
	if err != nil {
		if s.ctx.Err() == nil {
			s.log.Error("cannot subscribe", "err", err)
		}
		return
	}
	s.surveys.subscribe()
	s.drain(sub)
}

// close leaves the stream's topics and waits for all goroutines. It is safe to call more than
// once, also at the same time.
func (s *Swarm) close() { s.closing.Do(s.end) }

func (s *Swarm) end() {
	s.farewell()
	s.cancel()
	s.wg.Wait()
	s.past.close()
	s.origins.close()
	s.node.joining.Lock()
	defer s.node.joining.Unlock()
	s.mu.Lock()
	topics := []*pubsub.Topic{s.topic}
	renditions := slices.Collect(maps.Values(s.renditions))
	s.mu.Unlock()
	topics = append(append(append(topics, s.surveys.topic), s.enrol.end()...), s.moderations.end()...)
	for _, r := range renditions {
		if r.topic == nil {
			continue
		}
		r.wg.Wait()
		if r.sub != nil {
			r.sub.Cancel()
		}
		topics = append(topics, r.topic)
	}
	for _, t := range topics {
		// These fail only when pubsub has ended already.
		_ = t.Close()
		_ = s.node.ps.UnregisterTopicValidator(t.String())
	}
}

// farewell tells neighbours that this node leaves, so that they need not find out, and
// gives pubsub a moment to send it.
func (s *Swarm) farewell() {
	ctx, cancel := context.WithTimeout(s.ctx, farewellTimeout)
	defer cancel()
	said := false
	if err := s.send(ctx, func(time.Time) { said = s.exchange.farewell() }); err != nil || !said {
		return
	}
	<-time.After(farewellPause)
}

// drain reads a subscription. What it carries was handled by the validator.
func (s *Swarm) drain(sub *pubsub.Subscription) {
	defer sub.Cancel()
	for {
		if _, err := sub.Next(s.ctx); err != nil {
			return
		}
	}
}

// followSubscribers keeps the set of connected peers that hold the stream.
func (s *Swarm) followSubscribers(events *pubsub.TopicEventHandler) {
	defer events.Cancel()
	met := s.source
	for {
		e, err := events.NextPeerEvent(s.ctx)
		if err != nil {
			return
		}
		if !met {
			met = true
			close(s.met)
		}
		s.mu.Lock()
		if e.Type == pubsub.PeerJoin {
			s.subscribed[e.Peer] = struct{}{}
		} else {
			delete(s.subscribed, e.Peer)
		}
		s.mu.Unlock()
		s.node.outbound.fire()
		s.value(e.Peer, e.Type == pubsub.PeerJoin)
		if e.Type == pubsub.PeerJoin {
			s.past.onSubscriber()
		}
		s.note(func(now time.Time) { s.repair.onSubscriber(e.Peer, e.Type == pubsub.PeerJoin, now) })
		s.dialer.wake()
	}
}

// value tells the connection manager whether a peer holds the stream.
func (s *Swarm) value(id peer.ID, holds bool) {
	manager, tag := s.node.host.ConnManager(), headersTopic(s.id)
	if holds {
		manager.TagPeer(id, tag, holderValue)
	} else {
		manager.UntagPeer(id, tag)
	}
}

// loop runs what arrives in the inbox and whatever becomes due.
func (s *Swarm) loop() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		// 1. Wait.
		select {
		case <-s.ctx.Done():
			return
		case <-s.inbox.ready:
		case <-timer.C:
		}
		// 2. Take all that is there, so that one decision covers it.
		for _, f := range s.inbox.take() {
			f(time.Now())
		}
		// 3. Decide and act.
		now := time.Now()
		next := min(s.exchange.step(now), s.repair.step(now), s.origins.step(now))
		// 4. Sleep until the next thing is due.
		timer.Reset(next)
	}
}

// post hands a peer's message to the loop without blocking; if too much waits, it is
// lost and counted.
func (s *Swarm) post(from peer.ID, f func(now time.Time)) {
	if !s.inbox.putOf(from, f) {
		s.count(func(c *counters) { c.stats.EventsDropped++ })
	}
}

// note hands to the loop what this node itself noticed, without blocking. It is never
// lost to peers' messages.
func (s *Swarm) note(f func(now time.Time)) {
	if !s.inbox.put(f, maxNotes) {
		s.count(func(c *counters) { c.stats.EventsDropped++ })
	}
}

// send hands f to the loop and waits until it ran, so that whoever sends much goes at
// the loop's pace.
func (s *Swarm) send(ctx context.Context, f func(now time.Time)) error {
	ran := make(chan struct{})
	s.inbox.put(func(now time.Time) { f(now); close(ran) }, math.MaxInt)
	select {
	case <-ran:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.ctx.Done():
		return ErrClosed
	}
}

// publishing reports whether this node is the stream's broadcaster.
func (s *Swarm) publishing() bool { return s.source }

// ID returns the stream.
func (s *Swarm) ID() stream.ID { return s.id }

// Link returns the link that leads to this node, with the origins that the broadcaster named.
func (s *Swarm) Link() stream.Link {
	addrs := s.node.Addrs()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trusted != nil {
		addrs = s.entry // nobody is told where a viewer is
	}
	return stream.Link{Stream: s.id, Peers: addrs[:min(len(addrs), maxLinkAddrs)], Origins: s.advertised, Relays: s.relays}
}
