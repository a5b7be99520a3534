package hls

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// maxAwait bounds how long before a segment is due, and how long after, a playlist is
// held for it, where a quarter of a segment is not shorter: players' first pictures wait.
const maxAwait = 500 * time.Millisecond

// view is what a rendition serves at one moment. It is immutable.
type view struct {
	playlist *document // nil until there are segments enough
	window   window
	edge     edge
	bodies   map[key]*body // what is listed, and what was a short time ago
	due      time.Time     // when the next segment is; zero if that is not known
}

// playable reports whether the playlist can be answered.
func (v *view) playable() bool { return v.playlist != nil }

// worthWait returns how long a playlist with the next segment is worth waiting for: 0
// unless that segment is due now.
func (v *view) worthWait(now time.Time) time.Duration {
	if v.due.IsZero() {
		return 0
	}
	around := min(maxAwait, v.window.entries[len(v.window.entries)-1].duration/4)
	if now.Before(v.due.Add(-around)) {
		return 0
	}
	return max(0, v.due.Add(around).Sub(now))
}

// follower keeps the playlist of one rendition at the live edge.
type follower struct {
	source
	log   *slog.Logger
	ready func() // called when the rendition becomes playable
	align func(first key) (discontinuity uint64, target int)

	// Only run uses these.
	window  window
	edge    edge
	removed removed
	cues    cues
	due     time.Time // of the segment edge.next

	mu      sync.Mutex    // guards all following
	view    *view         // not nil
	changed chan struct{} // closed when view is replaced
}

func newFollower(t *stream.Timeline, store Store, size int, log *slog.Logger, ready func()) *follower {
	return &follower{
		source:  newSource(t, store),
		log:     log,
		cues:    newCues(log),
		ready:   ready,
		align:   func(key) (uint64, int) { return 0, 0 },
		window:  window{size: size},
		view:    &view{},
		changed: make(chan struct{}),
	}
}

// current returns the newest view and a channel that is closed when it is replaced.
func (f *follower) current() (*view, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.view, f.changed
}

// run follows the timeline and the store until ctx ends.
func (f *follower) run(ctx context.Context) { f.follow(ctx, f.advance) }

// advance lists what can be listed, and returns when to ask again at the latest.
func (f *follower) advance(now time.Time) time.Time {
	segments, ends := f.segments(&f.edge)
	states := f.gather(segments, ends)
	changed := f.removed.release(now)
	if !f.edge.started {
		most := longest(segments)
		size := cmp.Or(f.window.size, windowFor(targetFor(most)))
		if ok, again := f.edge.begin(states, size, time.Duration(targetFor(most))*time.Second, now); !ok {
			return again
		}
		discontinuity, target := f.align(f.edge.next)
		f.window.size = size
		f.window.start(most, target, now)
		f.window.discontinuity = discontinuity
	}
	skipped := f.edge.skipped
	next, again := f.edge.walk(states, f.window.targetDuration, now, func() {
		f.list(now)
		changed = true
	})
	if next == moveEnd && !f.window.ended && len(f.window.entries) > 0 {
		f.window.ended = true
		changed = true
		f.log.Info("stream ended", "rendition", f.timeline.Rendition())
	}
	if f.window.leave(f.over.Load()) {
		changed = true
		f.log.Info("others go on without a rendition, or with it again", "rendition", f.timeline.Rendition(), "gone", f.window.left)
	}
	if n := f.edge.skipped - skipped; n > 0 {
		f.log.Warn("segments left out", "rendition", f.timeline.Rendition(), "count", n, "next", segmentName(f.edge.next))
		changed = true
	}
	f.forget(f.edge.next)
	if changed {
		f.publish()
	}
	return f.removed.next(again)
}

// list adds the segment at the edge, which is whole, to the window.
func (f *follower) list(now time.Time) {
	a := f.pending[f.edge.next]
	s := &a.segment
	first := s.Headers[0]
	raised := f.window.raised
	if first.Media.Kind == stream.KindMain {
		a.body.shows = &showing{f.edge.next, first.ProgramTime, first.ProgramTime.Add(s.Duration()), now}
	}
	out := f.window.add(&entry{
		key:           f.edge.next,
		discontinuity: f.edge.broken || first.Discontinuity,
		duration:      s.Duration(),
		programTime:   first.ProgramTime,
		media:         *first.Media,
		body:          a.body,
	})
	f.cues.segment(s.Headers, a.parts)
	f.due = time.Time{}
	if last := f.edge.listedAt; !last.IsZero() && now.Sub(last) > s.Duration()/2 {
		f.due = now.Add(s.Duration()) // they come one by one
	}
	if f.window.raised > raised {
		f.log.Warn("segment longer than the target duration", "rendition", f.timeline.Rendition(),
			"duration", s.Duration(), "target", f.window.targetDuration())
	}
	f.removed.add(out, f.window.longest, now)
}

// publish replaces the view and wakes whoever waits for it.
func (f *follower) publish() {
	v := &view{window: f.window, edge: f.edge, bodies: make(map[key]*body), due: f.due}
	for _, r := range f.removed {
		v.bodies[r.key] = r.body
	}
	for _, e := range f.window.entries {
		v.bodies[e.key] = e.body
	}
	if len(f.window.entries) > 0 {
		text, err := renderMedia(&f.window, f.cues.since(f.window.entries))
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
	f.cues.past(segments[0].Headers, a.parts)
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
