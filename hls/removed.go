package hls

import "time"

// removed is the segments that slid out of a playlist and are still served, oldest
// first.
type removed []removedSegment

type removedSegment struct {
	*entry
	until time.Time
}

// add keeps segments for their duration and the longest playlist's (RFC 8216, section
// 6.2.2).
func (r *removed) add(out []*entry, longest time.Duration, now time.Time) {
	for _, e := range out {
		*r = append(*r, removedSegment{e, now.Add(e.duration + longest)})
	}
}

// release forgets removed segments whose time is over, and reports whether any was.
func (r *removed) release(now time.Time) bool {
	var size int64
	for _, s := range *r {
		size += s.body.size
	}
	n := 0
	for n < len(*r) && (size > maxPinned || !now.Before((*r)[n].until)) {
		size -= (*r)[n].body.size
		n++
	}
	*r = append(removed(nil), (*r)[n:]...)
	return n > 0
}

// next returns when to release again, or again if that is sooner; zero for not at all.
func (r removed) next(again time.Time) time.Time {
	if len(r) > 0 && (again.IsZero() || r[0].until.Before(again)) {
		return r[0].until
	}
	return again
}
