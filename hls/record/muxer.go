package record

import (
	"errors"
	"fmt"
	"time"

	"github.com/grapevine-live/grapevine/hls/fmp4"
)

// maxGap is the longest pause that one file holds: nobody wants to seek through the night
// between two shows.
const maxGap = time.Hour

// Reasons for which a segment cannot go into the same file, or into any.
var (
	errParameters = errors.New("codec parameters differ")
	errGap        = errors.New("too long a pause")
	errRemux      = errors.New("segment cannot be remuxed")
)

// shot is a segment to be remuxed.
type shot struct {
	data          []byte
	duration      time.Duration
	programTime   time.Time
	discontinuity bool // it does not continue the one before
}

// clock places segments in a file that begins at zero. Pauses stay as long as they were by
// the broadcaster's clock.
type clock struct {
	begun bool
	began time.Time     // programme time of the position 0
	end   time.Duration // of what was placed
}

// place returns where s begins. The error is errGap if that is too far from the end.
func (c *clock) place(s shot) (time.Duration, error) {
	if !c.begun {
		c.begun, c.began = true, s.programTime
	}
	if !s.discontinuity {
		return c.end, nil
	}
	at := s.programTime.Sub(c.began)
	switch {
	case at-c.end > maxGap:
		return 0, errGap
	case at < c.end: // the clock was set back
		c.closeGap(s)
		return c.end, nil
	}
	return at, nil
}

// closeGap lets s follow the end at once.
func (c *clock) closeGap(s shot) { c.began = s.programTime.Add(-c.end) }

// muxer makes one MP4 of segments.
type muxer struct {
	remuxer fmp4.Remuxer
	clock   clock
	inits   int
}

// add makes the next segment's fragment. Errors wrap [errGap], [errParameters] or
// [errRemux]; after the first two, a new muxer takes the segment.
func (m *muxer) add(s shot) (fmp4.Fragment, error) {
	at, err := m.clock.place(s)
	if err != nil {
		return fmp4.Fragment{}, err
	}
	f, err := m.remuxer.Remux(fmp4.Part{
		Data:          s.data,
		Duration:      s.duration,
		StartsSegment: true,
		Independent:   true,
		Discontinuity: s.discontinuity,
		Placed:        true,
		At:            at,
	})
	switch {
	case err != nil:
		return f, fmt.Errorf("%w: %w", errRemux, err)
	case f.Init != nil && m.inits > 0:
		return f, errParameters
	case f.Data == nil:
		return f, fmt.Errorf("%w: it has no frames", errRemux)
	}
	m.inits++
	m.clock.end = at + s.duration
	return f, nil
}
