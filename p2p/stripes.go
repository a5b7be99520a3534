package p2p

import (
	"maps"
	"math/bits"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/p2p/schedule"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	// standingGrace is how long a chunk that others have may stay out before it is
	// wanted from them, although a standing want should bring it.
	standingGrace = 300 * time.Millisecond
	// maxLate is how many chunks in a row a parent may be late with.
	maxLate = 2
	// answerTimeout is how long a neighbour may take to promise a stripe.
	answerTimeout = time.Second
	// refusedRest is how long a neighbour that refused a standing want is not asked for
	// that stripe again.
	refusedRest = 3 * time.Second
	// maxPending bounds the stripes for which a parent is sought at a time, so that
	// neighbours get their share of what is best.
	maxPending = 4
	// maxChildren bounds the neighbours that a node feeds one stripe, and
	// sourceChildren those of the broadcaster: it gives each byte away once.
	maxChildren    = 4
	sourceChildren = 1
)

// mask has a bit for each stripe.
type mask uint32

func (m mask) has(s int) bool { return m&(1<<s) != 0 }

// depths is a node's distance from the broadcaster on each stripe, in hops.
type depths [schedule.Stripes]uint8

func unfed() (d depths) {
	for s := range d {
		d[s] = schedule.Unfed
	}
	return d
}

// stripes are the standing wants of one rendition: which neighbour sends this node
// each stripe unasked, its parent, and to whom this node does, its children.
type stripes struct {
	source  bool
	parent  [schedule.Stripes]peer.ID // promised
	next    [schedule.Stripes]peer.ID // asked, to become the parent
	asked   [schedule.Stripes]time.Time
	late    [schedule.Stripes]int // chunks in a row that others brought
	refused [schedule.Stripes]map[peer.ID]time.Time
	peers   map[peer.ID]*stripePeer
	allowed map[peer.ID]allowance
	depth   depths
}

// allowance is what a peer may honestly push: what was ever wanted from it, until it
// surely knows better.
type allowance struct {
	mask mask
	at   time.Time // when it was last told of a want
}

// stripePeer is what this node and a neighbour told each other of stripes.
type stripePeer struct {
	toldWant  mask // it knows that these are wanted from it
	want      mask // it wants from this node
	grant     mask // of those, promised
	toldGrant mask
	since     time.Time // of grant
	depth     depths
	toldDepth depths
}

func newStripes(source bool) *stripes {
	st := &stripes{source: source, peers: make(map[peer.ID]*stripePeer), allowed: make(map[peer.ID]allowance), depth: unfed()}
	if source {
		st.depth = depths{}
	}
	return st
}

func (st *stripes) peer(id peer.ID) *stripePeer {
	p := st.peers[id]
	if p == nil {
		p = &stripePeer{depth: unfed(), toldDepth: unfed()}
		st.peers[id] = p
	}
	return p
}

func stripeOf(id stream.PartID, i int) int { return schedule.Stripe(id.Segment, id.Part, i) }

// wanted returns the stripes that are wanted from a neighbour.
func (st *stripes) wanted(id peer.ID) (m mask) {
	for s := range st.parent {
		if st.parent[s] == id || st.next[s] == id {
			m |= 1 << s
		}
	}
	return m
}

// fed reports whether a parent promised a stripe.
func (st *stripes) fed(s int) bool { return st.parent[s] != "" }

// with returns the neighbours and whoever else this node feeds or is fed by: the mesh
// may change without changing that.
func (st *stripes) with(neighbours []peer.ID) []peer.ID {
	out := slices.Clone(neighbours)
	for id, p := range st.peers {
		if (p.grant != 0 || p.toldGrant != p.grant || st.wanted(id) != 0 || p.toldWant != 0) && !slices.Contains(neighbours, id) {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// choose looks for better parents among the neighbours.
func (st *stripes) choose(neighbours []peer.ID, now time.Time) {
	if st.source || len(neighbours) == 0 {
		return
	}
	pending := 0
	for s := range st.next {
		if st.next[s] != "" && now.Sub(st.asked[s]) > answerTimeout {
			st.drop(s, st.next[s], now)
		}
		if st.next[s] != "" {
			pending++
		}
	}
	turn := rand.IntN(schedule.Stripes) // nobody is first in line everywhere
	load := make([]int, len(neighbours))
	for k, id := range neighbours {
		load[k] = bits.OnesCount32(uint32(st.wanted(id)))
	}
	for k := range st.parent {
		s := (k + turn) % schedule.Stripes
		if pending >= maxPending {
			return
		}
		if st.next[s] != "" {
			continue
		}
		candidates := make([]schedule.Parent, len(neighbours))
		for k, id := range neighbours {
			candidates[k] = schedule.Parent{Depth: schedule.Unfed, Load: load[k]}
			if until, ok := st.refused[s][id]; !ok || now.After(until) {
				candidates[k].Depth = int(st.peer(id).depth[s])
			}
		}
		own := schedule.Unfed + 1
		if st.fed(s) {
			own = int(st.depth[s])
		}
		if best := schedule.Better(own, candidates, turn+s); best != schedule.None {
			st.next[s], st.asked[s] = neighbours[best], now
			load[best]++
			pending++
		}
	}
}

// delivered notes who brought a chunk. A parent that others outrun is given up.
func (st *stripes) delivered(s int, from peer.ID, now time.Time) {
	if st.parent[s] == from {
		st.late[s] = 0
	} else if st.parent[s] != "" {
		if st.late[s]++; st.late[s] >= maxLate {
			st.drop(s, st.parent[s], now)
		}
	}
}

// drop gives up a neighbour as the parent of a stripe, present or next.
func (st *stripes) drop(s int, id peer.ID, now time.Time) {
	if st.next[s] == id {
		st.next[s] = ""
	}
	if st.parent[s] == id {
		st.parent[s], st.late[s], st.depth[s] = "", 0, schedule.Unfed
	}
	if st.refused[s] == nil {
		st.refused[s] = make(map[peer.ID]time.Time)
	}
	st.refused[s][id] = now.Add(refusedRest)
}

// onGrants takes what a neighbour promises. What it does not is sought elsewhere.
func (st *stripes) onGrants(from peer.ID, granted mask, now time.Time) {
	p := st.peer(from)
	for s := range st.parent {
		if !p.toldWant.has(s) {
			continue
		}
		if !granted.has(s) {
			st.drop(s, from, now)
		} else if st.next[s] == from {
			st.parent[s], st.next[s], st.late[s] = from, "", 0
			st.setDepth(s)
		}
	}
}

// onDepths takes a neighbour's distance from the broadcaster.
func (st *stripes) onDepths(from peer.ID, d depths, now time.Time) {
	st.peer(from).depth = d
	for s := range st.parent {
		if st.parent[s] != from {
			continue
		}
		if d[s] >= schedule.Unfed-1 {
			st.drop(s, from, now)
		} else {
			st.setDepth(s)
		}
	}
}

func (st *stripes) setDepth(s int) {
	st.depth[s] = min(schedule.Unfed, st.peer(st.parent[s]).depth[s]+1)
}

// onWants takes what a neighbour wants unasked, and promises what it can.
func (st *stripes) onWants(from peer.ID, want mask, l schedule.GrantLimits, now time.Time) {
	p := st.peer(from)
	p.want = want
	p.grant &= want
	var children [schedule.Stripes]int
	total := 0
	for _, q := range st.peers {
		for s := range children {
			if q.grant.has(s) {
				children[s]++
				total++
			}
		}
	}
	for s := range children {
		// A node that is not fed itself, or is fed by the one that asks, promises nothing.
		if want.has(s) && !p.grant.has(s) && st.depth[s] < schedule.Unfed && st.parent[s] != from &&
			schedule.Grant(children[s], bits.OnesCount32(uint32(p.grant)), total, l) {
			p.grant |= 1 << s
			p.since = now
			total++
		}
	}
	p.toldGrant = ^p.grant // always answered
}

// children returns how many neighbours are fed a stripe.
func (st *stripes) children(s int) int {
	n := 0
	for _, p := range st.peers {
		if p.grant.has(s) {
			n++
		}
	}
	return n
}

func (st *stripes) onGone(id peer.ID) {
	for s := range st.parent {
		if st.parent[s] == id {
			st.parent[s], st.late[s], st.depth[s] = "", 0, schedule.Unfed
		}
		if st.next[s] == id {
			st.next[s] = ""
		}
		delete(st.refused[s], id)
	}
	delete(st.peers, id)
}

// dirty reports whether a neighbour must be told of stripes.
func (st *stripes) dirty(id peer.ID) bool {
	p := st.peer(id)
	return p.toldWant != st.wanted(id) || p.toldGrant != p.grant || p.toldDepth != st.depth
}

// tell adds to a message what a neighbour must be told of stripes.
func (st *stripes) tell(id peer.ID, m *metadata, now time.Time) {
	p := st.peer(id)
	if want := st.wanted(id); want != p.toldWant {
		m.standing, m.hasStanding = want, true
		p.toldWant = want
		st.allowed[id] = allowance{st.allowed[id].mask | want, now}
	}
	if p.grant != p.toldGrant {
		m.grants, m.hasGrants = p.grant, true
		p.toldGrant = p.grant
	}
	if p.toldDepth != st.depth {
		d := st.depth
		m.depths = &d
		p.toldDepth = st.depth
	}
}

// mayPush reports whether a peer may honestly send chunks of a stripe unasked.
func (st *stripes) mayPush(id peer.ID, s int) bool { return st.allowed[id].mask.has(s) }

// pushed notes that a peer pushed a chunk. If that is not wanted any more, the peer is
// told again: it may not have heard, or not have noticed that it was gone for a moment.
func (st *stripes) pushed(id peer.ID, s int) {
	if p := st.peer(id); !st.wanted(id).has(s) && !p.toldWant.has(s) {
		p.toldWant |= 1 << s
	}
}

// expire forgets what peers may push that were not asked for a while and are gone.
func (st *stripes) expire(now time.Time) {
	maps.DeleteFunc(st.allowed, func(id peer.ID, a allowance) bool {
		return st.peers[id] == nil && now.Sub(a.at) > lateTTL
	})
}

// pushes reports whether a chunk goes to a neighbour unasked.
func (st *stripes) pushes(id peer.ID, p *part, i int) bool {
	q := st.peers[id]
	return q != nil && q.grant.has(stripeOf(p.id, i)) && !p.ready.Before(q.since)
}

// rendition's stripes.
func (x *exchange) stripesOf(id stream.PartID) *stripes {
	st := x.stripes[id.Rendition]
	if st == nil {
		st = newStripes(x.s.publishing())
		x.stripes[id.Rendition] = st
	}
	return st
}
