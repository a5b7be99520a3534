package schedule

import (
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// Origin stands for what chunks are had from that no peer sent in time. It is no peer: it
// is told nothing, and nothing is expected of it.
const Origin Peer = -2

const (
	// divertPatience is how long a chunk that was diverted, or is being fetched from a peer,
	// is waited for until somebody else is asked.
	divertPatience = time.Second
	// maxDiverts is how often a chunk is diverted in vain until it is left to peers.
	maxDiverts = 8
)

// Overdue returns the missing chunks that are not to be waited for any longer, the most
// urgent ones first, of so many parts at most. due says when after its header a chunk of a
// part is overdue: told is whether any peer says that it has it, late that none need say so,
// as the part is of before this node came.
func (x *Exchange) Overdue(parts int, due func(pos stream.Position, i, n int, told, late bool) time.Duration, now time.Time) (holes []Hole) {
	for _, p := range x.order {
		if len(holes) == parts {
			break
		}
		if !p.missing() {
			continue
		}
		var want stream.Bitmap
		for i := range p.asks {
			if p.have.Get(i) || !x.divertible(p, i, now) || now.Sub(p.ready) < due(p.pos, i, p.n, len(p.holders(i)) > 0, p.late) {
				continue
			}
			if want == nil {
				want = stream.NewBitmap(p.n)
			}
			want.Set(i)
		}
		if want != nil {
			holes = append(holes, Hole{p.pos, want})
		}
	}
	return holes
}

// divertible reports whether a chunk may be had from elsewhere now.
func (x *Exchange) divertible(p *part, i int, now time.Time) bool {
	a := &p.asks[i]
	switch {
	case a.from == Origin || a.diverts >= maxDiverts:
		return false
	case a.fetch && now.Sub(a.at) < divertPatience && !x.Quiet(a.from, now):
		return false
	}
	// If that was slow and a neighbour has it, the neighbour has its turn.
	return now.Sub(a.diverted) >= 2*divertPatience || !x.held(p, i, now)
}

// Divert notes that holes are filled from [Origin]: what was wanted of peers is wanted no more.
func (x *Exchange) Divert(holes []Hole, now time.Time) {
	for _, h := range holes {
		p := x.parts[h.Part]
		if p == nil || !p.known {
			continue
		}
		for i := range p.asks {
			if a := &p.asks[i]; h.Want.Get(i) && !p.have.Get(i) {
				x.unask(p, i, false)
				a.from, a.at, a.diverted, a.fetch = Origin, now, now, true
			}
		}
	}
}
