package stream

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/stream/wire"
)

const (
	// MaxSpans bounds the spans that a node tells of: a store that takes all as it comes has
	// one an epoch.
	MaxSpans = 16
	// LastingFor is how long what a node holds is not looked up again: with a long past that
	// takes some milliseconds.
	LastingFor = time.Second
	// lastingRoom is the part of the store that has to come before anything of a span goes:
	// who asks for it learned of the span some seconds before.
	lastingRoom = 1.0 / 16
)

// Span is a run of segments of one epoch, none missing.
type Span struct {
	Epoch       uint64
	First, Last uint64 // segment numbers
}

// Contains reports whether a segment is one of the span's.
func (s Span) Contains(epoch, segment uint64) bool {
	return s.Epoch == epoch && s.First <= segment && segment <= s.Last
}

// Bytes returns the span as a message of Protocol Buffers: uint64 epoch = 1, first = 2, last = 3.
func (s Span) Bytes() []byte {
	m := wire.AppendUint(nil, 1, s.Epoch)
	m = wire.AppendUint(m, 2, s.First)
	return wire.AppendUint(m, 3, s.Last)
}

// ParseSpan reads what [Span.Bytes] writes. Errors wrap [ErrMalformed].
func ParseSpan(b []byte) (s Span, err error) {
	err = wire.Fields(b, func(field int, v uint64, _ []byte) {
		switch field {
		case 1:
			s.Epoch = v
		case 2:
			s.First = v
		case 3:
			s.Last = v
		}
	})
	if err != nil {
		return s, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if s.Last < s.First {
		return s, fmt.Errorf("%w: a span that ends before it begins", ErrMalformed)
	}
	return s, nil
}

// Held returns the runs of segments, oldest first, that a node holds whole and will
// hold still when new parts of a share of its store's bound have come, from 0 to 1. What the
// store's disk holds needs no header in memory.
func (t *Timeline) Held(store *Store, share float64) []Span {
	var spans []Span
	for _, s := range t.Segments(Position{}) {
		if s.Complete && store.Lasting(s.Headers, share) {
			spans = append(spans, Span{s.Epoch, s.Number, s.Number})
		}
	}
	if store.disk != nil {
		spans = append(spans, store.disk.Held(t.stream, t.rendition, share)...)
	}
	return joined(spans)
}

// joined returns the same segments in as few spans as possible, oldest first.
func joined(spans []Span) []Span {
	slices.SortFunc(spans, func(a, b Span) int {
		return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.First, b.First))
	})
	var out []Span
	for _, s := range spans {
		if n := len(out); n > 0 && out[n-1].Epoch == s.Epoch && s.First <= out[n-1].Last+1 {
			out[n-1].Last = max(out[n-1].Last, s.Last)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// lasting remembers what a node holds of a rendition.
type lasting struct {
	mu    sync.Mutex // guards all following
	at    time.Time
	spans []Span
}

// Lasting returns the newest runs of segments, [MaxSpans] at most, that a node holds whole and
// will hold for a while, as they were within the last second. They must not be changed.
func (t *Timeline) Lasting(store *Store, now time.Time) []Span {
	l := &t.lasting
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at.IsZero() || now.Sub(l.at) >= LastingFor {
		l.spans = t.Held(store, lastingRoom)
		l.spans = l.spans[max(0, len(l.spans)-MaxSpans):]
		l.at = now
	}
	return l.spans
}
