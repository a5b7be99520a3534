package hls

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/hls/fmp4"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	// llWindow is how many segments a low-latency playlist lists at least: with
	// llSkipTargets kept, a delta has something to leave out. Its players start near
	// the end, so a long window costs them nothing.
	llWindow = 10
	// llReserve is how many segments of a new epoch players that ran dry start again
	// with: they need three parts.
	llReserve = 1
	// llPartTargets is within how many target durations of the end a segment must begin
	// for its parts to be listed (draft-pantos-hls-rfc8216bis, section 4.4.4.9).
	llPartTargets = 3
	// llIdle is how long nobody must have asked before what was made is let go. Players
	// ask once a part; one whose laptop slept starts again.
	llIdle = time.Minute
)

// llFollower keeps the low-latency playlist of one rendition at the live edge, from
// when somebody asks for it until nobody has for a while.
type llFollower struct {
	source
	log   *slog.Logger
	size  int
	wake  chan struct{} // somebody asked
	clock *llClock
	align func(first key) (discontinuity uint64, target int)
	parts func() time.Duration // the part target that suits all renditions; 0 if there are none

	// Only run uses these. All but sequence and discontinuity begin anew each time that
	// somebody asks after a pause.
	sequence      uint64 // where numbers go on
	discontinuity uint64 // likewise
	session       string // in all names, so that they are never used again
	remuxer       fmp4.Remuxer
	window        window
	edge          edge
	removed       removed
	cues          cues
	open          *llSegment // at the edge; nil before its first part is here
	broken        bool       // the next segment does not continue what was listed last
	init          piece      // of the segments to come
	inits         int
	partTarget    time.Duration

	mu      sync.Mutex // guards all following
	asked   time.Time
	view    *llView       // not nil
	changed chan struct{} // closed when view is replaced
}

func newLLFollower(t *stream.Timeline, store Store, size int, log *slog.Logger) *llFollower {
	return &llFollower{
		source:  newSource(t, store),
		log:     log.With("rendition", t.Rendition(), "playlist", "ll"),
		size:    max(size, llWindow),
		cues:    newCues(log),
		wake:    make(chan struct{}, 1),
		clock:   new(llClock),
		align:   func(key) (uint64, int) { return 0, 0 },
		parts:   func() time.Duration { return 0 },
		view:    &llView{},
		changed: make(chan struct{}),
	}
}

// ask tells that a player is there, and returns the newest view and a channel that is
// closed when it is replaced.
func (f *llFollower) ask(now time.Time) (*llView, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = now
	select {
	case f.wake <- struct{}{}:
	default: // it knows
	}
	return f.view, f.changed
}

// watch returns the newest view and a channel that is closed when it is replaced, and asks
// for nothing.
func (f *llFollower) watch() (*llView, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.view, f.changed
}

// current returns the newest view.
func (f *llFollower) current() *llView {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.view
}

// idleAt returns when the playlist is to be let go if nobody asks.
func (f *llFollower) idleAt() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked.Add(llIdle)
}

// run keeps the playlist while somebody wants it, until ctx ends.
func (f *llFollower) run(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		}
		f.begin()
		f.follow(ctx)
		f.end()
	}
}

// begin starts a playlist with names of its own.
func (f *llFollower) begin() {
	var id [4]byte
	_, _ = rand.Read(id[:]) // never fails
	f.session = hex.EncodeToString(id[:])
	f.remuxer = fmp4.Remuxer{}
	f.window = window{size: f.size, discontinuity: f.discontinuity}
	f.edge = edge{reserve: llReserve}
	f.log.Debug("somebody asks", "session", f.session)
}

// end lets go of all that begin and follow made, and keeps the numbers.
func (f *llFollower) end() {
	if f.window.target > 0 {
		f.sequence = f.window.sequence + 1 // a segment may have been open
		f.discontinuity = f.window.marks()
		if f.open != nil && f.open.discontinuity {
			f.discontinuity++
		}
	}
	f.pending = make(map[key]*assembly)
	f.window, f.edge, f.removed, f.open = window{}, edge{}, nil, nil
	f.broken, f.init, f.inits, f.partTarget = false, piece{}, 0, 0
	f.replace(&llView{window: window{discontinuity: f.discontinuity}})
	f.log.Debug("nobody asks any more", "session", f.session)
}

// follow follows the timeline and the store until nobody asks or ctx ends.
func (f *llFollower) follow(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		headers, parts := f.timeline.Changed(), f.store.Changed()
		now := time.Now()
		idle := f.idleAt()
		if !now.Before(idle) {
			return
		}
		again := f.advance(now)
		if again.IsZero() || idle.Before(again) {
			again = idle
		}
		timer.Reset(again.Sub(now))
		select {
		case <-ctx.Done():
			return
		case <-headers:
		case <-parts:
		case <-f.nudge:
		case <-timer.C:
		}
	}
}

// advance lists what can be listed, and returns when to ask again at the latest.
func (f *llFollower) advance(now time.Time) time.Time {
	segments, ends := f.segments(&f.edge)
	states := f.gather(segments, ends)
	changed := f.removed.release(now)
	if !f.edge.started {
		target := time.Duration(targetFor(longest(segments))) * time.Second
		if ok, again := f.edge.begin(states, f.window.size, target, now); !ok {
			return again
		}
		discontinuity, others := f.align(f.edge.next)
		f.window.start(longest(segments), others, now)
		f.window.sequence = max(f.window.sequence, f.sequence)
		f.window.discontinuity = max(f.window.discontinuity, discontinuity)
		f.partTarget = cmp.Or(f.parts(), partTargetOf(longestPart(segments)))
	}
	var again time.Time
	skipped := f.edge.skipped
	for {
		for len(states) > 0 && states[0].less(f.edge.next) {
			states = states[1:]
		}
		var next move
		next, again = f.edge.decide(states, f.window.targetDuration(), now)
		if f.open != nil && f.open.key != f.edge.next {
			// A part of it is lost. What was listed stays, and is all of it.
			f.close(now)
			f.broken, changed = true, true
		}
		switch next {
		case moveList:
			f.take(segments)
			f.close(now)
			f.edge.listed(now)
			changed = true
			continue
		case moveWait:
			if !f.edge.dry(f.window.targetDuration(), now) && f.take(segments) {
				changed = true
			}
		case moveEnd:
			if !f.window.ended && len(f.window.entries) > 0 {
				f.window.ended, changed = true, true
			}
		}
		break
	}
	if f.over.Load() && f.open != nil {
		f.close(now) // what is there of it is all
		f.edge.listed(now)
		changed = true
	}
	if f.window.leave(f.over.Load()) {
		changed = true
	}
	if n := f.edge.skipped - skipped; n > 0 {
		f.log.Warn("segments left out or cut short", "count", n, "next", segmentName(f.edge.next))
		changed = true
	}
	f.forget(f.edge.next)
	if changed {
		f.publish()
	}
	return f.removed.next(again)
}

// publish replaces the view by one of what is listed now.
func (f *llFollower) publish() {
	v := &llView{
		window:     f.window,
		session:    f.session,
		target:     f.window.targetDuration(),
		partTarget: f.partTarget,
		next:       llPosition{sequence: f.window.sequence},
		counts:     make(map[uint64]int, len(f.window.entries)),
		ended:      f.window.ended,
		pieces:     make(map[string]*body),
	}
	if f.open != nil {
		v.next.part = len(f.open.parts)
		for _, p := range f.open.parts {
			v.pieces[p.name] = p.body
		}
		v.pieces[f.open.init.name] = f.open.init.body
	}
	keep := func(e *entry) {
		v.pieces[e.name], v.pieces[e.init.name] = e.body, e.init.body
		for _, p := range e.parts {
			v.pieces[p.name] = p.body
		}
	}
	for _, r := range f.removed {
		keep(r.entry)
	}
	for _, e := range f.window.entries {
		keep(e)
		v.counts[e.sequence] = len(e.parts)
	}
	if len(f.window.entries) > 0 {
		list := llPlaylist{
			window:     &f.window,
			open:       f.open,
			partTarget: f.partTarget,
			session:    f.session,
			ranges:     f.cues.since(f.window.entries),
		}
		v.full = list.render(0)
		v.delta = v.full
		if n := list.skippable(); n > 0 {
			v.delta = list.render(n)
		}
	}
	f.replace(v)
}

func (f *llFollower) replace(v *llView) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.view = v
	close(f.changed)
	f.changed = make(chan struct{})
}
