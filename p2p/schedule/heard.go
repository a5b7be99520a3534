package schedule

import (
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// Metadata takes what a peer says of a part.
func (x *Exchange) Metadata(from Peer, pos stream.Position, m Metadata, now time.Time) {
	n := x.peers[from]
	if n == nil {
		return
	}
	n.heard = now
	x.unpark(n, now)
	if m.State != nil {
		x.onState(n, *m.State, now)
	}
	if m.Grants != nil {
		x.onGrants(n, *m.Grants, pos, now)
	}
	if m.Standing != nil {
		x.onStanding(n, *m.Standing, pos, now)
	}
	p := x.parts[pos]
	if p == nil {
		if len(x.order) > 0 && pos.Compare(x.order[0].pos) < 0 && m.Want.Count() == 0 || !x.mayOpen(n, pos, now) {
			return // of the past
		}
		p = x.get(pos, from, now)
	}
	pp := p.peer(from)
	if pp == nil {
		x.stats.Unsolved++
		return
	}
	if !pp.toldAnything {
		p.dirty = true
	}
	if p.hungry || n.doubted {
		p.look()
	}
	if !p.known {
		pp.have, pp.want = or(pp.have, m.Have), m.Want.Clone()
		return
	}
	pp.says(m.Have, p.n)
	for i := range p.n {
		if m.Have.Get(i) {
			if p.seen[i].IsZero() {
				p.seen[i] = now
			}
			if !pp.have.Get(i) && pp.sends > 0 {
				n.take(now) // however late
			}
			pp.have.Set(i)
			x.acknowledge(p, n, pp, i, true, now)
		}
		if want := m.Want.Get(i); want != pp.want.Get(i) {
			if !want {
				pp.want.Clear(i)
				continue
			}
			x.acknowledge(p, n, pp, i, false, now) // asked for anew, so what was sent got lost
			pp.want.Set(i)
			if p.have.Get(i) && !pp.have.Get(i) {
				x.enqueue(p, i, n, true, now)
			}
		}
	}
}

// Gossip makes the node tell a peer, who is no neighbour, of a part.
func (x *Exchange) Gossip(to Peer, pos stream.Position) {
	p := x.parts[pos]
	if p == nil || !p.known || p.count == 0 || x.peers[to] == nil {
		return
	}
	p.peer(to)
	p.dirty = true
}
