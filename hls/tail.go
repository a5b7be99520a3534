package hls

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// tailReserve is how many segments of a new epoch a tail holds back: nobody runs
	// dry behind it.
	tailReserve = 1
	// tailLeast is how many whole segments a tail begins with: what is here is not to
	// be lost should the node end.
	tailLeast = 1
	// tailPatience is how many target durations a tail waits for a missing segment. No
	// player freezes meanwhile, but what follows stays in memory: maxPending segments
	// at most.
	tailPatience = 6
)

// Segment is a whole and verified segment that a [Tail] hands out. It keeps its bytes,
// whatever the store lets go.
type Segment struct {
	PlaylistSegment
	Epoch, Number uint64
	Target        int // EXT-X-TARGETDURATION of a playlist with it, seconds; never falls
	Media         stream.Media
	body          *body
}

// Size returns the segment's size in bytes.
func (s *Segment) Size() int64 { return s.body.size }

// Bytes returns a copy of the segment's bytes, which are the same on every node.
func (s *Segment) Bytes() []byte { return slices.Concat(s.body.chunks...) }

// TailSink takes what a [Tail] hands out. Its methods must not block.
type TailSink interface {
	// Segment takes the next segment.
	Segment(Segment)
	// LeftOut tells that n segments before the next one never became whole.
	LeftOut(n uint64)
	// Ended tells that the newest epoch is over and all of it was handed out. A
	// segment of a later epoch may follow.
	Ended()
}

// TailConfig configures a [Tail].
type TailConfig struct {
	Timeline *stream.Timeline
	Store    Store
	Sink     TailSink
	// Resume says that the segment After was handed out before, perhaps to another
	// process; the tail goes on behind it.
	Resume bool
	After  SegmentID
	// Target is the target duration so far, in seconds; 0 if there is none.
	Target int
	Logger *slog.Logger // required
}

// SegmentID names a segment of a rendition.
type SegmentID struct{ Epoch, Number uint64 }

// ParseSegmentName reads the file name of a segment, <epoch>-<number>.ts, or .vtt of
// subtitles.
func ParseSegmentName(name string) (SegmentID, bool) {
	k, ok := parseSegmentName(name)
	return SegmentID{k.epoch, k.number}, ok
}

// Tail hands out all whole segments of a rendition in order, each once, as they come. It
// decides as the live playlist does what to wait for and what to leave out, but waits
// longer and holds nothing back.
type Tail struct {
	source
	cfg     TailConfig
	edge    edge
	target  int
	resumed bool // whether it is still to be seen if the stream goes on behind After
	broken  bool // the first segment does not continue what was handed out before
	ended   bool
}

// NewTail returns a tail. It starts nothing.
func NewTail(cfg TailConfig) *Tail {
	t := &Tail{
		source: newSource(cfg.Timeline, cfg.Store),
		cfg:    cfg,
		edge:   edge{reserve: tailReserve, least: tailLeast, patience: tailPatience},
		target: cfg.Target,
	}
	if cfg.Resume {
		t.resumed = true
		t.edge.started, t.edge.next = true, key{cfg.After.Epoch, cfg.After.Number + 1}
	}
	return t
}

// Run follows the timeline and the store until ctx ends. Then it hands out what is whole
// still, and returns.
func (t *Tail) Run(ctx context.Context) {
	t.follow(ctx, t.advance)
	now := time.Now()
	t.advance(now)
	// What is missing now is not waited for any more.
	for range maxPending {
		before := t.edge.next
		now = now.Add(tailPatience * t.targetDuration())
		t.advance(now)
		if t.edge.next == before {
			break
		}
	}
}

func (t *Tail) targetDuration() time.Duration { return time.Duration(t.target) * time.Second }

// advance hands out what can be, and returns when to ask again at the latest.
func (t *Tail) advance(now time.Time) time.Time {
	t.checkResume()
	segments, ends := t.segments(&t.edge)
	states := t.gather(segments, ends)
	if !t.edge.started {
		if ok, again := t.edge.begin(states, maxPending, 0, now); !ok {
			return again
		}
	}
	if t.target == 0 {
		t.target = targetFor(longest(segments))
	}
	skipped := t.edge.skipped
	tell := func() {
		if n := t.edge.skipped - skipped; n > 0 {
			skipped = t.edge.skipped
			t.cfg.Logger.Warn("segments left out", "count", n, "next", segmentName(t.edge.next))
			t.cfg.Sink.LeftOut(n)
		}
	}
	next, again := t.edge.walk(states, t.targetDuration, now, func() {
		tell()
		t.list(t.pending[t.edge.next])
	})
	tell()
	if next == moveEnd && !t.ended {
		t.ended = true
		t.cfg.Sink.Ended()
	}
	t.forget(t.edge.next)
	return again
}

// checkResume begins anew if the stream has gone back behind what was handed out: epochs
// rise, unless the broadcaster's clock was wrong once.
func (t *Tail) checkResume() {
	newest := t.timeline.Newest()
	if !t.resumed || newest == nil {
		return
	}
	t.resumed = false
	if newest.Epoch < t.edge.next.epoch {
		t.cfg.Logger.Warn("the stream's epochs went back", "from", t.edge.next.epoch, "to", newest.Epoch)
		t.edge.started, t.edge.next, t.broken = false, key{}, true
	}
}

// list hands out the segment at the edge, which is whole.
func (t *Tail) list(a *assembly) {
	t.ended = false
	s := &a.segment
	first := s.Headers[0]
	t.target = max(t.target, rounded(s.Duration()))
	t.cfg.Sink.Segment(Segment{
		PlaylistSegment: PlaylistSegment{
			Name:          nameOf(t.edge.next, first.Media.Kind),
			Duration:      s.Duration(),
			ProgramTime:   first.ProgramTime,
			Discontinuity: t.edge.broken || t.broken || first.Discontinuity,
		},
		Epoch:  s.Epoch,
		Number: s.Number,
		Target: t.target,
		Media:  *first.Media,
		body:   a.body,
	})
	t.broken = false
}
