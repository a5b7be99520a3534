package schedule

import (
	"slices"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// newsDelay is how long news of a chunk wait for more of them, so that one message
	// tells of several. News of a whole part do not wait.
	newsDelay = 200 * time.Millisecond
	// rareDelay is how long news wait of a chunk that did not come by its usual way.
	rareDelay = 50 * time.Millisecond
	// stateEvery is how often changes of what was measured are told.
	stateEvery = 2 * time.Second
	// stateAgain is how often all is told again, changed or not: a neighbour that was
	// disconnected for a moment may have forgotten it.
	stateAgain = 4 * time.Second
	// roomEvery is how often it is told which stripes have room.
	roomEvery = 400 * time.Millisecond
)

// tell tells neighbours what they should know.
func (x *Exchange) tell(now time.Time) time.Duration {
	next := time.Second
	var state *State
	for _, p := range x.order {
		newest := p.pos == x.tellAt
		if !p.known {
			continue
		}
		if p.own && now.Sub(p.ready) < revealFor+Widen {
			if !now.Before(p.showAt) {
				p.dirty, p.showAt = true, now.Add(Widen/4)
			}
			next = min(next, p.showAt.Sub(now))
		}
		if !p.newsAt.IsZero() && !p.dirty {
			if wait := newsDelay - now.Sub(p.newsAt); wait > 0 {
				next = min(next, wait)
			} else {
				p.dirty = true
			}
		}
		if !p.dirty && !(newest && x.talk) {
			continue
		}
		if newest && state == nil {
			s := x.state()
			state = &s
		}
		p.dirty = false
		if wait := x.tellPart(p, state, newest, now); wait > 0 {
			next = min(next, wait)
		}
	}
	if state != nil {
		x.talk = false
	}
	x.tellAt = x.newest
	return next
}

// state returns what neighbours shall know of this node.
func (x *Exchange) state() State {
	var out State
	for s := range x.stripes {
		st := &x.stripes[s]
		out.Hops[s], out.Delays[s] = st.hops, DelayOf(st.delay)
	}
	for _, n := range x.ids {
		out.Feeds |= n.grants
	}
	slots := x.slots()
	out.Slots = uint8(min(255, slots))
	out.Free = uint8(max(0, min(255, slots-x.children())))
	out.Room = x.room()
	out.Queue = DelayOf(x.waited)
	return out
}

// stale reports whether n must be told the state: at once if the ways changed, or
// whether there is room, later if only what was measured did.
func (n *neighbour) stale(s *State, now time.Time) bool {
	o := n.toldState
	if o == nil || o.Hops != s.Hops || (o.Free == 0) != (s.Free == 0) {
		return true
	}
	if now.Sub(n.told) >= roomEvery && o.Room != s.Room {
		return true
	}
	return now.Sub(n.told) >= stateEvery && *o != *s || now.Sub(n.told) >= stateAgain
}

// tellsGrants reports whether n must be told what it is promised: as long as a part of
// the answer is open, the rest would be taken for all of it.
func (n *neighbour) tellsGrants() bool {
	return n.pending == 0 && (n.grants != n.toldGrant || n.sayGrants)
}

func (x *Exchange) tellPart(p *part, state *State, newest bool, now time.Time) (wait time.Duration) {
	newsDue := !p.newsAt.IsZero() && (p.count == p.n || now.Sub(p.newsAt) >= newsDelay)
	if !p.newsAt.IsZero() && !newsDue {
		wait = newsDelay - now.Sub(p.newsAt)
	}
	for _, n := range x.ids {
		talks := x.talks(n)
		pp := p.peers[n.id]
		if pp == nil {
			if !talks {
				continue
			}
			if pp = p.peer(n.id); pp == nil {
				continue
			}
		}
		visible := p.have
		if p.own {
			visible = x.visible(p, n, now)
		}
		want := n.wants(x)
		stripes := newest && talks && (want != n.toldWant || n.sayWant || n.tellsGrants() || n.stale(state, now))
		if !stripes && !x.due(p, pp, visible, newsDue, talks) {
			continue
		}
		m := &Metadata{Have: visible.Clone(), Want: pp.asked.Clone()}
		if stripes {
			if want != n.toldWant || n.sayWant {
				m.Standing = &want
				n.toldWant, n.sayWant = want, false
				n.mayPush |= want
			}
			if n.tellsGrants() {
				grants := n.grants
				m.Grants = &grants
				n.toldGrant, n.sayGrants = n.grants, false
				x.promised(n, p, now)
			}
			if n.stale(state, now) {
				m.State = state
				n.toldState, n.told = state, now
			}
		}
		pp.told, pp.toldAsked = m.Have, m.Want
		pp.owesAck, pp.toldAnything = false, true
		x.actions = append(x.actions, Action{To: n.id, Part: p.pos, Meta: m})
	}
	if newsDue {
		p.newsAt = time.Time{}
	}
	return wait
}

// due reports whether a peer should get a message about the part now: wants at once,
// news when they have gathered.
func (x *Exchange) due(p *part, pp *partPeer, visible stream.Bitmap, newsDue, talks bool) bool {
	for i, asked := range pp.asked {
		if asked&^pp.toldAsked[i]|pp.toldAsked[i]&^asked&^p.have[i] != 0 {
			return true // what came since needs no taking back
		}
	}
	if p.own {
		newsDue = true // all chunks of a part are there at once
	}
	if !newsDue && pp.toldAnything {
		return false
	}
	if pp.owesAck {
		return true
	}
	for i := range visible {
		if visible[i]&^pp.told[i]&^pp.have[i] != 0 {
			return true
		}
	}
	return false
}

const (
	// Copies is to how many neighbours the broadcaster shows a chunk at first if nobody
	// gets it unasked. The others get it from these, so that its upload stays near the
	// stream's rate.
	Copies = 2
	// Widen is after how long it shows a chunk to one neighbour more.
	Widen = 400 * time.Millisecond
	// stuckFor is how long a chunk may wait for its way to a child until it is shown to others.
	stuckFor = Widen / 2
	// revealFor is after how long it shows everything to everybody.
	revealFor = 8 * time.Second
)

// Reveal reports whether the broadcaster shows a chunk to its neighbour number pos of
// n, age after it was published. turn differs from chunk to chunk, so that all
// neighbours get their share first-hand.
func Reveal(turn, pos, n int, age time.Duration) bool {
	shown := Copies + int(age/Widen)
	return shown >= n || ((pos-turn)%n+n)%n < shown
}

// unfed returns how long ago the broadcaster began to show a chunk that it promised to somebody, less
// than 0 if it did not. The child gets it unasked: two others are shown it a Widen after it was sent, and
// one more each Widen from the third on. So it is if there is no room for it on the way to the child, as
// others are to get it all the same; and if it waits long for the uplink.
func (p *part) unfed(i int, now time.Time) time.Duration {
	age := now.Sub(p.ready)
	if !p.seen[i].IsZero() {
		age = now.Sub(p.seen[i]) - Widen
	} else if age < revealFor/4 {
		age = -1
	}
	if !p.stuck[i].IsZero() {
		age = max(age, now.Sub(p.stuck[i])-stuckFor)
	}
	return age
}

// visible returns the chunks of its own part that the broadcaster shows to a peer: to who has room on its
// way, if anybody has.
func (x *Exchange) visible(p *part, n *neighbour, now time.Time) stream.Bitmap {
	pos, mesh := -1, 0
	all := !slices.ContainsFunc(x.ids, func(o *neighbour) bool { return o.mesh && !x.quiet(o, now) && len(o.parked) == 0 })
	for _, o := range x.ids {
		if !o.mesh || x.quiet(o, now) || len(o.parked) > 0 && !all {
			continue
		}
		if o == n {
			pos = mesh
		}
		mesh++
	}
	var fed Mask
	for _, o := range x.ids {
		if !x.quiet(o, now) {
			fed |= o.grants | o.leaving
		}
	}
	age := now.Sub(p.ready)
	out := stream.NewBitmap(p.n)
	for i := range p.n {
		if age >= revealFor {
			out.Set(i)
			continue
		}
		shown := age
		if fed.Has(Stripe(p.pos, i)) {
			if shown = p.unfed(i, now); shown < 0 {
				continue
			}
		}
		if pos < 0 && shown > time.Second || pos >= 0 && Reveal(i+int(p.pos.Part)*3+int(p.pos.Segment%(1<<20))*7, pos, mesh, shown) {
			out.Set(i)
		}
	}
	return out
}
