package schedule

import (
	"slices"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// Hole is what is missing of a part.
type Hole struct {
	Part stream.Position
	Want stream.Bitmap
}

// HoleLimits bound what [Exchange.Holes] returns.
type HoleLimits struct {
	After   time.Duration // how long after its header a part is left to neighbours
	Bytes   int           // in all, about
	Parts   int
	Fetches int  // a chunk that was fetched in vain so often is left to neighbours
	NoPast  bool // no parts of before the last two segments that nobody speaks of any more
}

// Holes returns the most urgent missing chunks that nobody was asked for, and of the first
// of them the peers that say that they have it, and those that failed it. What a parent sends and is not late with yet, and
// for a while what a neighbour has and has no room to send, is not among them.
func (x *Exchange) Holes(l HoleLimits, now time.Time) (holes []Hole, has, avoid []Peer) {
	size, most := 0, min(l.Bytes, x.askable(now))
	if most <= 0 {
		return nil, nil, nil
	}
	for _, p := range x.order {
		if !p.missing() || !p.late && now.Sub(p.ready) < l.After || l.NoPast && p.late && x.past(p.pos) {
			continue
		}
		var want stream.Bitmap
		for i := range p.asks {
			if p.have.Get(i) || p.asks[i].from != None || p.asks[i].fetches >= l.Fetches || x.comes(p, i, now) || now.Sub(p.ready) < busyFor*l.After && x.held(p, i, now) {
				continue
			}
			if want == nil {
				want = stream.NewBitmap(p.n)
				if len(holes) == 0 {
					has, avoid = p.holders(i), p.asks[i].failed
				}
			}
			want.Set(i)
			if size += p.chunkLen(i); size >= most {
				break
			}
		}
		if want != nil {
			holes = append(holes, Hole{p.pos, want})
		}
		if size >= most || len(holes) == l.Parts {
			break
		}
	}
	return holes, has, avoid
}

// pressedAfter is how long chunks of a live part may be under way until all that the paths to this node
// carry is left to such parts.
const pressedAfter = time.Second

// Pressed reports whether live parts are late, so that whatever else is fetched is in their way.
func (x *Exchange) Pressed(now time.Time) bool {
	return slices.ContainsFunc(x.order, func(p *part) bool { return !p.late && p.missing() && now.Sub(p.ready) > pressedAfter })
}

// Past reports whether a part is of a segment before the last two.
func (x *Exchange) Past(pos stream.Position) bool { return x.past(pos) }

// holders returns the peers that say that they have a chunk.
func (p *part) holders(i int) (out []Peer) {
	for id, pp := range p.peers {
		if pp.have.Get(i) {
			out = append(out, id)
		}
	}
	return out
}

// busyFor is how many times longer a chunk is left to neighbours that have it: they were
// not asked because they have too much to send as it is, and fetching adds to that.
const busyFor = 3

// comes reports whether a parent sends a chunk and is not late with it yet.
func (x *Exchange) comes(p *part, i int, now time.Time) bool {
	s := Stripe(p.pos, i)
	return !p.late && x.fed(s) && x.stripes[s].gap.Compare(p.pos) < 0 && now.Sub(p.ready) < x.stripes[s].due()
}

// held reports whether a neighbour has a chunk and did not fail to send it.
func (x *Exchange) held(p *part, i int, now time.Time) bool {
	if p.late {
		return false
	}
	for id, pp := range p.peers {
		if n := x.peers[id]; n != nil && pp.have.Get(i) && !x.quiet(n, now) && !slices.Contains(p.asks[i].failed, id) {
			return true
		}
	}
	return false
}

// Fetching notes that a peer is asked for holes by the fetch protocol.
func (x *Exchange) Fetching(from Peer, holes []Hole, now time.Time) {
	for _, h := range holes {
		if p := x.parts[h.Part]; p != nil && p.known {
			for i := range p.asks {
				if h.Want.Get(i) && p.asks[i].from == None {
					p.asks[i].from, p.asks[i].at, p.asks[i].fetch = from, now, true
				}
			}
		}
	}
}

// Fetched notes that a fetch is over: what did not come is missing again. failed tells
// that the peer was asked in vain, rather than not answered for now.
func (x *Exchange) Fetched(from Peer, holes []Hole, failed bool) {
	for _, h := range holes {
		if p := x.parts[h.Part]; p != nil && p.known {
			for i := range p.asks {
				if a := &p.asks[i]; a.fetch && a.from == from && h.Want.Get(i) {
					x.unask(p, i, failed)
				}
			}
			p.dirty = true
		}
	}
}

// Known reports whether a part is exchanged of which the header is known.
func (x *Exchange) Known(pos stream.Position) bool {
	p := x.parts[pos]
	return p != nil && p.known
}

// Expects reports whether a part is known whose header is still under way.
func (x *Exchange) Expects(pos stream.Position) bool {
	p := x.parts[pos]
	return p != nil && !p.known
}

// Knows reports whether a peer was added.
func (x *Exchange) Knows(id Peer) bool { return x.peers[id] != nil }

// Missing returns how many chunks of a part are wanted and not there.
func (x *Exchange) Missing(pos stream.Position) int {
	if p := x.parts[pos]; p != nil && p.missing() {
		return p.n - p.count
	}
	return 0
}

// Farewell returns what is to be said to neighbours by a node that leaves: that it
// wants nothing, and promises nothing.
func (x *Exchange) Farewell() (out []Action) {
	p := x.parts[x.newest]
	if p == nil {
		return nil
	}
	none, state := Mask(0), unfedState()
	for _, n := range x.ids {
		if x.related(n) {
			out = append(out, Action{To: n.id, Part: p.pos, Meta: &Metadata{Have: p.have, Standing: &none, Grants: &none, State: &state}})
		}
	}
	return out
}
