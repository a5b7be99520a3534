package p2p

import (
	"bytes"
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

// rendition is one encoding of the stream.
type rendition struct {
	timeline *stream.Timeline
	topic    *pubsub.Topic
	sub      *pubsub.Subscription
	wg       sync.WaitGroup
	held     heldSpans
	holders  map[peer.ID]struct{} // connected peers that are subscribed; guarded by Swarm.mu
}

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
	events, err := topic.EventHandler()
	if err != nil {
		return nil, fmt.Errorf("watch rendition %s: %w", name, err)
	}
	r = &rendition{timeline: stream.NewTimeline(s.id, name), topic: topic, sub: sub, holders: make(map[peer.ID]struct{})}
	r.timeline.Retain(s.node.cfg.History, s.node.store)
	s.mu.Lock()
	s.renditions[name] = r
	s.mu.Unlock()
	r.wg.Go(func() { s.followHolders(r, events) })
	return r, nil
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
