package hls

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// maxPending is how many of the newest segments are gathered before they are
	// listed. A node that slept goes on with these and leaves out what is older.
	maxPending = 16
	// maxPinned bounds the bytes of segments that one rendition pins after they
	// slid out: two minutes at 16 Mbit/s.
	maxPinned = 256 << 20
)

// view is what a rendition serves at one moment. It is immutable.
type view struct {
	playlist *document // nil until there are segments enough
	window   window
	edge     edge
	bodies   map[key]*body // what is listed, and what was a short time ago
}

// playable reports whether the playlist can be answered.
func (v *view) playable() bool { return v.playlist != nil }

// follower keeps the playlist of one rendition at the live edge.
type follower struct {
	timeline *stream.Timeline
	store    *stream.Store
	log      *slog.Logger
	ready    func() // called when the rendition becomes playable

	// Only run uses these.
	window  window
	edge    edge
	pending map[key]*assembly
	removed []removedSegment // slid out, still served; oldest first

	mu      sync.Mutex    // guards all following
	view    *view         // not nil
	changed chan struct{} // closed when view is replaced
}

type removedSegment struct {
	*entry
	until time.Time
}

func newFollower(t *stream.Timeline, store *stream.Store, size int, log *slog.Logger, ready func()) *follower {
	return &follower{
		timeline: t,
		store:    store,
		log:      log,
		ready:    ready,
		window:   window{size: size},
		pending:  make(map[key]*assembly),
		view:     &view{},
		changed:  make(chan struct{}),
	}
}

// current returns the newest view and a channel that is closed when it is replaced.
func (f *follower) current() (*view, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.view, f.changed
}

// run follows the timeline and the store until ctx ends.
func (f *follower) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		headers, parts := f.timeline.Changed(), f.store.Changed()
		now := time.Now()
		again := f.advance(now)
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
		case <-timer.C:
		}
	}
}

// advance lists what can be listed, and returns when to ask again at the latest.
func (f *follower) advance(now time.Time) time.Time {
	segments, end := f.segments()
	states := f.gather(segments, end)
	changed := f.release(now)
	if !f.edge.started {
		if !f.edge.begin(states, f.window.size) {
			return time.Time{}
		}
		f.window.start(longest(segments), now)
		for len(states) > 0 && states[0].less(f.edge.next) {
			states = states[1:]
		}
	}
	var again time.Time
	skipped := f.edge.skipped
	for {
		var next move
		next, again = f.edge.decide(states, f.window.targetDuration(), now)
		if next == moveList {
			f.list(segments, now)
			changed = true
			for len(states) > 0 && states[0].less(f.edge.next) {
				states = states[1:]
			}
			continue
		}
		if next == moveEnd && !f.window.ended && len(f.window.entries) > 0 {
			f.window.ended = true
			changed = true
			f.log.Info("stream ended", "rendition", f.timeline.Rendition())
		}
		break
	}
	if n := f.edge.skipped - skipped; n > 0 {
		f.log.Warn("segments left out", "rendition", f.timeline.Rendition(), "count", n, "next", segmentName(f.edge.next))
		changed = true
	}
	for k := range f.pending {
		if k.less(f.edge.next) {
			delete(f.pending, k)
		}
	}
	if changed {
		f.publish()
	}
	if len(f.removed) > 0 && (again.IsZero() || f.removed[0].until.Before(again)) {
		again = f.removed[0].until
	}
	return again
}

// segments returns what the timeline knows from the edge on, and the end of the
// epoch that it knows to be over, if any.
func (f *follower) segments() ([]stream.Segment, []*stream.SignedHeader) {
	var from stream.Position
	if f.edge.started {
		from = stream.Position{Epoch: f.edge.next.epoch, Segment: f.edge.next.number}
	} else if newest := f.timeline.Newest(); newest != nil {
		from = stream.Position{Epoch: newest.Epoch}
	}
	var ends []*stream.SignedHeader
	for _, h := range f.timeline.From(from) {
		if h.End {
			ends = append(ends, h)
		}
	}
	return f.timeline.Segments(from), ends
}

// gather pins what came of the newest segments, and says of each what is known, in
// order with the ends of epochs.
func (f *follower) gather(segments []stream.Segment, ends []*stream.SignedHeader) []known {
	states := make([]known, 0, len(segments)+len(ends))
	for i, s := range segments {
		k := key{s.Epoch, s.Number}
		for len(ends) > 0 && (key{ends[0].Epoch, ends[0].Segment}).less(k) {
			states = append(states, known{key: key{ends[0].Epoch, ends[0].Segment}, end: true})
			ends = ends[1:]
		}
		if i < len(segments)-maxPending {
			delete(f.pending, k)
			states = append(states, known{key: k})
			continue
		}
		a := f.pending[k]
		if a == nil {
			a = &assembly{}
			f.pending[k] = a
		}
		states = append(states, known{key: k, whole: a.gather(s, f.store)})
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

// list adds the segment at the edge, which is whole, to the window.
func (f *follower) list(segments []stream.Segment, now time.Time) {
	for _, s := range segments {
		if (key{s.Epoch, s.Number}) != f.edge.next {
			continue
		}
		first := s.Headers[0]
		raised := f.window.raised
		out := f.window.add(&entry{
			key:           f.edge.next,
			discontinuity: f.edge.broken || first.Discontinuity,
			duration:      s.Duration(),
			programTime:   first.ProgramTime,
			media:         *first.Media,
			body:          f.pending[f.edge.next].body,
		})
		if f.window.raised > raised {
			f.log.Warn("segment longer than the target duration", "rendition", f.timeline.Rendition(),
				"duration", s.Duration(), "target", f.window.targetDuration())
		}
		for _, e := range out {
			// RFC 8216, section 6.2.2.
			f.removed = append(f.removed, removedSegment{e, now.Add(e.duration + f.window.longest)})
		}
		break
	}
	f.edge.listed(now)
}

// release forgets removed segments whose time is over, and reports whether any was.
func (f *follower) release(now time.Time) bool {
	var size int64
	for _, r := range f.removed {
		size += r.body.size
	}
	n := 0
	for n < len(f.removed) && (size > maxPinned || !now.Before(f.removed[n].until)) {
		size -= f.removed[n].body.size
		n++
	}
	f.removed = append([]removedSegment(nil), f.removed[n:]...)
	return n > 0
}

// publish replaces the view and wakes whoever waits for it.
func (f *follower) publish() {
	v := &view{window: f.window, edge: f.edge, bodies: make(map[key]*body)}
	for _, r := range f.removed {
		v.bodies[r.key] = r.body
	}
	for _, e := range f.window.entries {
		v.bodies[e.key] = e.body
	}
	if len(f.window.entries) > 0 {
		text, err := renderMedia(&f.window)
		if err != nil {
			// A bug in how the playlist is built: the last good one stays.
			f.log.Error("render media playlist", "rendition", f.timeline.Rendition(), "err", err)
			return
		}
		v.playlist = newDocument(playlistType, text)
	}
	f.mu.Lock()
	first := v.playable() && !f.view.playable()
	f.view = v
	close(f.changed)
	f.changed = make(chan struct{})
	f.mu.Unlock()
	if first {
		f.ready()
	}
}

// lookup returns a segment's bytes: pinned, or put together from the store; nil
// unless it is whole.
func (f *follower) lookup(v *view, k key) *body {
	if b := v.bodies[k]; b != nil {
		return b
	}
	segments := f.timeline.Segments(stream.Position{Epoch: k.epoch, Segment: k.number})
	if len(segments) == 0 || (key{segments[0].Epoch, segments[0].Number}) != k {
		return nil
	}
	var a assembly
	if !a.gather(segments[0], f.store) {
		return nil
	}
	return a.body
}

// coming reports whether a segment that is not whole may yet become so: it is at
// the edge or after it, and known or next.
func (f *follower) coming(v *view, k key) bool {
	newest := f.timeline.Newest()
	if newest == nil || v.edge.started && k.less(v.edge.next) {
		return false
	}
	if h := f.timeline.Header(stream.Position{Epoch: k.epoch, Segment: k.number}); h != nil {
		return !h.End
	}
	switch {
	case k.epoch != newest.Epoch:
		return false
	case k.number < newest.Segment:
		return v.edge.started // its header is late
	default:
		return k.number == newest.Segment+1 && !newest.End
	}
}
