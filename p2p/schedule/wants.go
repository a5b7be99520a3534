package schedule

import (
	"cmp"
	"slices"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// leastPatience is the shortest time that a peer gets to deliver what is wanted.
	leastPatience = 300 * time.Millisecond
	// mostPatience is the longest time that a peer gets that delivers other chunks
	// meanwhile: a queue that moves is not cut short, as asking again would only make
	// every queue longer.
	mostPatience = 4 * time.Second
	// maxWanted bounds the chunks wanted from one peer at a time.
	maxWanted     = 48
	unknownWanted = 6
	leastWanted   = 1
	// leastRoom is how many children's worth of upload a neighbour that has no room left is
	// thought to find for a want, idleRoom of one that told nothing yet, in streams.
	leastRoom = 0.5
	idleRoom  = 0.5
	// leastRate is what a stream is taken to have at least, in bits per second.
	leastRate = 64_000
	// vainFetches is how often a chunk of the past is fetched in vain until it is wanted of
	// neighbours as live ones are.
	vainFetches = 2
	// slowAfter is how long the broadcaster may take over a want until somebody else that comes to have
	// the chunk is asked for it: where uplinks are scarce, it would only be sent twice.
	slowAfter = time.Second
	// silence is how long a parent may say nothing about a part until it is taken as gone.
	silence = 200 * time.Millisecond
)

// unask takes back the want of a chunk, noting whether it was in vain.
func (x *Exchange) unask(p *part, i int, failed bool) {
	a := &p.asks[i]
	if a.from == None {
		return
	}
	if a.from == Origin {
		if failed {
			a.diverts++
		}
		failed = false // which is no peer's fault
	} else if a.fetch {
		if failed {
			a.fetches++
		}
	} else {
		if pp := p.peers[a.from]; pp != nil {
			pp.asked.Clear(i)
		}
		if n := x.peers[a.from]; n != nil {
			n.wanted--
		}
		if !p.have.Get(i) {
			p.dirty = true // what came needs no taking back
		}
	}
	if failed || a.from == Origin {
		p.look()
	}
	if failed && !slices.Contains(a.failed, a.from) {
		a.failed = append(a.failed, a.from)
	}
	a.from, a.fetch = None, false
}

// GiveUp takes back all wants of a part.
func (x *Exchange) GiveUp(pos stream.Position) {
	if p := x.parts[pos]; p != nil {
		x.giveUp(p)
	}
}

func (x *Exchange) giveUp(p *part) {
	p.wanted = false
	for i := range p.asks {
		x.unask(p, i, false)
	}
}

// expected returns how long a want of a chunk of so many bytes from n is expected to
// take, if it shares what n's children leave with the others.
func (x *Exchange) expected(n *neighbour, bytes int) time.Duration {
	room := idleRoom * Stripes // not told yet
	if n.known {
		room = max(leastRoom, float64(n.state.Free))
	}
	each := float64(bytes*8) / (max(x.rate, leastRate) / Stripes * room)
	return max(n.rtt, n.service/4) + n.state.Queue.Duration() + time.Duration(float64(n.wanted+1)*each*float64(time.Second))
}

// expired reports whether a want should go to somebody else.
func (n *neighbour) expired(a *ask, now time.Time) bool {
	since := now.Sub(a.at)
	return since > max(mostPatience, a.patience) || since > a.patience && now.Sub(n.delivered) > a.patience
}

// sooner returns a neighbour from which a chunk is expected in half the time for which it has been
// wanted of the broadcaster, which sends others meanwhile; nil if there is none. What the broadcaster
// alone has is wanted of it by all its neighbours, and by a slow way some have it long before all do.
// Only who has sent something is taken at its word: who claims all and sends nothing has its turn when
// the broadcaster fails.
func (x *Exchange) sooner(p *part, i int, now time.Time) *neighbour {
	a := &p.asks[i]
	if now.Sub(a.at) < slowAfter || !x.Broadcasts(a.from) {
		return nil
	}
	n := x.holder(p, i, now)
	if n == nil || n.id == a.from || !n.delivers || n.fails > 0 || n.state.Free == 0 ||
		slices.Contains(a.failed, n.id) || x.quiet(n, now) || x.expected(n, p.chunkLen(i)) > now.Sub(a.at)/2 {
		return nil
	}
	return n
}

// forsaken reports whether a chunk is fetched from a peer that seems to be dead, while a
// neighbour that is not has it: that one is asked rather than the fetch waited for. So it is
// if what was diverted does not come.
func (x *Exchange) forsaken(p *part, i int, now time.Time) bool {
	a := &p.asks[i]
	if a.from == Origin {
		return now.Sub(a.at) > divertPatience && x.held(p, i, now)
	}
	return now.Sub(a.at) > leastPatience && x.Quiet(a.from, now) && x.held(p, i, now)
}

// stepWants sets from whom each missing chunk is wanted explicitly: those that no
// parent sends, or not in time. Each is wanted from one peer at a time.
func (x *Exchange) stepWants(now time.Time) time.Duration {
	next, room := time.Second, x.askable(now)
	for _, p := range x.order {
		if !p.missing() {
			continue
		}
		if now.Before(p.lookAt) {
			next = min(next, p.lookAt.Sub(now))
			continue
		}
		look := missingPoll
		p.hungry = false
		past := p.late && x.past(p.pos)
		for i := range p.asks {
			a := &p.asks[i]
			if p.have.Get(i) || a.fetch && !x.forsaken(p, i, now) || past && a.from == None && a.fetches < vainFetches {
				continue
			}
			if a.fetch {
				x.unask(p, i, true)
			}
			if a.from != None {
				n := x.peers[a.from]
				if n != nil && !n.expired(a, now) {
					if left := a.patience - now.Sub(a.at); left > 0 {
						look = min(look, left)
					} else if m := x.sooner(p, i, now); m != nil {
						x.unask(p, i, false)
						x.ask(p, i, m, now)
					}
					continue
				}
				x.stats.Expired++
				// The dead are no liars, nor are those who say that they have no room.
				if n != nil && n.heard.Sub(a.at) > n.rtt && n.state.Free > 0 {
					x.failed(n, &n.vain, maxVain, a.at, now)
				}
				x.unask(p, i, true)
			} else if s := Stripe(p.pos, i); !p.late && x.fed(s) && x.stripes[s].gap.Compare(p.pos) < 0 {
				st := &x.stripes[s]
				if n := x.doubted(p, i); n != nil {
					x.ask(p, i, n, now)
					look = min(look, a.patience)
					continue
				}
				if x.comes(p, i, now) {
					look = min(look, st.due()-now.Sub(p.ready))
					continue
				}
				// The parent may be gone: of the swarm's news it should have told some by now.
				if n := x.peers[st.parent]; n != nil && n.heard.Before(p.ready) && now.Sub(p.ready) > silence && st.from.Compare(p.pos) < 0 {
					x.leave(n, now)
				}
			}
			if room <= 0 {
				continue
			}
			if n := x.holder(p, i, now); n != nil {
				x.ask(p, i, n, now)
				room -= p.chunkLen(i)
			} else {
				p.hungry = true
			}
		}
		p.lookAt = now.Add(look)
		next = min(next, look)
	}
	return next
}

// ask wants a chunk from a neighbour.
func (x *Exchange) ask(p *part, i int, n *neighbour, now time.Time) {
	a := &p.asks[i]
	a.from, a.at = n.id, now
	a.patience = max(leastPatience, 3*n.rtt, 2*x.expected(n, p.chunkLen(i)))
	pp := p.peers[n.id]
	pp.asked.Set(i)
	if p.asked[n.id] == nil {
		p.asked[n.id] = stream.NewBitmap(p.n)
	}
	p.asked[n.id].Set(i)
	if n.wanted++; n.wanted == 1 {
		n.delivered = now
	}
	p.dirty = true
}

// doubted returns a neighbour that says that it has a chunk, and in doubt is asked for it though a
// parent may send it soon.
func (x *Exchange) doubted(p *part, i int) *neighbour {
	if !x.doubts {
		return nil
	}
	for _, n := range x.ids {
		if n.doubted && n.wanted == 0 && p.claims(n.id, i) && !slices.Contains(p.asks[i].failed, n.id) {
			return n
		}
	}
	return nil
}

// look has the wants of a part looked at now.
func (p *part) look() { p.lookAt = time.Time{} }

// lookAll has the wants of all parts looked at now.
func (x *Exchange) lookAll() {
	for _, p := range x.order {
		p.look()
	}
}

// missingPoll is how often to look whether wants have expired.
const missingPoll = 50 * time.Millisecond

// most returns how many chunks may be wanted from n at a time: what it can send in about
// half a second beside what it promised, if others want as much. More would wait there,
// and be overtaken.
func (n *neighbour) most() int {
	if !n.known {
		return unknownWanted
	}
	return max(leastWanted, min(maxWanted, int(n.state.Free)/2))
}

// holder picks the peer that a chunk is wanted from: the one that is expected to send
// it first, those that failed it last.
func (x *Exchange) holder(p *part, i int, now time.Time) *neighbour {
	var best *neighbour
	bestFailed, bestCost := false, time.Duration(0)
	for id, pp := range p.peers {
		n := x.peers[id]
		if n == nil || !pp.have.Get(i) || n.wanted >= n.most() {
			continue
		}
		failed := slices.Contains(p.asks[i].failed, id) || n.fails >= maxVain/2 || x.quiet(n, now)
		cost := x.expected(n, p.chunkLen(i))
		if best == nil || cmp.Or(compareBool(failed, bestFailed), cmp.Compare(cost, bestCost), cmp.Compare(id, best.id)) < 0 {
			best, bestFailed, bestCost = n, failed, cost
		}
	}
	return best
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}
