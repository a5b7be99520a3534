package hls

import (
	"slices"
	"sync"
)

const (
	// llOverlap is by how much a rendition's first frame after a break may be before the
	// end of its last one before it, in ticks of 90 kHz: sound and picture do not begin and
	// end together.
	llOverlap = 90000
	// llGap is how far apart they may be: longer gaps are not of the stream, but of clocks.
	llGap = 60 * 90000
	// llRoom is left between the two where decode times begin anew, so that no rendition
	// overlaps: none knows how far another came.
	llRoom = 90000 / 10
	// llMarks bounds what is kept: of as many restarts of the broadcaster.
	llMarks = 64

	wrap = 1 << 33 // ticks of 90 kHz after which timestamps begin again
)

// llClock is what the low-latency playlists of a stream's renditions agree on: by how much
// decode times differ from the broadcaster's timestamps. Players put sound and picture
// together by decode times, which must go on where the broadcaster's begin anew. It is safe
// for concurrent use.
//
// While there is nothing to put together, each rendition goes on without a gap, which players
// that do not know discontinuities want. Else each keeps the gaps that it has.
type llClock struct {
	mu     sync.Mutex // guards all following
	shared bool       // there is further audio
	end    int64      // the latest decode time of any
	marks  []llMark   // in order
}

// llMark says that an offset holds from a segment on, modulo 2^33: timestamps may have begun
// again since.
type llMark struct {
	key
	offset int64
}

// share tells whether there is further audio.
func (c *llClock) share(shared bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shared = shared
}

// reach tells that a rendition has come to a decode time.
func (c *llClock) reach(end int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end = max(c.end, end)
}

// at returns the offset that holds for a segment, modulo 2^33, 0 if none was needed so far.
func (c *llClock) at(k key) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n, ok := c.findLocked(k); ok {
		return c.marks[n].offset
	}
	return 0
}

// findLocked returns the index of the newest mark of k's epoch that is not after k.
func (c *llClock) findLocked(k key) (n int, ok bool) {
	for n := len(c.marks) - 1; n >= 0; n-- {
		if m := c.marks[n]; !k.less(m.key) {
			return n, m.epoch == k.epoch
		}
	}
	return -1, false
}

// offset returns what is added to timestamps from the segment k on, in ticks of 90 kHz. The
// first one of k's is first, and what was before ends with the decode time end, -1 if
// nothing was.
func (c *llClock) offset(k key, first, end int64) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, known := c.findLocked(k)
	if known {
		near := end
		if end < 0 {
			near = c.end
		}
		at := decodeTime(first+c.marks[n].offset, near)
		if gap := at - end; end < 0 || c.shared && gap >= -llOverlap && gap <= llGap {
			return at - first
		}
	}
	var offset int64
	switch {
	case len(c.marks) == 0:
	case c.shared:
		offset = c.end + llRoom - first
	case end >= 0:
		offset = end - first
	}
	m := llMark{k, offset}
	if n >= 0 && c.marks[n].key == k {
		c.marks[n] = m
	} else if c.marks = slices.Insert(c.marks, n+1, m); len(c.marks) > llMarks {
		c.marks = slices.Delete(c.marks, 0, 1)
	}
	return offset
}

// decodeTime returns the value nearest to ref that ts is modulo 2^33 (ISO 13818-1, 2.4.3.6),
// but for negative ones, which decode times cannot have. Nor has ref.
func decodeTime(ts, ref int64) int64 {
	d := (ts - ref) & (wrap - 1)
	if d >= wrap/2 && ref+d >= wrap {
		d -= wrap
	}
	return ref + d
}
