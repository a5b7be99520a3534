package p2p

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	pubsub "github.com/libp2p/go-libp2p-pubsub"

	"github.com/grapevine-live/grapevine/stream"
)

// rendition is one encoding of the stream.
type rendition struct {
	timeline *stream.Timeline
	topic    *pubsub.Topic
	sub      *pubsub.Subscription
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
	r = &rendition{stream.NewTimeline(s.id, name), topic, sub}
	s.mu.Lock()
	s.renditions[name] = r
	s.mu.Unlock()
	return r, nil
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
