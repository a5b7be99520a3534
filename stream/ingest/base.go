package ingest

import (
	"sync"
	"time"
)

const (
	// maxPlaces is how many places a base remembers: an encoder may be that many breaks
	// behind its input.
	maxPlaces = 64
	// placeSlack is by how much a frame may come before its place: the first frame after
	// a break need not be the first that is shown.
	placeSlack = second
)

// Base is the time line that ingests of one broadcast share: which output timestamp,
// and so which program time, a frame has. It is safe for concurrent use.
type Base struct {
	line *line
	kept bool // input timestamps are the line's output timestamps already
}

// line is what a base and those derived from it know.
type line struct {
	mu     sync.Mutex
	places []place // guarded by mu; the newest last
}

// place is where output time and the wall clock were tied together.
type place struct {
	out  int64 // output time
	wall time.Time
}

// NewBase returns the base of an ingest whose output is encoded again.
func NewBase() *Base { return &Base{line: new(line)} }

// Encoded returns a base for ingests of what was made of the output of one that has b,
// with its timestamps: they stay as they are, and with them the program times.
func (b *Base) Encoded() *Base { return &Base{line: b.line, kept: true} }

// note ties output time to the wall clock.
func (b *Base) note(p place) {
	if b == nil || b.kept {
		return
	}
	b.line.mu.Lock()
	defer b.line.mu.Unlock()
	if len(b.line.places) == maxPlaces {
		b.line.places = append(b.line.places[:0], b.line.places[1:]...)
	}
	b.line.places = append(b.line.places, p)
}

// find returns the place that a segment belongs to which starts at pts after a break,
// false if the ingest makes its own time.
func (b *Base) find(pts int64) (place, bool) {
	if b == nil || !b.kept {
		return place{}, false
	}
	b.line.mu.Lock()
	defer b.line.mu.Unlock()
	// The newest that is not later: output time goes back now and then, as it wraps.
	for n := len(b.line.places) - 1; n >= 0; n-- {
		if p := b.line.places[n]; p.out <= pts+placeSlack {
			return p, true
		}
	}
	return place{}, false
}
