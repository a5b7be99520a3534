package p2p

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// inboxSize bounds the messages that wait for a swarm's loop: 32 MiB of chunks.
	inboxSize = 1024
	// maxRenditions bounds the renditions of a stream.
	maxRenditions = 16
	// headerBuffer is how many verified headers may wait for the loop.
	headerBuffer = 256
)

// Swarm is a node's part in one stream.
//
// One goroutine, the loop, owns the exchange and the repair; everything else reaches
// it as a function in the inbox. Lock order: Node.joining, Node.mu, Swarm.mu; the
// last two are never held while calling into pubsub, whose event loop takes them.
type Swarm struct {
	node   *Node
	id     stream.ID
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	inbox  chan func(now time.Time)
	kick   chan struct{} // the mesh changed
	dialer *dialer
	source bool // this node is the broadcaster

	exchange *exchange // the loop's
	repair   *repair   // the loop's

	mu         sync.Mutex // guards all following
	renditions map[string]*rendition
	topic      *pubsub.Topic
	mesh       map[string]map[peer.ID]struct{} // by topic
	meshNew    []peer.ID                       // grafted since the loop last looked
	meshGone   []peer.ID                       // disconnected since the loop last looked
	dropped    []droppedRPC                    // lost to full queues since the loop last looked
	subscribed map[peer.ID]struct{}            // peers that hold the stream
	counters   counters
}

// rendition is one encoding of the stream.
type rendition struct {
	timeline *stream.Timeline
	topic    *pubsub.Topic
	sub      *pubsub.Subscription
}

type droppedRPC struct {
	peer peer.ID
	part stream.PartID
}

func newSwarm(n *Node, id stream.ID) *Swarm {
	ctx, cancel := context.WithCancel(n.ctx)
	s := &Swarm{
		node:       n,
		id:         id,
		log:        n.log.With("stream", id.Short()),
		ctx:        ctx,
		cancel:     cancel,
		inbox:      make(chan func(time.Time), inboxSize),
		kick:       make(chan struct{}, 1),
		renditions: make(map[string]*rendition),
		mesh:       make(map[string]map[peer.ID]struct{}),
		subscribed: make(map[peer.ID]struct{}),
		counters:   newCounters(),
	}
	s.exchange = newExchange(s)
	s.repair = newRepair(s)
	s.dialer = newDialer(s)
	return s
}

// start joins the topic of headers and runs the loop.
func (s *Swarm) start() error {
	name := headersTopic(s.id)
	if err := s.node.ps.RegisterTopicValidator(name, s.validateHeader); err != nil {
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
	sub, err := topic.Subscribe(pubsub.WithBufferSize(headerBuffer))
	if err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	s.mu.Lock()
	s.topic = topic
	s.mu.Unlock()
	s.wg.Go(func() { s.drain(sub) })
	s.wg.Go(func() { s.followSubscribers(events) })
	s.wg.Go(s.loop)
	s.wg.Go(s.dialer.run)
	return nil
}

// close leaves the stream's topics and waits for all goroutines.
func (s *Swarm) close() {
	s.cancel()
	s.wg.Wait()
	s.node.joining.Lock()
	defer s.node.joining.Unlock()
	s.mu.Lock()
	topics := []*pubsub.Topic{s.topic}
	renditions := slices.Collect(maps.Values(s.renditions))
	s.mu.Unlock()
	for _, r := range renditions {
		r.sub.Cancel()
		topics = append(topics, r.topic)
	}
	for _, t := range topics {
		// These fail only when pubsub has ended already.
		_ = t.Close()
		_ = s.node.ps.UnregisterTopicValidator(t.String())
	}
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
	for {
		e, err := events.NextPeerEvent(s.ctx)
		if err != nil {
			return
		}
		s.mu.Lock()
		if e.Type == pubsub.PeerJoin {
			s.subscribed[e.Peer] = struct{}{}
		} else {
			delete(s.subscribed, e.Peer)
		}
		s.mu.Unlock()
		s.post(func(now time.Time) { s.repair.onSubscriber(e.Peer, e.Type == pubsub.PeerJoin, now) })
		s.dialer.wake()
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
		case f := <-s.inbox:
			f(time.Now())
		case <-s.kick:
		case <-timer.C:
		}
		// 2. Take what else is there, so that one decision covers all of it.
		for more := true; more; {
			select {
			case f := <-s.inbox:
				f(time.Now())
			default:
				more = false
			}
		}
		// 3. Learn what pubsub's event loop noted.
		s.mu.Lock()
		grafted, gone, dropped := s.meshNew, s.meshGone, s.dropped
		s.meshNew, s.meshGone, s.dropped = nil, nil, nil
		s.mu.Unlock()
		now := time.Now()
		for _, id := range gone {
			s.exchange.onGone(id)
			s.repair.onGone(id)
		}
		for _, id := range grafted {
			s.exchange.onNeighbour(id)
		}
		for _, d := range dropped {
			s.exchange.onDropped(d.peer, d.part)
		}
		// 4. Decide and act.
		next := min(s.exchange.step(now), s.repair.step(now))
		// 5. Sleep until the next thing is due.
		timer.Reset(next)
	}
}

// post hands f to the loop without blocking; if the inbox is full, f is lost and
// counted.
func (s *Swarm) post(f func(now time.Time)) {
	select {
	case s.inbox <- f:
	default:
		s.count(func(c *counters) { c.stats.EventsDropped++ })
	}
}

// send hands f to the loop, waiting for room.
func (s *Swarm) send(ctx context.Context, f func(now time.Time)) error {
	select {
	case s.inbox <- f:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.ctx.Done():
		return ErrClosed
	}
}

func (s *Swarm) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

func (s *Swarm) count(f func(*counters)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.counters)
}

// refuse counts a refused message that no honest peer sends, and reports its sender
// to gossipsub's scoring. It must not be called from pubsub's event loop.
func (s *Swarm) refuse(from peer.ID, reason string, err error) {
	s.count(func(c *counters) {
		c.stats.ChunksRefused++
		c.peer(from).Refused++
	})
	s.log.Info("message refused", "peer", from, "reason", reason, "err", err)
	s.penalise(from)
}

// penalise lowers a peer's score. It must not be called from pubsub's event loop.
func (s *Swarm) penalise(id peer.ID) {
	s.count(func(c *counters) { c.stats.Penalties++ })
	// The score of the stream's topics is one sum; the topic of headers is always there.
	if err := s.node.ps.PeerFeedback(headersTopic(s.id), id, pubsub.PeerFeedbackInvalidMessage); err != nil && s.ctx.Err() == nil {
		s.log.Warn("cannot report peer", "peer", id, "err", err)
	}
}

// publishing reports whether this node is the stream's broadcaster.
func (s *Swarm) publishing() bool { return s.source }

// onIdentified notes that a peer that speaks the fetch protocol is connected.
func (s *Swarm) onIdentified(id peer.ID) {
	s.post(func(now time.Time) { s.repair.onIdentified(id, now) })
}

// onPartial takes a partial message. It runs on pubsub's event loop, so the message
// is only read here; the loop verifies it.
func (s *Swarm) onPartial(from peer.ID, rendition string, rpc *pb.PartialMessagesExtension) {
	position, err := parsePosition(rpc.GetGroupID())
	var meta metadata
	if err == nil && len(rpc.PartsMetadata) > 0 {
		meta, err = parseMetadata(rpc.PartsMetadata)
	}
	var index int
	var data []byte
	if err == nil && len(rpc.PartialMessage) > 0 {
		index, data, err = parseChunk(rpc.PartialMessage)
	}
	if rendition == "" {
		err = fmt.Errorf("%w: a partial message on the topic of headers", errWire)
	}
	if err != nil {
		s.post(func(time.Time) { s.refuse(from, refusedMalformed, err) })
		return
	}
	id := stream.PartID{Stream: s.id, Rendition: rendition, Position: position}
	s.post(func(now time.Time) {
		if len(rpc.PartsMetadata) > 0 {
			s.exchange.onMetadata(from, id, meta, now)
		}
		if data != nil {
			s.exchange.onChunk(chunkSource{from, false}, id, index, data, now)
		}
	})
}

// onEmitGossip runs on pubsub's event loop.
func (s *Swarm) onEmitGossip(id stream.PartID, peers []peer.ID) {
	s.post(func(time.Time) { s.exchange.onGossip(id, peers) })
}

// onMesh notes a change of the mesh. It runs on pubsub's event loop.
func (s *Swarm) onMesh(topic string, id peer.ID, grafted bool) {
	s.mu.Lock()
	peers := s.mesh[topic]
	if peers == nil {
		peers = make(map[peer.ID]struct{})
		s.mesh[topic] = peers
	}
	if grafted {
		peers[id] = struct{}{}
		s.meshNew = append(s.meshNew, id)
	} else {
		delete(peers, id)
	}
	s.mu.Unlock()
	s.wake()
}

// onPeerGone notes that a peer disconnected. It runs on pubsub's event loop.
func (s *Swarm) onPeerGone(id peer.ID) {
	s.mu.Lock()
	for _, peers := range s.mesh {
		delete(peers, id)
	}
	delete(s.subscribed, id)
	s.meshGone = append(s.meshGone, id)
	s.mu.Unlock()
	s.wake()
	s.dialer.wake()
}

// onDropped notes a lost message. It runs on pubsub's event loop.
func (s *Swarm) onDropped(id peer.ID, part stream.PartID) {
	s.mu.Lock()
	if len(s.dropped) < inboxSize {
		s.dropped = append(s.dropped, droppedRPC{id, part})
	}
	s.mu.Unlock()
	s.wake()
}

// neighbours returns the mesh of each rendition, sorted.
func (s *Swarm) neighbours() map[string][]peer.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string][]peer.ID, len(s.renditions))
	for name := range s.renditions {
		out[name] = slices.Sorted(maps.Keys(s.mesh[chunksTopic(s.id, name)]))
	}
	return out
}

// rtt returns a peer's last known round trip, 0 if unknown.
func (s *Swarm) rtt(id peer.ID) time.Duration { return s.node.host.Peerstore().LatencyEWMA(id) }

// errTooManyRenditions refuses what no honest broadcaster sends.
var errTooManyRenditions = errors.New("too many renditions")

// rendition returns the rendition of a verified header, joined if it is new. It must
// not be called from pubsub's event loop.
func (s *Swarm) rendition(name string) (*rendition, error) {
	s.mu.Lock()
	r, n := s.renditions[name], len(s.renditions)
	s.mu.Unlock()
	if r != nil {
		return r, nil
	}
	if n >= maxRenditions {
		return nil, errTooManyRenditions
	}
	s.node.joining.Lock() // one at a time, as joining a topic twice is an error
	defer s.node.joining.Unlock()
	s.mu.Lock()
	r = s.renditions[name]
	s.mu.Unlock()
	if r != nil {
		return r, nil
	}
	if s.ctx.Err() != nil {
		return nil, ErrClosed
	}
	if err := s.node.ps.RegisterTopicValidator(chunksTopic(s.id, name), refuseWholeMessages); err != nil {
		return nil, fmt.Errorf("register validator of rendition %s: %w", name, err)
	}
	topic, err := s.node.ps.Join(chunksTopic(s.id, name), pubsub.RequestPartialMessages())
	if err != nil {
		return nil, fmt.Errorf("join rendition %s: %w", name, err)
	}
	if err := topic.SetScoreParams(topicScore()); err != nil {
		return nil, fmt.Errorf("set score of rendition %s: %w", name, err)
	}
	// Nothing ever arrives here: the validator refuses whole messages, and partial ones
	// go to the exchange. But only subscribers are in the mesh.
	sub, err := topic.Subscribe(pubsub.WithBufferSize(1))
	if err != nil {
		return nil, fmt.Errorf("subscribe to rendition %s: %w", name, err)
	}
	r = &rendition{stream.NewTimeline(s.id, name), topic, sub}
	s.mu.Lock()
	s.renditions[name] = r
	s.mu.Unlock()
	return r, nil
}

// ID returns the stream.
func (s *Swarm) ID() stream.ID { return s.id }

// Link returns the link that leads to this node.
func (s *Swarm) Link() stream.Link {
	addrs := s.node.Addrs()
	return stream.Link{Stream: s.id, Peers: addrs[:min(len(addrs), maxLinkAddrs)]}
}

// Timelines returns the timelines of the renditions known so far, sorted by name.
func (s *Swarm) Timelines() []*stream.Timeline {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*stream.Timeline
	for _, name := range slices.Sorted(maps.Keys(s.renditions)) {
		out = append(out, s.renditions[name].timeline)
	}
	return out
}

// timeline returns the timeline of a rendition, or nil.
func (s *Swarm) timeline(name string) *stream.Timeline {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.renditions[name]; r != nil {
		return r.timeline
	}
	return nil
}

// Stats returns the figures of the stream at this node.
func (s *Swarm) Stats() SwarmStats {
	s.mu.Lock()
	out := s.counters.snapshot()
	neighbour := make(map[peer.ID]bool)
	for _, peers := range s.mesh {
		for id := range peers {
			neighbour[id] = true
		}
	}
	ids := maps.Clone(s.subscribed)
	for id := range neighbour {
		ids[id] = struct{}{}
	}
	for id := range ids {
		p := PeerStats{ID: id}
		if known := s.counters.peers[id]; known != nil {
			p = *known
		}
		p.Neighbour = neighbour[id]
		out.Peers = append(out.Peers, p)
	}
	s.mu.Unlock()
	for i := range out.Peers {
		p := &out.Peers[i]
		p.RTT = s.rtt(p.ID)
		if conns := s.node.host.Network().ConnsToPeer(p.ID); len(conns) > 0 {
			p.Addr = conns[0].RemoteMultiaddr().String()
		}
	}
	slices.SortFunc(out.Peers, func(a, b PeerStats) int {
		if a.Neighbour != b.Neighbour {
			if a.Neighbour {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.ID, b.ID)
	})
	out.LastDialError = s.dialer.lastError()
	return out
}
