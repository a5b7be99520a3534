package hls

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// maxPending is how many of the newest segments are gathered before they are
	// listed. A node that slept goes on with these and leaves out what is older.
	maxPending = 16
	// maxPinned bounds the bytes of segments that one playlist pins after they
	// slid out: two minutes at 16 Mbit/s.
	maxPinned = 256 << 20
)

// source is where a playlist's segments come from. It pins what came of those that are
// not listed yet.
type source struct {
	timeline *stream.Timeline
	store    Store
	pending  map[key]*assembly
	nudge    chan struct{} // has follow call advance
	over     *atomic.Bool  // nothing follows, though the stream goes on
}

func newSource(t *stream.Timeline, store Store) source {
	return source{timeline: t, store: store, pending: make(map[key]*assembly), nudge: make(chan struct{}, 1), over: new(atomic.Bool)}
}

// follow calls advance at once, whenever something comes, and at the time that it
// returned, until ctx ends; zero means not before something comes.
func (s *source) follow(ctx context.Context, advance func(now time.Time) (again time.Time)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		headers, parts := s.timeline.Changed(), s.store.Changed()
		now := time.Now()
		again := advance(now)
		if again.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(again.Sub(now))
		}
		select {
		case <-ctx.Done():
			return
		case <-headers:
		case <-parts:
		case <-s.nudge:
		case <-timer.C:
		}
	}
}

// find returns the segment at k, or nil.
func find(segments []stream.Segment, k key) *stream.Segment {
	for i := range segments {
		if (key{segments[i].Epoch, segments[i].Number}) == k {
			return &segments[i]
		}
	}
	return nil
}

// segments returns what the timeline knows from the edge on, and the end of the
// epoch that it knows to be over, if any.
func (s *source) segments(e *edge) ([]stream.Segment, []*stream.SignedHeader) {
	from := startOfLastEpoch(s.timeline)
	if e.started {
		from = stream.Position{Epoch: e.next.epoch, Segment: e.next.number}
	}
	var ends []*stream.SignedHeader
	for _, h := range s.timeline.From(from) {
		if h.End {
			ends = append(ends, h)
		}
	}
	return s.timeline.Segments(from), ends
}

// startOfLastEpoch returns where the newest epoch begins of which anything is known.
func startOfLastEpoch(t *stream.Timeline) (at stream.Position) {
	if newest := t.Newest(); newest != nil {
		at.Epoch = newest.Epoch
	}
	return at
}

// lastEpoch returns what is known of the newest epoch.
func lastEpoch(t *stream.Timeline) []stream.Segment { return t.Segments(startOfLastEpoch(t)) }

// gather pins what came of the newest segments, and says of each what is known, in
// order with the ends of epochs.
func (s *source) gather(segments []stream.Segment, ends []*stream.SignedHeader) []known {
	states := make([]known, 0, len(segments)+len(ends))
	for i, g := range segments {
		k := key{g.Epoch, g.Number}
		for len(ends) > 0 && (key{ends[0].Epoch, ends[0].Segment}).less(k) {
			states = append(states, known{key: key{ends[0].Epoch, ends[0].Segment}, end: true})
			ends = ends[1:]
		}
		if i < len(segments)-maxPending {
			delete(s.pending, k)
			states = append(states, known{key: k})
			continue
		}
		a := s.pending[k]
		if a == nil {
			a = &assembly{}
			s.pending[k] = a
		}
		states = append(states, known{key: k, whole: a.gather(g, s.store)})
	}
	for _, h := range ends {
		states = append(states, known{key: key{h.Epoch, h.Segment}, end: true})
	}
	return states
}

// longest returns the duration of the longest complete segment.
func longest(segments []stream.Segment) time.Duration {
	var d time.Duration
	for _, s := range segments {
		if s.Complete {
			d = max(d, s.Duration())
		}
	}
	return d
}

// forget lets go of what is before next.
func (s *source) forget(next key) {
	for k := range s.pending {
		if k.less(next) {
			delete(s.pending, k)
		}
	}
}
