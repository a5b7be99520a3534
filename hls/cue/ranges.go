package cue

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// maxRanges and maxSections bound what is kept of a stream: its newest ranges, and the
	// bytes of their sections, which a playlist has twice as many of.
	maxRanges   = 256
	maxSections = 64 << 10
	// sameTime is how far the same splice may be from itself: renditions round times, and
	// encoders that repeat a cue do.
	sameTime = time.Second
	// maxOpen is for how long a break without a planned end is taken to last: the cue that
	// ended it may be lost. Nothing lists more than a day.
	maxOpen = 24 * time.Hour
)

// Range is what a playlist says of one event. Sections are nil for what did not come.
type Range struct {
	ID      string
	Start   time.Time
	Planned time.Duration // 0 if unknown
	End     time.Time     // of the break, if In came
	Out     []byte
	In      []byte
	Command []byte

	event     string
	timed     bool
	returns   bool
	cancelled bool      // it is known, so that nobody takes it for new
	found     time.Time // when the newest cue of it came
}

// Ranges is what is known of a stream's events. All renditions share it: they have the same
// cues. The zero value is ready to use. It is safe for concurrent use.
type Ranges struct {
	mu      sync.Mutex // guards all following
	list    []*Range   // in the order in which they came
	size    int        // bytes of sections
	dropped int
}

// Add takes cues. The same ones may come many times: repeated by the encoder, from several
// renditions, and from segments that are read again.
func (r *Ranges) Add(cues []Cue) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range cues {
		switch c.Kind {
		case Out:
			r.out(c)
		case In:
			r.in(c)
		case Cancel:
			r.cancel(c)
		default:
			r.command(c)
		}
	}
	for len(r.list) > maxRanges || r.size > maxSections {
		n := r.least()
		e := r.list[n]
		r.size -= len(e.Out) + len(e.In) + len(e.Command)
		r.list = slices.Delete(r.list, n, n+1)
		r.dropped++
	}
}

// least returns the index of the range that matters least: the oldest that does not go on,
// as one that does is of all that is listed. If more than half go on, the ends of the
// oldest were lost.
func (r *Ranges) least() int {
	oldest, going := map[bool]int{}, 0
	for n, e := range slices.Backward(r.list) {
		on := e.goesOn()
		if oldest[on] = n; on {
			going++
		}
	}
	return oldest[going > len(r.list)/2]
}

// Dropped returns how many ranges were let go because there are too many.
func (r *Ranges) Dropped() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dropped
}

// Since returns the ranges that are not over at from: those of the present and the future,
// and breaks that began before and go on. The oldest comes first.
func (r *Ranges) Since(from time.Time) []Range {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Range
	for _, e := range r.list {
		if !e.cancelled && !e.over().Before(from) {
			out = append(out, *e)
		}
	}
	slices.SortStableFunc(out, func(a, b Range) int { return a.Start.Compare(b.Start) })
	return out
}

// over returns when a range ends, as far as one can tell.
func (e *Range) over() time.Time {
	switch {
	case !e.End.IsZero():
		return e.End
	case e.goesOn():
		return e.Start.Add(maxOpen)
	}
	return e.Start.Add(e.Planned)
}

// goesOn reports whether a range is a break until a cue ends it that has not come.
func (e *Range) goesOn() bool {
	return e.Out != nil && e.End.IsZero() && !e.returns && !e.cancelled
}

// newest returns the last range of an event, or nil.
func (r *Ranges) newest(event string) *Range {
	for _, e := range slices.Backward(r.list) {
		if e.event == event {
			return e
		}
	}
	return nil
}

func (r *Ranges) add(c Cue, e *Range) {
	e.ID, e.Start, e.event, e.timed, e.found = c.id, c.Start, c.Event, c.Timed, c.Found
	r.list = append(r.list, e)
	r.size += len(c.Section)
}

func (r *Ranges) out(c Cue) {
	if e := r.newest(c.Event); e != nil {
		ended := e.In != nil || e.cancelled
		switch {
		case e.Out == nil && e.In != nil && !e.cancelled && c.Found.Before(e.found) && !c.Start.After(e.End):
			// Another rendition, or the past, has the beginning of a break whose end came alone.
			r.add(c, &Range{Out: c.Section, Planned: c.Planned, In: e.In, End: e.End})
			r.list[len(r.list)-1].found = e.found
			return
		case c.Found.Before(e.found.Add(-sameTime)), ended && !c.Found.After(e.found.Add(sameTime)):
			return // read again
		case !ended && e.repeatedBy(c):
			e.found = later(e.found, c.Found)
			return
		case !ended && c.Found.Before(e.Start):
			e.cancelled = true // moved before it began
		}
	}
	r.add(c, &Range{Out: c.Section, Planned: c.Planned, returns: c.Returns && c.Planned > 0})
}

// repeatedBy reports whether an out point is the one that began the range.
func (e *Range) repeatedBy(c Cue) bool {
	if c.Timed && e.timed {
		return c.Start.Sub(e.Start).Abs() <= sameTime
	}
	return !c.Start.After(e.over())
}

func (r *Ranges) in(c Cue) {
	e := r.newest(c.Event)
	switch {
	case e == nil:
		// Its beginning came before all that is known.
		r.add(c, &Range{In: c.Section, End: c.Start})
	case c.Found.Before(e.found), e.In != nil || e.cancelled:
		// Read again, or repeated.
	default:
		e.In, e.End, e.found = c.Section, later(c.Start, e.Start), c.Found
		r.size += len(c.Section)
	}
}

// cancel hides an event that has not begun, or goes on. A segmentation event is cancelled
// whatever its type.
func (r *Ranges) cancel(c Cue) {
	for _, e := range r.list {
		of := e.event == c.Event || strings.HasPrefix(e.event, c.Event+"-")
		if of && e.In == nil && !c.Found.Before(e.found) {
			e.cancelled, e.found = true, c.Found
		}
	}
}

func (r *Ranges) command(c Cue) {
	for _, e := range r.list {
		same := e.event == c.Event && e.timed == c.Timed && (c.Event != "" || bytes.Equal(e.Command, c.Section))
		slack := sameTime
		if !c.Timed {
			slack /= 10 // the same in another rendition; one that is repeated is another
		}
		if e.Command != nil && same && c.Start.Sub(e.Start).Abs() <= slack {
			return
		}
	}
	r.add(c, &Range{Command: c.Section, Planned: c.Planned})
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
