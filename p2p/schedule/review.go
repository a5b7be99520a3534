package schedule

import (
	"math"
	"slices"
	"time"
)

// revoke takes a promise back. The child is fed on for a moment, until it found
// another parent.
func (x *Exchange) revoke(n *neighbour, s int, now time.Time) {
	if n.pending != 0 {
		x.settle(n)
	}
	n.extra &^= 1 << s
	n.grants &^= 1 << s
	if n.fresh.Has(s) {
		n.end(s, x.newest)
		x.retell()
		return
	}
	n.leaving |= 1 << s
	n.leaveAt[s] = now.Add(leaveFor)
	n.begged[s] = time.Time{}
	x.stats.Revoked++
	x.revokeAt = now.Add(revokeEvery)
	x.retell()
}

// review ends what was promised for a moment only, and takes promises back if chunks
// wait too long for the uplink.
func (x *Exchange) review(now time.Time) {
	if now.Before(x.reviewAt) {
		return
	}
	open := x.slots() > 0
	if len(x.queue) == 0 {
		idle := now.Sub(x.reviewAt) + reviewEvery
		x.waited -= min(x.waited, time.Duration(float64(x.waited)*idle.Seconds()/waitedFor.Seconds()))
	}
	x.reviewAt = now.Add(reviewEvery)
	if !open && x.slots() > 0 {
		x.retell()
	}
	for _, n := range x.ids {
		if n.leaving|n.extra|n.grants == 0 {
			continue
		}
		if x.lost(n, now) {
			for s := range x.stripes {
				if (n.grants | n.leaving).Has(s) {
					n.end(s, x.newest)
				}
			}
			n.pending = 0
			x.unqueue(n)
			x.retell()
			continue
		}
		for s := range x.stripes {
			if n.leaving.Has(s) && now.After(n.leaveAt[s]) {
				n.end(s, x.newest)
			}
			if n.extra.Has(s) && now.Sub(n.extraAt[s]) > n.extraFor && !x.scarce() {
				c := x.lessUseful(n, s)
				if c != n {
					n.extraAt[s] = now
				}
				c.extraFor = min(extraMost, 2*c.extraFor)
				x.revoke(c, s, now)
			}
		}
	}
	if x.cfg.Source {
		x.shareOut(now)
	}
	// A little too much is taken back step by step, so that not all look for others at once.
	for over, slots := x.children()-x.slots()-1, x.slots(); over > 0 && (over > slots/4 || !now.Before(x.revokeAt)); over-- {
		worst, s := x.leastUse()
		if worst == nil {
			break
		}
		x.revoke(worst, s, now)
	}
	if len(x.queue) == 0 || x.queue[0].asked || now.Sub(x.queue[0].queued) < behind+x.duration || now.Before(x.revokeAt) {
		return
	}
	// Where others have room, as many as it takes to catch up soon.
	leave := 1
	if !x.scarce() {
		leave = max(1, int(float64(x.children())*min(0.5, now.Sub(x.queue[0].queued).Seconds()/catchUp.Seconds())))
	}
	for range leave {
		worst, s := x.leastUse()
		if worst == nil {
			break
		}
		x.revoke(worst, s, now)
	}
	x.revokeAt = now.Add(behind + x.duration)
	x.most, x.mostUntil = x.children(), now.Add(mostFor)
}

// lost reports whether a neighbour is silent for so long that nothing is promised to it any
// more. It gets time to speak again, but of the broadcaster, whose stripe nobody gets as
// long as it is fed to the dead, only while nobody else speaks of the newest part either.
func (x *Exchange) lost(n *neighbour, now time.Time) bool {
	if x.silentFor(n, now) > 2*x.quietLimit(n) {
		return true
	}
	if !x.cfg.Source || !x.quiet(n, now) {
		return false
	}
	p := x.parts[x.newest]
	return n.heard.Before(p.ready) && now.Sub(p.ready) > quietAfter+n.rtt &&
		slices.ContainsFunc(x.ids, func(o *neighbour) bool { return o.heard.After(p.ready) })
}

// lessUseful returns which of the broadcaster's children of a stripe it can rather do
// without than n, which has it beyond its share, if there is one: one that feeds nobody.
func (x *Exchange) lessUseful(n *neighbour, s int) *neighbour {
	if !n.state.Feeds.Has(s) {
		return n
	}
	for _, c := range x.ids {
		if c != n && c.grants.Has(s) && !c.state.Feeds.Has(s) {
			if !c.extra.Has(s) {
				n.extra &^= 1 << s
			}
			return c
		}
	}
	return n
}

// leastUse returns the promise that is of the least use: of the stripe that arrives here
// last, if need be to a child that passes it on to nobody. The broadcaster has none but
// those beyond its share: nobody else can give its stripes away.
func (x *Exchange) leastUse() (*neighbour, int) {
	var worst *neighbour
	stripe := 0
	for _, c := range x.ids {
		for t := range x.stripes {
			if !c.grants.Has(t) || x.cfg.Source && !c.extra.Has(t) {
				continue
			}
			if worst == nil || x.stripes[t].hops > x.stripes[stripe].hops ||
				x.stripes[t].hops == x.stripes[stripe].hops && worst.state.Feeds.Has(stripe) && !c.state.Feeds.Has(t) {
				worst, stripe = c, t
			}
		}
	}
	return worst, stripe
}

// room returns the stripes of which one more child would be taken.
func (x *Exchange) room() (m Mask) {
	total, slots, fanout := x.children(), x.slots(), x.fanout()
	if total >= slots {
		return 0
	}
	scarce := x.cfg.Source && x.scarce()
	for s := range x.stripes {
		if here := x.childrenOf(s); x.feedable(s) && !x.stripes[s].leaving && (here == 0 || (!x.cfg.Source || scarce) && here < fanout) {
			m |= 1 << s
		}
	}
	return m
}

// supply returns how many children this node and its neighbours feed, as these say, each stripe of
// each child counted, and how many of them must be fed themselves.
func (x *Exchange) supply() (upload, hungry int) {
	upload = min(x.slots(), math.MaxUint8) // as neighbours say no more
	if !x.cfg.Source {
		hungry = 1
	}
	for _, n := range x.ids {
		if !n.mesh || !n.known {
			continue
		}
		upload += int(n.state.Slots)
		if n.state.Hops != [Stripes]uint8{} {
			hungry++
		}
	}
	return upload, hungry
}

// scarce reports whether neighbours have hardly any room for children. Then the
// broadcaster gives away all that it has.
func (x *Exchange) scarce() bool {
	known, slots, free := 0, 0, 0
	for _, n := range x.ids {
		if n.mesh && n.known {
			known++
			slots += int(n.state.Slots)
			free += int(n.state.Free)
		}
	}
	return known > 0 && free*scarceShare < max(1, slots)
}
