package p2p

import (
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// joinCalm is how old a part must be to be missed: younger ones are on their way.
const joinCalm = time.Second

// A joiner first wants the segment at the live edge, whose first part shows a picture, and
// what follows, as a player with low latency does. What came before it is wanted segment by
// segment, the newest first, and each only when everything since is here: so joiners do not
// take from each other, nor from those who watch, what is needed now.

// begin has a rendition wanted from its newest segment on, unless it is already.
func (r *repair) begin(f *flow, now time.Time) {
	newest := r.s.timeline(f.rendition).Newest()
	if _, ok := r.floor[f.rendition]; ok || newest == nil {
		return
	}
	r.wantFrom(f, segmentOf(newest), now)
	r.joining[f.rendition] = now
}

// stepJoin has the segment wanted that comes before those that are here, up to what a player
// without low latency starts from.
func (r *repair) stepJoin(now time.Time) {
	for rendition, since := range r.joining {
		f, t, floor := r.s.exchange.flow(rendition), r.s.timeline(rendition), r.floor[rendition]
		first := t.Recent(joinSegments + 1)[0]
		if f == nil || r.joined && floor.Compare(segmentOf(first)) <= 0 || now.Sub(since) > exchangeTTL {
			delete(r.joining, rendition)
			continue
		}
		if before := t.Before(floor, stream.Position{}, 1); len(before) > 0 && f.calm(now) {
			r.wantFrom(f, segmentOf(before[0]), now)
		}
	}
}

// wantFrom has everything that is known from a position on wanted.
func (r *repair) wantFrom(f *flow, floor stream.Position, now time.Time) {
	r.floor[f.rendition] = floor
	for _, h := range r.s.timeline(f.rendition).From(floor) {
		r.s.exchange.onHeader(h, r.wants(h, true, now), true, false, now)
	}
}

// calm reports whether nothing is missing but what is on its way.
func (f *flow) calm(now time.Time) bool {
	for pos, p := range f.headers {
		if f.x.Missing(pos) > 0 && (p.late || now.Sub(p.since) > joinCalm) {
			return false
		}
	}
	return true
}

// segmentOf returns the position of the first part of a part's segment.
func segmentOf(h *stream.SignedHeader) stream.Position {
	return stream.Position{Epoch: h.Epoch, Segment: h.Segment}
}

// isPast reports whether a part is of a segment before the last two.
func (s *Swarm) isPast(id stream.PartID) bool {
	t := s.timeline(id.Rendition)
	if t == nil {
		return true
	}
	newest := t.Newest()
	return newest == nil || id.Position.Epoch != newest.Epoch || id.Position.Segment+1 < newest.Segment
}
