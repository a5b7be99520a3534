package schedule

import (
	"cmp"
	"slices"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// lateTTL is how long after a part is exchanged no more the chunks of it that were
	// asked for may still come, without blame for a peer behind a slow link.
	lateTTL = time.Minute
	// quietAfter is how much longer than a part, and a round trip, a neighbour may say nothing.
	quietAfter = 300 * time.Millisecond
)

// neighbour is what an exchange knows of a peer.
type neighbour struct {
	id      Peer
	mesh    bool // news go to it, and promises are sought from it
	rtt     time.Duration
	heard   time.Time // when it last said something
	state   State     // its
	known   bool      // it told its state
	told    time.Time // when it was last told ours
	forged  int
	doubted bool // it claimed what nobody may have; see Disputed
	opened  int  // unknown parts that it was the first to speak of

	// What is wanted explicitly from it.
	wanted     int           // chunks
	service    time.Duration // from want to arrival, measured
	delivers   bool          // it sent a chunk that is what it should be
	delivered  time.Time     // when it last delivered a chunk, or got a want after having none
	vain       int           // wants that it failed since it last delivered
	broken     int           // promises that it broke since it last delivered
	fails      int           // what it failed since it last delivered, in all
	failing    bool          // it failed something since it last delivered
	failedAt   time.Time     // when it began to, was found to hear, or was a suspect for it
	failedLast time.Time
	hears      time.Time // when it was found to hear since it began to; zero if it was not
	lateAsked  stream.Position
	lateUntil  time.Time // until when it may be late with parts up to lateAsked

	// What is wanted unasked, in both directions.
	toldState *State // nil if it must be told
	asks      Mask   // wanted from it; see wants
	toldWant  Mask   // it knows that these are wanted from it
	mayPush   Mask   // these were ever wanted
	want      Mask   // it wants from this node
	grants    Mask   // of those, promised
	pending   Mask   // to be promised when the next part begins
	fresh     Mask   // of grants, not told yet
	toldGrant Mask
	sayWant   bool                     // toldWant must be told again, whatever it is
	sayGrants bool                     // toldGrant, too
	ahead     [Stripes]uint8           // parts since its promise should have ended
	from      [Stripes]stream.Position // it gets the parts after that
	until     [Stripes]stream.Position // up to that one, if not promised any more
	begged    [Stripes]time.Time       // since when it wants in vain
	leaving   Mask                     // not promised any more, but fed until leaveAt
	leaveAt   [Stripes]time.Time
	extra     Mask // of grants, beyond what the broadcaster gives gladly
	extraAt   [Stripes]time.Time
	extraFor  time.Duration

	// What is under way to it.
	inflight int // bytes sent, not acknowledged
	window   int
	shrunk   time.Time
	took     time.Time // when it last took something, or was first sent something after that
	lost     bool      // something that was sent since then is taken as lost
	parked   []item    // waits for the window
}

// Neighbour adds a peer, or changes what is known of it. mesh tells whether it is one
// to which news go; others only get answers. It must be called before anything that
// the peer says is passed on to the exchange.
func (x *Exchange) Neighbour(id Peer, mesh bool, rtt time.Duration) {
	n := x.peers[id]
	if n == nil {
		n = &neighbour{id: id, state: unfedState(), window: x.worth(openingTime, openingWindow), extraFor: extraFirst}
		x.peers[id] = n
		i, _ := slices.BinarySearchFunc(x.ids, id, func(n *neighbour, id Peer) int { return cmp.Compare(n.id, id) })
		x.ids = slices.Insert(x.ids, i, n)
	}
	if rtt > 0 {
		n.rtt = rtt
	}
	if mesh && !n.mesh {
		// It shall hear of all that it may still want.
		for _, p := range x.order {
			p.dirty = true
			if pp := p.peers[id]; pp != nil && p.known {
				pp.told, pp.toldAnything = stream.NewBitmap(p.n), false
			}
		}
		x.chooseAt = time.Time{}
		x.retell()
	}
	n.mesh = mesh
}

// Needs returns how many stripes nobody sends to a peer, as it says itself, nor is this
// node about to.
func (x *Exchange) Needs(id Peer) (count int) {
	n := x.peers[id]
	if n == nil || !n.known {
		return 0
	}
	for s, hops := range n.state.Hops {
		if hops == Unfed && !(n.grants | n.pending).Has(s) {
			count++
		}
	}
	return count
}

// Broadcasts reports whether a peer says that it is the broadcaster: nothing is ahead of it.
func (x *Exchange) Broadcasts(id Peer) bool {
	n := x.peers[id]
	return n != nil && n.known && n.state.Hops[0] == 0
}

// related reports whether promises bind this node to n.
func (x *Exchange) related(n *neighbour) bool {
	return n.grants != 0 || n.toldGrant != n.grants || n.sayGrants || n.toldWant != 0 || n.wants(x) != 0
}

// talks reports whether n is told news. Promises outlive the mesh.
func (x *Exchange) talks(n *neighbour) bool { return n.mesh || x.related(n) }

// Gone forgets a peer that disconnected.
func (x *Exchange) Gone(id Peer, now time.Time) {
	n := x.peers[id]
	if n == nil {
		return
	}
	for _, p := range slices.Clone(x.order) {
		for i := range p.asks {
			if p.asks[i].from == id && !p.asks[i].fetch {
				x.unask(p, i, true)
			}
		}
		if p.peers[id] == nil {
			continue
		}
		delete(p.peers, id)
		p.dirty = true
		if !p.known && len(p.peers) == 0 {
			delete(x.parts, p.pos)
			x.settled(p)
			x.order = slices.DeleteFunc(x.order, func(q *part) bool { return q == p })
		}
	}
	x.leave(n, now)
	for s := range x.stripes {
		delete(x.stripes[s].rest, id)
	}
	delete(x.peers, id)
	x.ids = slices.DeleteFunc(x.ids, func(o *neighbour) bool { return o == n })
	x.chooseAt = time.Time{}
}

// leave drops a peer as a parent of all stripes.
func (x *Exchange) leave(n *neighbour, now time.Time) {
	for s := range x.stripes {
		if st := &x.stripes[s]; st.parent == n.id || st.next == n.id {
			x.drop(s, n.id, now)
		}
	}
}

// take notes that a neighbour took what it was sent.
func (n *neighbour) take(now time.Time) { n.took, n.lost = now, false }

// quiet reports whether a neighbour says nothing of parts of which it should by now, as
// everybody has something to say of each: it may be dead.
func (x *Exchange) quiet(n *neighbour, now time.Time) bool {
	return x.silentFor(n, now) > x.quietLimit(n)
}

// quietLimit returns how long a live neighbour says nothing at most.
func (x *Exchange) quietLimit(n *neighbour) time.Duration { return x.duration + quietAfter + n.rtt }

// Quiet reports whether a peer says nothing of parts of which neighbours do, so that it may
// be dead, or is not known.
func (x *Exchange) Quiet(id Peer, now time.Time) bool {
	n := x.peers[id]
	return n == nil || x.quiet(n, now)
}

// silentFor returns how long a neighbour has said nothing while there was something to say.
func (x *Exchange) silentFor(n *neighbour, now time.Time) time.Duration {
	p := x.parts[x.newest]
	if p == nil {
		return 0
	}
	if n.heard.IsZero() {
		n.heard = now
	}
	if end := p.ready.Add(2 * x.duration); end.Before(now) {
		now = end
	}
	return now.Sub(n.heard)
}

// Silence returns how long ago a peer last said something, 0 for one that is new or not known.
// Unlike one that is quiet, it may have had nothing to say.
func (x *Exchange) Silence(id Peer, now time.Time) time.Duration {
	n := x.peers[id]
	if n == nil {
		return 0
	}
	if n.heard.IsZero() {
		n.heard = now
	}
	return now.Sub(n.heard)
}

// Blame notes that a chunk for which Forged was called is its sender's fault.
func (x *Exchange) Blame(id Peer, pos stream.Position, i int, now time.Time) {
	n := x.peers[id]
	if n == nil {
		return
	}
	if s := Stripe(pos, i); x.stripes[s].parent == id || x.stripes[s].next == id {
		x.drop(s, id, now)
	}
	if n.forged++; n.forged >= maxForged {
		x.suspect(n, Forges, now)
	}
}
