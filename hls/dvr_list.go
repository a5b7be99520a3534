package hls

import (
	"slices"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// MaxDVR bounds [Config.DVR]: a day of segments of 2 s is a playlist of 6 MB.
	MaxDVR = 24 * time.Hour
	// dvrRoom is the part of the store that has to come before anything goes of what is
	// listed because the store holds it: a player asks for it some seconds later.
	dvrRoom = 1.0 / 16
)

// dvrList is the window of a playlist that rewinds. Its entries have headers, no bodies.
type dvrList struct {
	window
	most     time.Duration // listed at most; 0 for no bound
	mostSize int64         // bytes listed at most; 0 for no bound
	size     int64         // bytes listed
	newest   key           // listed last
}

// newDVREntry returns the entry of a segment.
func newDVREntry(headers []*stream.SignedHeader) *entry {
	first := headers[0]
	s := stream.Segment{Epoch: first.Epoch, Number: first.Segment, Headers: headers}
	return &entry{
		key:           key{first.Epoch, first.Segment},
		discontinuity: first.Discontinuity,
		duration:      s.Duration(),
		programTime:   first.ProgramTime,
		media:         *first.Media,
		headers:       headers,
		size:          s.Size(),
	}
}

// begin lists the first segments, of which target is at least the target duration. Their
// numbers follow from the first one's time, so that whoever lists the same first segment,
// after a restart for one, gives the same numbers.
func (l *dvrList) begin(entries []*entry, target int, now time.Time) {
	var longest time.Duration
	for _, e := range entries {
		longest = max(longest, e.duration)
	}
	at := now
	if len(entries) > 0 && entries[0].programTime.Before(now) {
		at = entries[0].programTime
	}
	l.start(longest, 0, at)
	l.target = max(l.target, target)
	for _, e := range entries {
		l.append(e)
	}
}

// goOn raises the numbers of a list that has just begun to where another left off.
func (l *dvrList) goOn(sequence, discontinuity uint64) {
	l.discontinuity = max(l.discontinuity, discontinuity)
	if by := sequence - l.entries[0].sequence; l.entries[0].sequence < sequence {
		for _, e := range l.entries {
			e.sequence += by
		}
		l.sequence += by
	}
}

// append lists e as the newest segment, and marks it if it does not continue the last.
func (l *dvrList) append(e *entry) {
	l.ended = false
	if l.newest.epoch != e.epoch || l.newest.number+1 != e.number {
		e.discontinuity = true
	}
	if len(l.entries) == 0 {
		e.discontinuity = false // nothing is before it
	}
	l.newest = e.key
	if r := rounded(e.duration); r > l.target {
		l.target = r
		l.raised++
	}
	e.sequence = l.sequence
	l.sequence++
	l.listed++
	l.entries = append(l.entries, e)
	l.size += e.size
	l.peak = max(l.peak, bitrate(e.size, e.duration))
}

// trim removes what exceeds the bounds, and returns how many segments that were. What
// keep holds and what follows it stays.
func (l *dvrList) trim(keep key) int {
	n := 0
	total, size := l.duration(), l.size
	for _, e := range l.entries {
		over := l.most > 0 && total-e.duration >= l.most || l.mostSize > 0 && size > l.mostSize
		if !over || !e.less(keep) {
			break
		}
		total -= e.duration
		size -= e.size
		n++
	}
	return l.remove(n)
}

// remove removes the n oldest segments, and returns n.
func (l *dvrList) remove(n int) int {
	for _, e := range l.entries[:n] {
		if e.discontinuity {
			l.discontinuity++
		}
		l.size -= e.size
	}
	// Views hold the old array, and append never writes within what they see of it.
	l.entries = l.entries[n:]
	return n
}

// find returns the index of a listed segment, or where it would be.
func (l *dvrList) find(k key) (int, bool) {
	return slices.BinarySearchFunc(l.entries, k, func(e *entry, k key) int {
		switch {
		case e.less(k):
			return -1
		case k.less(e.key):
			return 1
		}
		return 0
	})
}
