package schedule

import (
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// Verdict is what is to be done with a chunk that arrived.
type Verdict int

const (
	Accept      Verdict = iota // verify it, then call Got or Forged
	Duplicate                  // it is there already
	Early                      // its header is still under way: keep it until then, if there is room
	Late                       // it was wanted once, but not any more
	Unsolicited                // no honest peer sends it
	Unserved                   // more peers speak of the part than are listened to
)

// Admit says what to do with a chunk that a peer sent. fetched is for chunks that
// came by the fetch protocol.
func (x *Exchange) Admit(from Peer, pos stream.Position, i int, fetched bool, now time.Time) Verdict {
	n := x.peers[from]
	pushed := !fetched && n != nil && n.mayPush.Has(Stripe(pos, i))
	p := x.parts[pos]
	if pushed && p == nil && x.newest.Compare(pos) < 0 && x.mayOpen(n, pos, now) {
		p = x.get(pos, from, now) // it outran its header
	}
	if pushed && p != nil && !p.known {
		return Early
	}
	if p == nil || !p.known {
		if fetched || pushed || n != nil && n.lateAsked.Compare(pos) >= 0 && !n.lateUntil.Before(now) {
			return Late
		}
		return Unsolicited
	}
	if i >= p.n || !fetched && !pushed && !p.asked[from].Get(i) {
		return Unsolicited
	}
	if !fetched && p.peer(from) == nil {
		return Unserved
	}
	if n != nil {
		n.heard = now
		x.unpark(n, now)
		if pushed && !p.asked[from].Get(i) {
			x.pushed(n, Stripe(pos, i))
		}
	}
	if p.have.Get(i) {
		if st := &x.stripes[Stripe(pos, i)]; pushed && st.parent == from {
			st.measure(p, now) // this node's patience was short
			st.late = 0
		}
		if fetched {
			return Duplicate
		}
		if pp := p.peer(from); pp != nil {
			pp.owesAck = true // else the sender never hears that its chunk came
			if p.newsAt.IsZero() {
				p.newsAt = now
			}
		}
		return Duplicate
	}
	return Accept
}

// Got takes a verified chunk. age is what its sender said of it, ignored if fetched.
func (x *Exchange) Got(from Peer, pos stream.Position, i int, age time.Duration, fetched bool, now time.Time) {
	p := x.parts[pos]
	if p == nil || !p.known || i >= p.n || p.have.Get(i) {
		return
	}
	n := x.peers[from]
	if n != nil {
		n.deliver(now)
		if a := p.asks[i]; a.from == from && !a.fetch {
			n.service = averageDuration(n.service, now.Sub(a.at))
		}
	}
	p.have.Set(i)
	p.count++
	p.at[i] = now
	p.age[i] = AgeUnknown
	if !fetched && n != nil {
		// What its parent was asked for as well came the usual way nonetheless.
		if (p.asks[i].from != from || x.stripes[Stripe(pos, i)].parent == from) && age < AgeUnknown {
			p.age[i] = max(0, age) + n.rtt/2
			if !p.late { // the way from the sender may have taken longer, and the header was no older than it
				p.age[i] = min(AgeUnknown-1, max(p.age[i], now.Sub(p.ready)))
			}
		}
		x.arrived(p, i, n, now)
	}
	x.unask(p, i, false)
	if n != nil && !fetched {
		if pp := p.peer(from); pp != nil {
			pp.have.Set(i)
			pp.owesAck = true
		}
	}
	if p.newsAt.IsZero() {
		p.newsAt = now
	}
	if p.age[i] == AgeUnknown && (!fetched || from == Origin) {
		// Others may lack it, too.
		if soon := now.Add(rareDelay - newsDelay); soon.Before(p.newsAt) {
			p.newsAt = soon
		}
	}
	if p.count == 1 || p.count == p.n {
		p.dirty = true
	}
	x.offer(p, i, now)
}

// Delivered notes that a peer sent what it was asked for, though it was there already.
func (x *Exchange) Delivered(from Peer, now time.Time) {
	if n := x.peers[from]; n != nil {
		n.deliver(now)
	}
}

// deliver notes that a neighbour sent a chunk that is what it should be.
func (n *neighbour) deliver(now time.Time) {
	n.delivers, n.delivered, n.doubted = true, now, false
	n.does()
}

// Forged notes that a peer sent other bytes than the header says, so that the chunk is sought
// elsewhere. As the broadcaster may have signed another header, nobody is blamed for that, nor left
// as a parent: see Blame.
func (x *Exchange) Forged(from Peer, pos stream.Position, i int, now time.Time) {
	if n := x.peers[from]; n != nil {
		n.does() // it withholds nothing
	}
	p := x.parts[pos]
	if p == nil || !p.known || i >= p.n {
		return
	}
	if p.asks[i].from == from {
		x.unask(p, i, true)
	}
	if pp := p.peers[from]; pp != nil {
		pp.have.Clear(i)
	}
	p.dirty = true
}

// Lost notes that the node has lost a chunk: its store let go of it.
func (x *Exchange) Lost(pos stream.Position, i int) {
	if p := x.parts[pos]; p != nil && p.known && p.have.Get(i) {
		p.have.Clear(i)
		p.count--
		x.GiveUp(pos)
	}
}
