package schedule

import (
	"slices"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// leaveFor is how long a child is fed on after a promise was taken back.
	leaveFor = 1200 * time.Millisecond
	// leastFanout and mostFanout bound the children of one stripe, and usualFanout is for
	// an uplink of which nothing is known.
	leastFanout = 2
	mostFanout  = 64
	usualFanout = 8
	// revokeEvery is how often a promise may be taken back for a better use of it.
	revokeEvery = 250 * time.Millisecond
	// acquaint is how long the broadcaster waits with the first part until its neighbours
	// have told how strong they are: who is near it feeds all others.
	acquaint = 300 * time.Millisecond
	// reviewEvery is how often promises are looked at.
	reviewEvery = 50 * time.Millisecond
	// begging is how long a neighbour must have wanted a stripe in vain until it gets it
	// although it should rather have it from somebody else.
	begging = 1500 * time.Millisecond
	// forgotten is how long a wish is remembered.
	forgotten = 8 * time.Second
	// extraFirst and extraMost are for how long it gets it then, at first and at last.
	extraFirst = 10 * time.Second
	extraMost  = 160 * time.Second
	// overcommit is how much more than its uplink carries a node promises where room is
	// scarce: it falls behind, and takes a promise back for a while, so that all is used.
	overcommit = 1.04
	// headroom is what part of its uplink a node promises as long as others have room.
	headroom = 0.92
	// behind is how long, beside a part's duration, a chunk may wait for the uplink until a
	// promise is taken back: in a burst each waits for all of its part.
	behind = 600 * time.Millisecond
	// catchUp is in what time a node that fell behind should have caught up.
	catchUp = 5 * time.Second
	// scarceShare is the part of all slots that is free where there is enough.
	scarceShare = 8
	// waitedFor is how slowly it is forgotten, while nothing waits, that chunks waited.
	waitedFor = 10 * time.Second
	// mostFor is how long no new promise is made then.
	mostFor = 10 * time.Second
)

// slots returns how many children the uplink feeds, each stripe of each child counted.
func (x *Exchange) slots() int {
	rate := x.cfg.Uplink.Rate()
	switch {
	case rate == 0:
		return usualFanout * Stripes
	case x.rate == 0 || x.cfg.Source && x.reviewAt.Before(x.openAt):
		return 0 // nobody knows how much a promise would cost, or what its children are like
	}
	fit := float64(rate-x.reserved) / (x.rate / Stripes)
	switch {
	case x.cfg.Source: // it cannot take promises back: who else has it?
	case x.scarce():
		fit *= overcommit
	default:
		fit *= headroom
	}
	n := max(0, int(fit))
	if x.mostUntil.After(x.expireAt) {
		n = min(n, x.most)
	}
	return n
}

// fanout returns how many children one stripe may have: a further child waits as long
// as it would if it were a hop further away. The chunks of a part come in one burst, so
// that between two of a stripe there is another's to send.
func (x *Exchange) fanout() int {
	p := x.parts[x.newest]
	if x.cfg.Uplink.Rate() == 0 || p == nil || x.hop == 0 {
		return usualFanout
	}
	send := time.Duration(float64(p.chunkSize*8) / float64(x.cfg.Uplink.Rate()) * float64(time.Second))
	return max(leastFanout, min(mostFanout, 1+int((x.hop+send)/max(2*send, 1))))
}

// children returns how many children there are, each stripe of each counted.
func (x *Exchange) children() (total int) {
	for _, n := range x.ids {
		total += (n.grants | n.pending).Count()
	}
	return total
}

// childrenOf returns how many neighbours are promised a stripe.
func (x *Exchange) childrenOf(s int) (count int) {
	for _, n := range x.ids {
		if (n.grants | n.pending).Has(s) {
			count++
		}
	}
	return count
}

// takes reports whether a neighbour is promised the chunks of a stripe of a part.
func (n *neighbour) takes(s int, pos stream.Position) bool {
	if n.grants.Has(s) {
		return !n.fresh.Has(s) && n.from[s].Compare(pos) < 0
	}
	return n.from[s].Compare(pos) < 0 && (n.leaving.Has(s) || pos.Compare(n.until[s]) <= 0)
}

// onStanding takes what a neighbour wants unasked of the parts after pos, and promises
// what it can.
func (x *Exchange) onStanding(n *neighbour, want Mask, pos stream.Position, now time.Time) {
	n.want = want
	n.pending &= want
	n.extra &= n.grants | n.pending
	x.measureHop()
	for s := range x.stripes {
		switch {
		case !want.Has(s):
			if now.Sub(n.begged[s]) > forgotten {
				n.begged[s] = time.Time{}
			}
			if n.grants.Has(s) || n.leaving.Has(s) {
				n.end(s, pos)
			}
		case !n.grants.Has(s) && !n.leaving.Has(s) && !n.pending.Has(s):
			if x.grant(s, n, now) {
				n.begged[s] = time.Time{}
				n.pending |= 1 << s
			} else if n.begged[s].IsZero() {
				n.begged[s] = now
			}
		}
	}
	// Of a part that this node has yet to hear of, it speaks when it has.
	if n.pending == 0 || pos.Compare(x.newest) <= 0 {
		x.settle(n)
	}
}

// settle promises what was decided. It is always answered. From which part on is fixed
// when the neighbour is told; see promised.
func (x *Exchange) settle(n *neighbour) {
	for s := range x.stripes {
		if n.pending.Has(s) && x.feedable(s) {
			n.grants |= 1 << s
			n.fresh |= 1 << s
		}
	}
	n.pending = 0
	n.sayGrants = true
	x.retell()
}

// promised notes that a neighbour is told of its new promises now, with the part p.
func (x *Exchange) promised(n *neighbour, p *part, now time.Time) {
	for s := range x.stripes {
		if n.fresh.Has(s) {
			n.from[s] = p.pos
		}
	}
	fresh := n.fresh & n.grants
	n.fresh = 0
	if fresh == 0 {
		return
	}
	for _, q := range x.order {
		if q.known && p.pos.Compare(q.pos) < 0 {
			for i := range q.n {
				if q.have.Get(i) && fresh.Has(Stripe(q.pos, i)) {
					x.enqueue(q, i, n, false, now)
				}
			}
		}
	}
}

// end ends a promise with the part at pos.
func (n *neighbour) end(s int, pos stream.Position) {
	n.grants &^= 1 << s
	n.leaving &^= 1 << s
	n.extra &^= 1 << s
	if n.fresh.Has(s) {
		n.fresh &^= 1 << s
		pos = n.from[s] // it was never told
	}
	n.until[s], n.ahead[s] = pos, 0
}

// measureHop takes the median of the neighbours' round trips.
func (x *Exchange) measureHop() {
	var sum time.Duration
	count := 0
	for _, n := range x.ids {
		if n.rtt > 0 && n.mesh {
			sum += n.rtt / 2
			count++
		}
	}
	if count > 0 {
		x.hop = sum / time.Duration(count)
	}
}

// grant decides on another child for a stripe. If there is no room, one that makes
// less of it may have to leave.
func (x *Exchange) grant(s int, n *neighbour, now time.Time) bool {
	if !x.feedable(s) || x.stripes[s].parent == n.id || x.stripes[s].leaving {
		return false
	}
	begs := !n.begged[s].IsZero() && now.Sub(n.begged[s]) > begging && n.state.Hops[s] >= Adrift
	total, slots, here := x.children(), x.slots(), x.childrenOf(s)
	if x.cfg.Source {
		return x.grantSource(s, n, begs, here, total, slots, now)
	}
	if here >= x.fanout() && !begs {
		return x.replace(s, n, now)
	}
	if total < slots {
		return true
	}
	// Rather feed a stripe that arrives here early: revoke a child of the one that
	// arrives last, if that is a hop and more later.
	if now.Before(x.revokeAt) {
		return false
	}
	worst, worstHops := (*neighbour)(nil), x.stripes[s].hops+1
	worstStripe := 0
	for _, c := range x.ids {
		for t := range x.stripes {
			if c.grants.Has(t) && x.stripes[t].hops > worstHops {
				worst, worstStripe, worstHops = c, t, x.stripes[t].hops
			}
		}
	}
	if worst == nil {
		return x.replace(s, n, now)
	}
	x.revoke(worst, worstStripe, now)
	return true
}

// replace makes room on a stripe for a stronger child, at the cost of a much weaker
// one that feeds nobody.
func (x *Exchange) replace(s int, n *neighbour, now time.Time) bool {
	if now.Before(x.revokeAt) {
		return false
	}
	var weakest *neighbour
	for _, c := range x.ids {
		if c.grants.Has(s) && !c.state.Feeds.Has(s) && (weakest == nil || c.state.Slots < weakest.state.Slots) {
			weakest = c
		}
	}
	if weakest == nil || int(n.state.Slots) < 2*int(weakest.state.Slots)+Stripes/2 {
		return false
	}
	x.revoke(weakest, s, now)
	return true
}

// grantSource decides for the broadcaster, which gives each byte away once: to those
// that can pass it on, equally.
func (x *Exchange) grantSource(s int, n *neighbour, begs bool, here, total, slots int, now time.Time) bool {
	share, spare := x.share(n, now), 0
	if share > 0 && (total >= Stripes*3/4 || now.Sub(x.openAt) > begging) {
		spare = 1 // no stripe shall be left over because of rounding
	}
	if here == 0 {
		return begs || x.slots() > 0 && (n.grants|n.pending).Count() < share+spare
	}
	if (begs || x.scarce()) && total < slots {
		n.extra |= 1 << s
		n.extraAt[s] = now
		return true
	}
	return false
}

// share returns how many stripes the broadcaster gives a neighbour: as many as it is
// strong among the strongest, the same to each as long as nothing is known. Only as many
// as there are stripes count: a share of them all would be less than one to each.
func (x *Exchange) share(n *neighbour, now time.Time) int {
	var strengths []int
	mesh := 0
	for _, c := range x.ids {
		if c.mesh && !x.lost(c, now) {
			mesh++
			if c.known {
				strengths = append(strengths, int(c.state.Slots))
			}
		}
	}
	slices.Sort(strengths)
	strength := 0
	for _, s := range strengths[max(0, len(strengths)-Stripes):] {
		strength += s
	}
	if strength == 0 {
		return (Stripes + mesh - 1) / max(1, mesh)
	}
	if 2*Stripes*int(n.state.Slots) < strength {
		return 0
	}
	return (Stripes*int(n.state.Slots) + strength - 1) / strength
}

// shareOut takes from who has more than its share of the broadcaster's stripes, if
// another has less.
func (x *Exchange) shareOut(now time.Time) {
	if now.Before(x.revokeAt) {
		return
	}
	for s := range x.stripes {
		if x.childrenOf(s) == 0 {
			return // who wants one can have that
		}
	}
	var most *neighbour
	over, wanting := 0, false
	for _, c := range x.ids {
		share, has := x.share(c, now), (c.grants &^ c.extra).Count()
		if has > share+max(over, 1) || share == 0 && has > over {
			most, over = c, has-share
		}
		wanting = wanting || c.mesh && c.known && has < share && c.leaving == 0 && !x.lost(c, now)
	}
	if most == nil || !wanting {
		return
	}
	for s := range x.stripes {
		if most.grants.Has(s) && !most.extra.Has(s) {
			x.revoke(most, s, now)
			return
		}
	}
}
