package schedule

import (
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// chooseEvery is how often to look for better parents; whoever lost one looks at once.
	chooseEvery = 100 * time.Millisecond
	// answerTimeout is how much longer than two round trips a neighbour may take to promise a
	// stripe.
	answerTimeout = 500 * time.Millisecond
	// refusedRest is how long a neighbour that refused or failed a stripe is not asked for
	// it again.
	refusedRest = 2 * time.Second
	// maxLate is how many chunks in a row a parent may be late with.
	maxLate = 3
	// maxPatched is how many chunks in a row may come from a parent that had to ask for them,
	// or one before it, until it is taken as cut off from the broadcaster: hops alone do
	// not show that nodes feed each other in a ring.
	maxPatched = 10
	// keep is how long a parent is kept before a better one is sought.
	keep = 2 * time.Second
	// mostKeep is how long at most: each better parent is kept twice as long as the last.
	mostKeep = time.Minute
	// maxChanges bounds the better parents that are sought at a time.
	maxChanges = 1
	// leastGain is by how much sooner a better parent must have chunks.
	leastGain = 20 * time.Millisecond
	// orphaned is how long a node that lost a parent goes on as if it had one: its
	// children need not know if it finds another soon.
	orphaned = 2 * time.Second
	// firstLag is how late a chunk is thought to come as long as nothing was measured.
	firstLag = 400 * time.Millisecond
	// mostLag is how late chunks are thought to come at most, so that losses are noticed.
	mostLag = 2500 * time.Millisecond
	// leastLag is how late it may always be.
	leastLag = 60 * time.Millisecond
)

// stripe is a sixteenth of the chunks, and who sends it to this node.
type stripe struct {
	parent  Peer            // promised
	from    stream.Position // the parts after that
	gap     stream.Position // the parts up to that, which no parent sends
	ahead   uint8           // parts since the promise should have begun
	since   time.Time
	keep    time.Duration // how long not to seek a better one
	next    Peer          // asked, to become the parent
	asked   time.Time
	hops    uint8     // of this node
	was     uint8     // before it was adrift
	adrift  time.Time // since when
	lost    time.Time // when the last parent was lost
	leaving bool      // the parent took its promise back, and sends for a moment only
	late    int       // chunks in a row that did not come from the parent
	got     bool      // the parent delivered
	patched int       // chunks in a row that the parent, or its own, had to ask for
	rest    map[Peer]time.Time

	delay    time.Duration // from publication until here, measured
	lag, dev time.Duration // from header until here, and its deviation
}

func newStripe(source bool) stripe {
	st := stripe{parent: None, next: None, hops: Unfed}
	if source {
		st.hops = 0
	}
	return st
}

// due returns when after its header a chunk of the stripe should be there.
func (st *stripe) due() time.Duration {
	if st.lag == 0 {
		return firstLag
	}
	return min(mostLag, st.lag+max(leastLag, 4*st.dev))
}

// wants returns the stripes that are wanted from a neighbour.
func (n *neighbour) wants(x *Exchange) Mask {
	if x.wantsStale {
		for _, n := range x.ids {
			n.asks = 0
		}
		for s := range x.stripes {
			for _, id := range [2]Peer{x.stripes[s].parent, x.stripes[s].next} {
				if n := x.peers[id]; n != nil {
					n.asks |= 1 << s
				}
			}
		}
		x.wantsStale = false
	}
	return n.asks
}

// arrived measures a chunk that was not fetched, and judges the parent by it.
func (x *Exchange) arrived(p *part, i int, n *neighbour, now time.Time) {
	st := &x.stripes[Stripe(p.pos, i)]
	switch {
	case st.parent == n.id:
		st.late, st.got, n.broken = 0, true, 0
		if p.asks[i].from != n.id {
			st.measure(p, now)
		}
		if p.age[i] < AgeUnknown {
			st.delay, st.patched = averageDuration(st.delay, p.age[i]), 0
		} else if st.patched++; st.patched >= maxPatched {
			x.drop(Stripe(p.pos, i), n.id, now)
			x.setHops(st, Unfed, now)
		}
	case st.parent != None && st.from.Compare(p.pos) < 0 && st.next != n.id:
		x.stats.LateFeeds++
		if st.late++; st.late >= maxLate {
			if parent := x.peers[st.parent]; !st.got && parent.heard.After(p.ready) && p.claims(st.parent, i) {
				x.failed(parent, &parent.broken, maxBroken, p.ready, now)
				if st.parent == None {
					return // it was given up altogether
				}
			}
			x.drop(Stripe(p.pos, i), st.parent, now)
		}
	}
}

// claims reports whether a peer says that it has a chunk.
func (p *part) claims(id Peer, i int) bool {
	pp := p.peers[id]
	return pp != nil && pp.have.Get(i)
}

// measure notes how long after its header a parent sent a chunk unasked.
func (st *stripe) measure(p *part, now time.Time) {
	if p.late || st.from.Compare(p.pos) >= 0 {
		return
	}
	lag := min(now.Sub(p.ready), mostLag)
	// It follows the longest of late: to ask too early costs a chunk twice.
	st.dev = max(averageDuration(st.dev, max(lag-st.lag, st.lag-lag)), (lag-st.lag)/4)
	st.lag = averageDuration(st.lag, lag)
}

// pushed notes that a peer pushed a chunk. If that is not wanted any more, the peer is
// told again: it may not have heard.
func (x *Exchange) pushed(n *neighbour, s int) {
	if st := &x.stripes[s]; st.parent != n.id && st.next != n.id && !n.toldWant.Has(s) && n.until[s] == (stream.Position{}) {
		n.toldWant |= 1 << s
	}
}

// drop gives up a neighbour as the parent of a stripe, present or next.
func (x *Exchange) drop(s int, id Peer, now time.Time) {
	st := &x.stripes[s]
	x.wantsStale = true
	if st.next == id {
		st.next = None
	}
	if st.parent == id {
		st.parent, st.late, st.patched, st.got, st.leaving, st.lost = None, 0, 0, false, false, now
		if st.hops < Adrift {
			x.setHops(st, Adrift, now)
		}
	}
	x.lookAll()
	st.spare(id, now.Add(refusedRest/2+time.Duration(x.rng.Int64N(int64(refusedRest)))))
	x.chooseAt = time.Time{}
	x.retell()
}

// rtt returns the round trip to a neighbour.
func (x *Exchange) rtt(id Peer) time.Duration {
	if n := x.peers[id]; n != nil {
		return n.rtt
	}
	return 0
}

// retell has what there is to say of stripes said.
func (x *Exchange) retell() {
	x.talk = true
}

// fed reports whether a parent promised a stripe.
func (x *Exchange) fed(s int) bool { return x.cfg.Source || x.stripes[s].parent != None }

// feedable reports whether this node may promise a stripe to others.
func (x *Exchange) feedable(s int) bool {
	return x.cfg.Source || x.stripes[s].parent != None && x.stripes[s].hops < Adrift
}

// choose looks for parents, and for better ones.
func (x *Exchange) choose(now time.Time) time.Duration {
	if x.cfg.Source {
		return time.Second
	}
	if now.Before(x.chooseAt) {
		return x.chooseAt.Sub(now)
	}
	x.chooseAt = now.Add(chooseEvery)
	changes := 0
	load := make([]int, len(x.ids))
	for k, n := range x.ids {
		load[k] = n.wants(x).Count()
	}
	for s := range x.stripes {
		st := &x.stripes[s]
		if st.next != None && now.Sub(st.asked) > answerTimeout+2*x.rtt(st.next) {
			x.drop(s, st.next, now)
		}
		if st.leaving && now.Sub(st.lost) > leaveFor {
			st.parent, st.leaving, st.late, st.got = None, false, 0, false
			x.wantsStale = true
			x.setHops(st, Adrift, now)
		}
		if st.parent == None && st.hops < Unfed && now.Sub(st.lost) > orphaned {
			x.setHops(st, Unfed, now)
		}
		if st.next != None && st.parent != None {
			changes++
		}
		if st.lost.IsZero() {
			st.lost = now
		}
	}
	// Better parents are sought when a part begins, so that both have heard when the next does.
	newest := x.parts[x.newest]
	early := newest == nil || now.Sub(newest.ready) > x.duration/4
	turn := x.rng.IntN(Stripes) // nobody is first in line everywhere
	for k := range x.stripes {
		s := (k + turn) % Stripes
		st := &x.stripes[s]
		fed := st.parent != None && !st.leaving && st.hops < Adrift
		if st.next != None || fed && (changes >= maxChanges || early || now.Sub(st.since) < st.keep || st.delay == 0) {
			continue
		}
		most, needy := st.seek(now)
		best, bestCost := -1, time.Duration(0)
		for k, n := range x.ids {
			if !n.mesh || !n.known || x.quiet(n, now) || n.id == st.parent || x.rate == 0 || n.state.Hops[s] >= Adrift || n.grants.Has(s) || now.Before(st.rest[n.id]) {
				continue
			}
			if n.state.Hops[s] > most {
				continue
			}
			cost := n.state.Delays[s].Duration() + n.rtt/2 + x.price(n) + time.Duration(load[k])*2*time.Millisecond
			if !n.state.Room.Has(s) {
				if fed || needy < begging {
					continue // there may soon be room elsewhere
				}
				cost += begging
			}
			cost += time.Duration(x.rng.Int64N(int64(delayUnit)))
			if best < 0 || cost < bestCost {
				best, bestCost = k, cost
			}
		}
		if best < 0 || fed && bestCost+max(leastGain, st.delay/4) > st.delay-x.peers[st.parent].state.Queue.Duration()+x.price(x.peers[st.parent]) {
			continue
		}
		if fed {
			changes++
		}
		st.next, st.asked = x.ids[best].id, now
		x.wantsStale = true
		load[best]++
		x.retell()
	}
	return chooseEvery
}

// seek returns how far away from the broadcaster a new parent may be, so that it is not
// fed by this node itself, and how long the node has needed one.
func (st *stripe) seek(now time.Time) (most uint8, needy time.Duration) {
	switch adrift := now.Sub(st.adrift); {
	case st.hops == Unfed:
		return Adrift - 1, now.Sub(st.lost)
	case st.hops < Adrift:
		return st.hops - 1, 0 // who is closer cannot be fed by this node
	case st.parent != None && !st.leaving && adrift < orphaned/2:
		return st.was - 1, adrift // its parent seeks another, too
	case adrift < orphaned/3:
		return st.was, adrift
	default:
		return Adrift - 1, adrift // who is fed by this node has heard, and is adrift as well
	}
}

// price is what a neighbour's uplink adds to the cost of being its child: the time of a
// chunk and of one before it, and how long chunks wait for it, as it tells or as its load
// makes likely: parts come in bursts.
func (x *Exchange) price(n *neighbour) time.Duration {
	if n.state.Slots == 0 {
		return time.Second
	}
	load := x.duration / 2 * time.Duration(n.state.Slots-n.state.Free) / time.Duration(n.state.Slots)
	return 2*x.chunkTime(float64(n.state.Slots)) + max(load, n.state.Queue.Duration())
}

// chunkTime returns how long a chunk takes on an uplink that feeds so many children.
func (x *Exchange) chunkTime(slots float64) time.Duration {
	p := x.parts[x.newest]
	if p == nil {
		return 0
	}
	return time.Duration(float64(p.chunkSize*8) / (max(x.rate, leastRate) / Stripes * slots) * float64(time.Second))
}

// onGrants takes what a neighbour promises of the parts after pos. What it does not is
// sought elsewhere.
func (x *Exchange) onGrants(n *neighbour, granted Mask, pos stream.Position, now time.Time) {
	for s := range x.stripes {
		st := &x.stripes[s]
		switch {
		case !n.toldWant.Has(s):
		case !granted.Has(s) && st.parent == n.id && !st.leaving:
			st.leaving, st.lost = true, now
			x.setHops(st, Adrift, now)
			st.spare(n.id, now.Add(leaveFor+refusedRest))
			x.chooseAt = time.Time{}
		case !granted.Has(s) && st.next == n.id:
			if now.Sub(st.asked) >= n.rtt/2 { // else it has not heard yet
				x.drop(s, n.id, now)
			}
		case granted.Has(s) && st.next == n.id:
			if st.parent != None && !st.leaving {
				x.stats.Changed++
				st.keep = min(mostKeep, 2*st.keep)
			} else {
				st.keep = keep
				if st.parent == None {
					st.gap = pos
				}
			}
			before := st.delay
			st.parent, st.next, st.late, st.patched, st.got, st.leaving = n.id, None, 0, 0, false, false
			x.wantsStale = true
			st.from, st.since, st.ahead = pos, now, 0
			st.delay = n.state.Delays[s].Duration() + n.state.Queue.Duration() + n.rtt/2
			if before != 0 && st.lag != 0 {
				st.lag = max(0, st.lag+st.delay-before)
			}
			x.setHops(st, beyond(n.state.Hops[s]), now)
			if p := x.parts[pos]; p != nil && p.known && pos.Compare(x.tellAt) < 0 {
				x.tellAt = pos // the one before shall send no part after that
			}
			x.retell()
		}
	}
}

// spare has a neighbour not asked for the stripe until then.
func (st *stripe) spare(id Peer, until time.Time) {
	if st.rest == nil {
		st.rest = make(map[Peer]time.Time)
	}
	st.rest[id] = until
}

// onState takes what a neighbour says of itself.
func (x *Exchange) onState(n *neighbour, state State, now time.Time) {
	if !n.known {
		x.chooseAt = time.Time{}
	}
	state.Free = min(state.Free, state.Slots)
	n.state, n.known = state, true
	for s := range x.stripes {
		st := &x.stripes[s]
		if state.Hops[s] < Adrift {
			n.begged[s] = time.Time{} // it found another
		}
		if st.parent == None && st.next == None && state.Hops[s] < Unfed {
			x.chooseAt = time.Time{}
		}
		if st.parent != n.id {
			continue
		}
		if state.Hops[s] >= Unfed {
			x.drop(s, n.id, now)
		} else if !st.leaving {
			x.setHops(st, beyond(state.Hops[s]), now)
		}
	}
}

// beyond returns the hops of a child.
func beyond(hops uint8) uint8 { return min(hops, Unfed-1) + 1 }

// setHops notes how far away from the broadcaster this node is.
func (x *Exchange) setHops(st *stripe, hops uint8, now time.Time) {
	if hops == Unfed && st.parent != None {
		hops = Adrift
	}
	if hops == st.hops {
		return
	}
	if hops >= Adrift && st.hops < Adrift {
		st.was, st.adrift = st.hops, now
	}
	if hops == Unfed {
		st.delay = 0
	}
	st.hops = hops
	x.retell()
}
