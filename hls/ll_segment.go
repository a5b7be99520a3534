package hls

import (
	"bytes"
	"fmt"
	"time"

	"github.com/grapevine-live/grapevine/hls/fmp4"
	"github.com/grapevine-live/grapevine/stream"
)

// partHeadroom is how much longer than the longest known part later ones may be:
// encoders that count in milliseconds. All players stay three of them behind.
const partHeadroom = 1.01

// piece is what a name stands for in a low-latency playlist: an init, a part or a
// segment, in fragmented MP4.
type piece struct {
	name string
	*body
}

// llPart is a part in a low-latency playlist.
type llPart struct {
	piece
	duration    time.Duration
	independent bool
}

// llSegment is a segment whose parts are listed one after the other.
type llSegment struct {
	key
	discontinuity bool
	programTime   time.Time
	media         stream.Media
	init          piece
	parts         []llPart
	taken         uint32 // parts of the stream that were remuxed, of which some may be empty
	failed        bool   // one could not be: the rest is left out
}

func (s *llSegment) duration() time.Duration {
	var d time.Duration
	for _, p := range s.parts {
		d += p.duration
	}
	return d
}

// shows says what some of the segment shows, nil if it has no pictures.
func (s *llSegment) shows(from time.Time, d time.Duration, listed time.Time) *showing {
	if s.media.Kind != stream.KindMain {
		return nil
	}
	return &showing{s.key, from, from.Add(d), listed}
}

// longestPart returns the duration of the longest part.
func longestPart(segments []stream.Segment) time.Duration {
	var d time.Duration
	for _, s := range segments {
		for _, h := range s.Headers {
			d = max(d, h.Duration)
		}
	}
	return d
}

// partTargetOf returns the PART-TARGET for parts of at most longest, to a hundredth of a
// second. It is as short as can be, for players stay three behind, and as no part but a
// segment's last may be shorter than 85% of it.
func partTargetOf(longest time.Duration) time.Duration {
	const unit = 10 * time.Millisecond
	return max(unit, (time.Duration(float64(longest)*partHeadroom)+unit-1)/unit*unit)
}

// take remuxes those parts of the segment at the edge that are here and continue what was
// listed of it, and reports whether there were any.
func (f *llFollower) take(segments []stream.Segment) bool {
	s := find(segments, f.edge.next)
	if s == nil {
		return false
	}
	a := f.pending[f.edge.next]
	if a == nil {
		return false
	}
	took := false
	for _, h := range s.Headers {
		if f.open != nil && h.Part < f.open.taken {
			continue
		}
		next := uint32(0)
		if f.open != nil {
			next = f.open.taken
		}
		if h.Part != next || int(h.Part) >= len(a.parts) || a.parts[h.Part] == nil {
			break
		}
		if f.open == nil {
			f.open = &llSegment{
				key:           f.edge.next,
				discontinuity: f.edge.broken || f.broken || h.Discontinuity,
				programTime:   h.ProgramTime,
				media:         *h.Media,
			}
			f.broken, f.window.ended, f.window.left = false, false, false
		}
		f.open.taken++
		if f.remux(h, a.parts[h.Part]) {
			took = true
		}
	}
	return took
}

// remux makes the next part of the open segment, and reports whether it is listed.
func (f *llFollower) remux(h *stream.SignedHeader, chunks [][]byte) bool {
	f.cues.part(h, chunks)
	o := f.open
	if o.failed {
		return false
	}
	first := len(f.window.entries) == 0 // nothing is before it
	fragment, err := f.remuxer.Remux(fmp4.Part{
		Data:          bytes.Join(chunks, nil),
		Duration:      h.Duration,
		StartsSegment: h.Part == 0,
		Independent:   h.Independent,
		Discontinuity: h.Part == 0 && o.discontinuity,
		Offset:        func(first, end int64) int64 { return f.clock.offset(o.key, first, end) },
	})
	if err != nil {
		f.log.Warn("part cannot be remuxed, the rest of its segment is left out", "part", h.Position, "err", err)
		o.failed = true
		return false
	}
	f.clock.reach(fragment.End)
	if fragment.Lost > 0 {
		f.log.Debug("frames left out", "part", h.Position, "count", fragment.Lost)
	}
	if fragment.Init != nil {
		// A number would do, but players that cache must not meet another's init.
		f.init = newPiece(fmt.Sprintf("%s-%d.mp4", f.session, f.inits), fragment.Init)
		o.discontinuity = o.discontinuity || f.inits > 0
		f.inits++
	}
	o.init = f.init
	if fragment.Data == nil {
		return false // a part without frames
	}
	data := [][]byte{fragment.Data}
	if fragment.Events != nil {
		data = [][]byte{fragment.Events, fragment.Data}
	}
	if len(o.parts) == 0 && o.discontinuity && !first {
		// For players that do not fetch the map again: VLC ends without.
		data = append([][]byte{f.init.chunks[0]}, data...)
	}
	listed := newPiece(partName(f.session, f.window.sequence, len(o.parts)), data...)
	listed.shows = o.shows(h.ProgramTime, h.Duration, time.Now())
	o.parts = append(o.parts, llPart{
		piece:       listed,
		duration:    h.Duration,
		independent: h.Independent,
	})
	if h.Duration > f.partTarget {
		f.partTarget = partTargetOf(h.Duration)
		f.log.Warn("part longer than the part target", "duration", h.Duration, "target", f.partTarget)
	}
	return true
}

// close lists the open segment as it is, without its missing parts.
func (f *llFollower) close(now time.Time) {
	o := f.open
	f.open = nil
	if o == nil || len(o.parts) == 0 {
		f.broken = true
		return
	}
	f.broken = o.failed
	var chunks [][]byte
	for _, p := range o.parts {
		chunks = append(chunks, p.chunks...)
	}
	raised := f.window.raised
	whole := newPiece(llSegmentName(f.session, f.window.sequence), chunks...)
	whole.shows = o.shows(o.programTime, o.duration(), now)
	out := f.window.add(&entry{
		key:           o.key,
		discontinuity: o.discontinuity,
		duration:      o.duration(),
		programTime:   o.programTime,
		media:         o.media,
		body:          whole.body,
		name:          whole.name,
		init:          o.init,
		parts:         o.parts,
	})
	if f.window.raised > raised {
		f.log.Warn("segment longer than the target duration", "duration", o.duration(), "target", f.window.targetDuration())
	}
	f.removed.add(out, f.window.longest, now)
}

func newPiece(name string, chunks ...[]byte) piece {
	b := &body{etag: `"` + name + `"`} // a name never stands for anything else
	for _, c := range chunks {
		b.starts = append(b.starts, b.size)
		b.chunks = append(b.chunks, c)
		b.size += int64(len(c))
	}
	return piece{name, b}
}
