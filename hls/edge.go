package hls

import "time"

const (
	// startSegments is how many whole segments in a row the first playlist needs:
	// players start three back (RFC 8216, section 6.3.3).
	startSegments = 3
	// skipTargets is how many target durations a missing segment is waited for, from
	// when something after it is known, before it is left out. Players hold about
	// three segments, so a longer wait would freeze them all to save one segment.
	skipTargets = 2
	// tailTargets is the same where the epoch is over, so that what is missing was
	// probably never made: a broadcaster that was killed leaves its last segment cut.
	tailTargets = 1
	// refillTargets bounds how long a new epoch's first segments are held back, so
	// that players that ran dry start again with startSegments and not with one.
	refillTargets = startSegments + 1
	// endTargets is how long the end of an epoch is kept to oneself once all of it is
	// listed: players leave at ENDLIST, and would miss a broadcaster that restarts.
	// They have startSegments left to play meanwhile.
	endTargets = startSegments + 2
)

// known is what a node knows of a segment, or of the end of an epoch.
type known struct {
	key
	whole bool // all parts are here
	end   bool // no segment, but the epoch's end
}

// edge decides what a playlist lists next. It is a pure state machine: the caller
// tells it what is known and the time.
type edge struct {
	reserve  int // segments that a dry player starts again with; 0 means startSegments
	least    int // whole segments in a row that it begins with; 0 means startSegments
	patience int // target durations that a missing segment is waited for; 0 means skipTargets, or tailTargets
	started  bool
	next     key       // the segment to list next
	blocked  time.Time // since when next is passed over: it is not whole and something after it is known, or it is the end; before the start, since when newer ones are waited for
	broken   bool      // what is listed next does not continue what was listed last
	skipped  uint64    // segments left out since the start
	last     key       // listed last
	listedAt time.Time // when that was
	refill   time.Time // since when the players' reserve is being refilled
}

type move int

const (
	moveWait move = iota // nothing to do until something changes, or the time returned
	moveList             // list the segment edge.next, then call listed
	moveEnd              // all that there is of the newest epoch is listed
)

// decide returns the next move and, for moveWait, when to ask again at the latest;
// zero for not at all. The segments known must be in order, none before e.next.
func (e *edge) decide(segments []known, target time.Duration, now time.Time) (move, time.Time) {
	for {
		if len(segments) == 0 {
			return moveWait, time.Time{}
		}
		first := segments[0]
		switch {
		case first.key == e.next && first.whole:
			if at := e.refilled(segments, target, now); now.Before(at) {
				return moveWait, at
			}
			return moveList, time.Time{}
		case first.key == e.next && first.end && len(segments) == 1:
			if e.blocked.IsZero() {
				e.blocked = now
			}
			if at := e.blocked.Add(endTargets * target); now.Before(at) {
				return moveWait, at
			}
			return moveEnd, time.Time{}
		case first.key == e.next && first.end:
			// The broadcaster is back. Its new epoch begins with segment 0, known or not.
			e.goTo(key{epoch: segments[1].epoch})
			segments = segments[1:]
			continue
		}
		if first.key == e.next && len(segments) == 1 {
			e.blocked = time.Time{}
			return moveWait, time.Time{} // still growing
		}
		if e.blocked.IsZero() {
			e.blocked = now
		}
		detour := e.detour(segments)
		if detour == nil {
			return moveWait, time.Time{}
		}
		if at := e.blocked.Add(e.bound(segments, target)); now.Before(at) {
			return moveWait, at
		}
		if detour.epoch == e.next.epoch {
			e.skipped += detour.number - e.next.number
		} else {
			e.skipped += detour.number + count(segments, e.next.epoch)
		}
		e.goTo(detour.key)
		for segments[0].less(detour.key) {
			segments = segments[1:]
		}
	}
}

// walk calls list for each segment that can be listed, and returns what comes after them
// as decide does. The segments known must be in order.
func (e *edge) walk(segments []known, target func() time.Duration, now time.Time, list func()) (move, time.Time) {
	for {
		for len(segments) > 0 && segments[0].less(e.next) {
			segments = segments[1:]
		}
		next, again := e.decide(segments, target(), now)
		if next != moveList {
			return next, again
		}
		list()
		e.listed(now)
	}
}

// refilled returns when the segment next, which is whole, may be listed; any time
// that has passed means now.
func (e *edge) refilled(segments []known, target time.Duration, now time.Time) time.Time {
	if e.refill.IsZero() {
		if !e.dry(target, now) {
			return time.Time{}
		}
		e.refill = now
	}
	reserve := e.reserve
	if reserve == 0 {
		reserve = startSegments
	}
	for i, s := range segments {
		if s.end {
			return time.Time{} // no more will come
		}
		if !s.whole || s.number != e.next.number+uint64(i) {
			break
		}
		if i+1 == reserve {
			return time.Time{}
		}
	}
	return e.refill.Add(refillTargets * target)
}

// dry reports whether next begins an epoch before which players ran dry: they start
// about startSegments back, and that is how long they last.
func (e *edge) dry(target time.Duration, now time.Time) bool {
	return e.next.epoch != e.last.epoch && !e.listedAt.IsZero() && now.Sub(e.listedAt) >= startSegments*target
}

// detour returns what to go on with should next stay missing: the first whole
// segment after it, or the newest epoch's end.
func (e *edge) detour(segments []known) *known {
	for i := range segments {
		s := &segments[i]
		if s.key != e.next && s.whole || s.end && i == len(segments)-1 {
			return s
		}
	}
	return nil
}

// bound is how long next is waited for.
func (e *edge) bound(segments []known, target time.Duration) time.Duration {
	if e.patience > 0 {
		return time.Duration(e.patience) * target
	}
	over := false // the epoch of next
	for _, s := range segments {
		if s.epoch != e.next.epoch || s.end {
			over = true
			break
		}
		if s.whole {
			break // next is a hole, and not the tail
		}
	}
	if over {
		return tailTargets * target
	}
	return skipTargets * target
}

// count returns how many segments are known of an epoch.
func count(segments []known, epoch uint64) uint64 {
	var n uint64
	for _, s := range segments {
		if s.epoch == epoch && !s.end {
			n++
		}
	}
	return n
}

// goTo leaves the sequence of segments.
func (e *edge) goTo(k key) {
	e.next, e.broken = k, true
	e.blocked, e.refill = time.Time{}, time.Time{}
}

// listed tells that next was listed.
func (e *edge) listed(now time.Time) {
	e.last, e.listedAt = e.next, now
	e.next.number++
	e.broken = false
	e.blocked, e.refill = time.Time{}, time.Time{}
}

// begin chooses the segment that a playlist of at most size segments begins with,
// and reports whether there is one yet; if not, when to ask again at the latest, zero for
// not at all. Only the newest epoch counts.
func (e *edge) begin(segments []known, size int, target time.Duration, now time.Time) (bool, time.Time) {
	if len(segments) == 0 {
		return false, time.Time{}
	}
	newest := segments[len(segments)-1]
	enough := startSegments
	if e.least > 0 {
		enough = e.least
	}
	if newest.end {
		// No more will come, and the last one may have been cut.
		enough = max(1, min(enough, int(count(segments, newest.epoch))-1))
	}
	run := 0 // whole segments in a row from i on
	for i := len(segments) - 1; i >= 0 && segments[i].epoch == newest.epoch; i-- {
		s := segments[i]
		switch {
		case s.end:
			continue
		case !s.whole:
			run = 0
			continue
		case run > 0 && segments[i+1].number != s.number+1:
			run = 0
		}
		run++
		// Go on backwards while the run lasts, up to a full window.
		more := i > 0 && segments[i-1].whole && segments[i-1].epoch == s.epoch && segments[i-1].number+1 == s.number
		if run >= enough && (run >= size || !more) {
			if at := e.caughtUp(segments[i+run:], target, now); now.Before(at) {
				return false, at
			}
			e.started, e.next, e.blocked = true, s.key, time.Time{}
			return true, time.Time{}
		}
	}
	return false, time.Time{}
}

// caughtUp returns when a playlist may begin with a run after which these are known; any time
// that has passed means now. If they are so many that no player would begin with the run, it
// is left from when the rendition was carried last, and newer ones are on their way.
func (e *edge) caughtUp(later []known, target time.Duration, now time.Time) time.Time {
	n := len(later)
	if n <= startSegments || later[n-1].end || e.least > 0 { // who keeps segments takes all
		return time.Time{}
	}
	if e.blocked.IsZero() {
		e.blocked = now
	}
	return e.blocked.Add(skipTargets * target)
}
