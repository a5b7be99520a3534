package ingest

import (
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/stream/webvtt"
)

const (
	// maxPlaces is how many places a base remembers: an encoder may be that many breaks
	// behind its input.
	maxPlaces = 64
	// placeSlack is by how much a frame may come before its place: the first frame after
	// a break need not be the first that is shown.
	placeSlack = second
	// maxSkew is how far timestamps of inputs that share a base may be from what the wall
	// clock lets expect: encoders and networks are not all equally fast.
	maxSkew = 3 * second
	// maxAwait is how long a base waits for the other inputs' first keyframes.
	maxAwait = 10 * time.Second
	// maxStarts is how many segments' starts a base remembers of each ingest.
	maxStarts = 16
	// alignSlack is how far the same frame's timestamps may be apart: protocols that count
	// in milliseconds round them.
	alignSlack = second / 100
)

// Base is the time line that ingests of one broadcast share: which output timestamp,
// and so which program time, a frame has. It is safe for concurrent use.
type Base struct {
	line *line
	kind baseKind
}

type baseKind int

const (
	leading  baseKind = iota // of the one whose output is encoded again
	encoded                  // input timestamps are the line's output timestamps already
	together                 // of several encoders that agree on time
)

// line is what a base and those derived from it know.
type line struct {
	mu       sync.Mutex // guards all following
	places   []place    // the newest last
	members  map[*cutter]*member
	data     sharedData
	cues     [][]webvtt.Cue // of subtitles that encoders leave out, in output time
	inputs   int            // how many there will be; those of together wait for each other
	waiting  time.Time      // since when
	begun    bool           // segments may start, from begin on
	begin    int64          // output time
	reported bool           // a misaligned keyframe was
}

// place is where output time and the wall clock were tied together.
type place struct {
	out    int64 // output time
	wall   time.Time
	offset int64 // from input to output time, for inputs that agree on time
}

// member is what is known of one ingest.
type member struct {
	seen   int64   // its last keyframe before segments may start, output time
	starts []int64 // of its last segments, output time
}

// NewBase returns the base of an ingest whose output is encoded again.
func NewBase() *Base { return &Base{line: &line{members: make(map[*cutter]*member)}} }

// Encoded returns a base for ingests of what was made of the output of one that has b,
// with its timestamps: they stay as they are, and with them the program times.
func (b *Base) Encoded() *Base { return &Base{line: b.line, kind: encoded} }

// NewSharedBase returns the base of so many ingests of what encoders make that agree on
// time: a frame has the same timestamp in all inputs, and arrives there at about the same
// time. They begin with the same keyframe, unless one takes too long. An input that has
// other timestamps gets its own place on the line, by when it arrives.
func NewSharedBase(inputs int) *Base {
	b := NewBase()
	b.kind, b.line.inputs = together, inputs
	return b
}

// note ties output time to the wall clock.
func (b *Base) note(p place) {
	if b == nil || b.kind == encoded {
		return
	}
	b.line.mu.Lock()
	defer b.line.mu.Unlock()
	b.line.note(p)
}

func (l *line) note(p place) {
	if len(l.places) == maxPlaces {
		l.places = append(l.places[:0], l.places[1:]...)
	}
	l.places = append(l.places, p)
}

// find returns the place that a segment belongs to which starts at pts, in input time,
// after a break, and at least at least, in output time; false if the ingest makes its
// own. Its offset is the ingest's.
func (b *Base) find(pts, least int64, now time.Time) (place, bool) {
	if b == nil || b.kind == leading {
		return place{}, false
	}
	b.line.mu.Lock()
	defer b.line.mu.Unlock()
	if b.kind == together {
		return b.line.fit(pts, least, now)
	}
	// The newest that is not later: output time goes back now and then, as it wraps.
	for n := len(b.line.places) - 1; n >= 0; n-- {
		if p := b.line.places[n]; p.out <= pts+placeSlack {
			p.offset = 0
			return p, true
		}
	}
	return place{}, false
}

// fit returns the newest place that puts pts where the wall clock lets expect it.
func (l *line) fit(pts, least int64, now time.Time) (place, bool) {
	for n := len(l.places) - 1; n >= 0; n-- {
		p := l.places[n]
		want := p.at(now)
		out := unwrap(want, pts+p.offset)
		if abs(out-want) <= maxSkew && out >= least {
			p.offset = out - pts
			return p, true
		}
	}
	return place{}, false
}

// at returns the output time of the wall clock.
func (p place) at(now time.Time) int64 { return p.out + ticks(now.Sub(p.wall)) }

// due returns which output time it is, false if only the ingest itself can tell.
func (b *Base) due(now time.Time) (int64, bool) {
	if b == nil || b.kind != together {
		return 0, false
	}
	b.line.mu.Lock()
	defer b.line.mu.Unlock()
	if len(b.line.places) == 0 {
		return 0, false
	}
	return b.line.places[len(b.line.places)-1].at(now), true
}

// admits reports whether an ingest may begin with the keyframe at pts, in input time. The
// first that asks makes the first place. Encoders that agree begin with the first keyframe
// that the others had not sent when the last of them came.
func (b *Base) admits(c *cutter, pts int64, first place, now time.Time) bool {
	if b == nil || b.kind != together {
		return true
	}
	l := b.line
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.places) == 0 {
		l.note(first)
		l.waiting = now
	}
	at, ok := l.fit(pts, 0, now)
	if !ok {
		c.log.Warn("timestamps are not those of the other inputs: players that change quality will notice")
		l.member(c) // it is here
		return true
	}
	out := pts + at.offset
	own := l.member(c)
	own.seen = out
	if !l.begun && (len(l.members) == l.inputs || now.Sub(l.waiting) >= maxAwait) {
		l.begun = true
		for _, m := range l.members {
			if m != own {
				l.begin = max(l.begin, m.seen+alignSlack+1)
			}
		}
	}
	return l.begun && out >= l.begin
}

func (l *line) member(c *cutter) *member {
	m := l.members[c]
	if m == nil {
		m = new(member)
		l.members[c] = m
	}
	return m
}

// started notes that a segment starts at out, in output time, and returns how many others
// have started since the segment before where this ingest has none.
func (b *Base) started(c *cutter, out int64, discontinuity bool) (misaligned uint64) {
	if b == nil || b.kind == leading {
		return 0
	}
	l := b.line
	l.mu.Lock()
	defer l.mu.Unlock()
	own := l.member(c)
	if discontinuity {
		own.starts = nil // it knows nothing of what it lacks
	}
	if n := len(own.starts); n > 0 {
		for _, m := range l.members {
			if m != own {
				misaligned += m.between(own.starts[n-1], out)
			}
		}
	}
	if len(own.starts) == maxStarts {
		own.starts = append(own.starts[:0], own.starts[1:]...)
	}
	own.starts = append(own.starts, out)
	if misaligned > 0 && !l.reported {
		l.reported = true
		c.log.Warn("keyframes are not where those of the other renditions are: have the encoder align them, else players that change quality may show a gap")
	}
	return misaligned
}

// between returns how many segments started between two times, but not at either.
func (m *member) between(from, to int64) (n uint64) {
	for _, s := range m.starts {
		if s > from+alignSlack && s < to-alignSlack {
			n++
		}
	}
	return n
}
