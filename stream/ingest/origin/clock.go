package origin

import (
	"sync"
	"time"
)

const (
	// maxPast and maxAhead are how far a playlist's dates may be from this machine's clock:
	// nodes leave alone what is of another time, and a wrong zone is an hour off.
	maxPast  = 30 * time.Minute
	maxAhead = 30 * time.Second
	// sameTime is how far two estimates of one time line may be from each other.
	sameTime = 10 * time.Second
	// maxAnchors is how many time lines are remembered: renditions are about as far.
	maxAnchors = 8

	wrap = 1 << 33
)

// clock tells when frames were live. All renditions of an origin share it, so that the same
// picture has the same time in each. It is safe for concurrent use.
type clock struct {
	mu      sync.Mutex
	anchors []anchor // guarded by mu; the newest last
}

// anchor ties a timestamp to the wall clock.
type anchor struct {
	pts int64
	at  time.Time
}

// estimate returns when the frame at pts (33 bits, 90 kHz) was live, which by its
// arrival was about guess.
func (c *clock) estimate(pts int64, guess time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := len(c.anchors) - 1; i >= 0; i-- {
		a := c.anchors[i]
		d := (pts - a.pts) & (wrap - 1)
		if d >= wrap/2 {
			d -= wrap
		}
		at := a.at.Add(time.Duration(d) * 100 / 9 * time.Microsecond)
		if at.Sub(guess).Abs() > sameTime {
			continue
		}
		if d > wrap/4 {
			c.anchors[i] = anchor{pts, at} // before it is ambiguous
		}
		return at
	}
	if len(c.anchors) == maxAnchors {
		c.anchors = append(c.anchors[:0], c.anchors[1:]...)
	}
	guess = guess.Round(0)
	c.anchors = append(c.anchors, anchor{pts, guess})
	return guess
}

// plausible reports whether a playlist's date can be what it says.
func plausible(date, arrival time.Time) bool {
	d := date.Sub(arrival)
	return !date.IsZero() && d > -maxPast && d < maxAhead
}
