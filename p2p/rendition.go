package p2p

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/stream"
)

// rendition is one encoding of the stream. Its headers come with the stream's, its
// chunks only while it is carried.
type rendition struct {
	timeline *stream.Timeline
	holders  map[peer.ID]struct{} // connected peers that carry it; guarded by Swarm.mu
	wg       sync.WaitGroup

	published bool   // by this node; guarded by Swarm.mu
	epoch     uint64 // in which; likewise

	topic *pubsub.Topic        // nil until it is carried; guarded by Node.joining
	sub   *pubsub.Subscription // nil unless it is carried; guarded by Node.joining and Swarm.mu
}

// errTooManyRenditions refuses what no honest broadcaster sends.
var errTooManyRenditions = errors.New("too many renditions")

// errForeign refuses, at the broadcaster, headers of its own epoch that it did not sign itself.
var errForeign = fmt.Errorf("%w, or is going to have: somebody else has the stream's key", stream.ErrEquivocation)

// foreign reports whether this node broadcasts a rendition, and somebody else signed a header of it.
func (s *Swarm) foreign(r *rendition, h *stream.SignedHeader) bool {
	s.mu.Lock()
	own := r.published && r.epoch == h.Epoch
	s.mu.Unlock()
	return own && r.timeline.Header(h.Position) == nil
}

// rendition returns the rendition of a verified header, carried if it is new and shall
// be. It must not be called from pubsub's event loop.
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
	r, carry := s.renditions[name], s.shallCarry(name)
	s.mu.Unlock()
	if r != nil {
		return r, nil
	}
	if s.ctx.Err() != nil {
		return nil, ErrClosed
	}
	r = &rendition{timeline: stream.NewTimeline(s.id, name), holders: make(map[peer.ID]struct{})}
	r.timeline.Heed(s.roles)
	r.timeline.Retain(s.node.cfg.History, s.node.store)
	r.timeline.UseClock(s.node.cfg.ClockOff)
	if carry {
		if err := s.carry(r); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	s.renditions[name] = r
	s.mu.Unlock()
	return r, nil
}

// Carry has the node receive, keep and pass on these renditions and no others, until it
// is called again; before that a node carries all, and the broadcaster always does. A
// rendition may be named that the stream does not have yet. One that is new begins at
// the live edge, and its last whole segments follow; one that is left stays in the store.
// Errors come from pubsub, or wrap [ErrClosed].
func (s *Swarm) Carry(names []string) error {
	if s.publishing() {
		return nil
	}
	s.node.joining.Lock()
	defer s.node.joining.Unlock()
	if s.ctx.Err() != nil {
		return ErrClosed
	}
	s.mu.Lock()
	s.only = make(map[string]struct{}, len(names))
	for _, name := range names {
		s.only[name] = struct{}{}
	}
	var begin, leave []*rendition
	for name, r := range s.renditions {
		switch shall := s.shallCarry(name); {
		case shall && r.sub == nil:
			begin = append(begin, r)
		case !shall && r.sub != nil:
			leave = append(leave, r)
		}
	}
	s.mu.Unlock()
	var errs []error
	for _, r := range begin {
		errs = append(errs, s.carry(r))
	}
	for _, r := range leave {
		s.leave(r)
	}
	return errors.Join(errs...)
}

// shallCarry reports whether a rendition is to be carried. Swarm.mu is held.
func (s *Swarm) shallCarry(name string) bool {
	_, ok := s.only[name]
	return ok || s.only == nil
}

// carry begins to exchange a rendition's chunks. Node.joining is held.
func (s *Swarm) carry(r *rendition) error {
	name := r.timeline.Rendition()
	if r.topic == nil {
		if err := s.joinChunks(r, name); err != nil {
			return err
		}
	}
	known := r.timeline.Newest() != nil
	s.note(func(now time.Time) { // before peers speak of it
		s.mu.Lock()
		s.renditions[name] = r // whatever is exchanged is known
		s.mu.Unlock()
		s.exchange.open(name)
		if !known {
			return // its first header follows
		}
		s.repair.begin(s.exchange.flow(name), now)
	})
	// Nothing ever arrives here: the validator refuses whole messages, and partial ones
	// go to the exchange. But only subscribers are in the mesh.
	sub, err := r.topic.Subscribe(pubsub.WithBufferSize(1))
	if err != nil {
		return fmt.Errorf("subscribe to rendition %s: %w", name, err)
	}
	s.mu.Lock()
	r.sub = sub
	s.mu.Unlock()
	return nil
}

// joinChunks joins the topic of a rendition's chunks. Node.joining is held.
func (s *Swarm) joinChunks(r *rendition, name string) error {
	if err := s.node.ps.RegisterTopicValidator(chunksTopic(s.id, name), refuseWholeMessages); err != nil {
		return fmt.Errorf("register validator of rendition %s: %w", name, err)
	}
	topic, err := s.node.ps.Join(chunksTopic(s.id, name), pubsub.RequestPartialMessages())
	if err != nil {
		return fmt.Errorf("join rendition %s: %w", name, err)
	}
	if err := topic.SetScoreParams(topicScore()); err != nil {
		return fmt.Errorf("set score of rendition %s: %w", name, err)
	}
	events, err := topic.EventHandler()
	if err != nil {
		return fmt.Errorf("watch rendition %s: %w", name, err)
	}
	r.topic = topic
	r.wg.Go(func() { s.followHolders(r, events) })
	return nil
}

// leave ends the exchange of a rendition's chunks. Node.joining is held.
func (s *Swarm) leave(r *rendition) {
	name := r.timeline.Rendition()
	ctx, cancel := context.WithTimeout(s.ctx, farewellTimeout)
	defer cancel()
	// If the loop is too slow for a farewell, neighbours notice that it is silent.
	if err := s.send(ctx, func(now time.Time) {
		s.exchange.leave(name, now)
		s.repair.leave(name)
	}); err == nil {
		<-time.After(farewellPause)
	}
	s.mu.Lock()
	sub := r.sub
	r.sub = nil
	s.mu.Unlock()
	sub.Cancel()
}

// carries reports whether a rendition's chunks are exchanged now.
func (s *Swarm) carries(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.renditions[name]
	return r != nil && r.sub != nil
}

// followHolders keeps the set of connected peers that hold a rendition.
func (s *Swarm) followHolders(r *rendition, events *pubsub.TopicEventHandler) {
	defer events.Cancel()
	for {
		e, err := events.NextPeerEvent(s.ctx)
		if err != nil {
			return
		}
		s.mu.Lock()
		if e.Type == pubsub.PeerJoin {
			r.holders[e.Peer] = struct{}{}
		} else {
			delete(r.holders, e.Peer)
		}
		s.mu.Unlock()
		s.note(func(time.Time) { s.exchange.onNeighbour() })
	}
}

// holdersOf returns the connected peers that carry a rendition, nil if none is known to.
func (s *Swarm) holdersOf(name string) map[peer.ID]struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.renditions[name]; r != nil && len(r.holders) > 0 {
		return maps.Clone(r.holders)
	}
	return nil
}

// neighbours returns a rendition's mesh, and the other connected peers that hold it.
func (s *Swarm) neighbours(name string) (mesh, others []peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.renditions[name]
	if r == nil {
		return nil, nil
	}
	grafted := s.mesh[chunksTopic(s.id, name)]
	for id := range r.holders {
		if _, ok := grafted[id]; !ok {
			others = append(others, id)
		}
	}
	// In an order of this node's own: if all chose the same, those would feed everybody.
	distance := make(map[peer.ID][sha256.Size]byte, len(others))
	for _, id := range others {
		distance[id] = sha256.Sum256([]byte(s.node.host.ID() + id))
	}
	slices.SortFunc(others, func(a, b peer.ID) int {
		da, db := distance[a], distance[b]
		return bytes.Compare(da[:], db[:])
	})
	return slices.Sorted(maps.Keys(grafted)), others
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
