package schedule

import (
	"cmp"
	"container/heap"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// overdue is how old a part may be until its chunks are sent nobody unasked: they
	// could not be played any more.
	overdue = 12 * time.Second
	// maxRepeats bounds how often a peer gets a part: losses are repeated, but who asks
	// without end is not served.
	maxRepeats = 4
)

// item is a chunk that waits to be sent to a neighbour.
type item struct {
	p      *part
	i      int
	to     *neighbour
	asked  bool   // explicitly
	past   bool   // of a segment before the last two, and asked for or parked
	rank   int    // 0 for who passes it on, 1 for who does not
	parked bool   // waited for the window
	repeat bool   // the broadcaster sent it to somebody else before
	copies int    // queued before
	again  bool   // the neighbour got as much as the whole part already
	seq    uint64 // of all items
	queued time.Time
}

// queue orders what is to be sent: what is played now, then what was asked for of the past, which
// joiners do, and what of the past found no room on its way: after a pause what is played now would wait
// for all that nobody plays any more. Of each what the broadcaster has yet to give away goes first, as nobody
// else can; then what was promised, and in what that leaves, what was asked for
// explicitly: promises are within the uplink, and kept in time they leave little to ask
// for, but broken for the sake of wants they make ever more of these. Of each the oldest
// part goes first, as it is played first; of what was asked for the rarest; of what was
// promised to those who pass it on, and each chunk once before any goes out twice. Who got as
// much as a whole part, and asks for more of it, is served last.
type queue []item

func (q queue) Len() int      { return len(q) }
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q queue) Less(i, j int) bool {
	a, b := &q[i], &q[j]
	if a.again != b.again {
		return b.again
	}
	if a.past != b.past {
		return b.past
	}
	if a.repeat != b.repeat {
		return b.repeat
	}
	if a.asked != b.asked {
		return b.asked
	}
	if c := a.p.pos.Compare(b.p.pos); c != 0 {
		return c < 0
	}
	return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.copies, b.copies), cmp.Compare(a.seq, b.seq)) < 0
}
func (q *queue) Push(v any) { *q = append(*q, v.(item)) }
func (q *queue) Pop() any {
	last := len(*q) - 1
	v := (*q)[last]
	(*q)[last] = item{}
	*q = (*q)[:last]
	return v
}

func (q *queue) push(it item) { heap.Push(q, it) }

// drop removes the first item, which does not wait any more.
func (q *queue) drop() {
	it := heap.Pop(q).(item)
	it.done()
}

// done notes that an item does not wait any more.
func (it *item) done() {
	if pp := it.p.peers[it.to.id]; pp != nil {
		pp.waits(it.asked).Clear(it.i)
	}
}

// offer queues a chunk that the node has for all that shall get it.
func (x *Exchange) offer(p *part, i int, now time.Time) {
	s := Stripe(p.pos, i)
	for _, n := range x.ids {
		if n.takes(s, p.pos) {
			x.enqueue(p, i, n, false, now)
		}
	}
	for id, pp := range p.peers {
		if pp.want.Get(i) {
			if n := x.peers[id]; n != nil {
				x.enqueue(p, i, n, true, now)
			}
		}
	}
}

func (x *Exchange) enqueue(p *part, i int, n *neighbour, asked bool, now time.Time) {
	s := Stripe(p.pos, i)
	pp := p.peer(n.id)
	if pp == nil || pp.queued.Get(i) || asked && pp.queuedAsked.Get(i) {
		return
	}
	pp.waits(asked).Set(i)
	it := item{p: p, i: i, to: n, asked: asked, past: asked && x.past(p.pos), queued: now, again: pp.sends >= p.n}
	x.seq++
	it.seq = x.seq
	if asked {
		for _, pp := range p.peers {
			if pp.have.Get(i) {
				it.rank++ // the rarest first
			}
		}
	} else {
		if !n.state.Feeds.Has(s) {
			it.rank = 1
		}
		it.copies = p.copies(i)
	}
	it.repeat = p.repeats(i)
	x.queue.push(it)
}

// past reports whether a part is of a segment before the last two.
func (x *Exchange) past(pos stream.Position) bool {
	return pos.Epoch != x.newest.Epoch || pos.Segment+1 < x.newest.Segment
}

// repeats reports whether the broadcaster sent a chunk to somebody before.
func (p *part) repeats(i int) bool { return p.own && !p.seen[i].IsZero() }

// copies returns to how many neighbours a chunk was sent.
func (p *part) copies(i int) (n int) {
	for _, pp := range p.peers {
		if pp.sent.Get(i) {
			n++
		}
	}
	return n
}

// pump sends what waits, as far as the uplink and the neighbours' windows allow. It
// returns when to go on, 0 if nothing waits for the uplink.
func (x *Exchange) pump(now time.Time) time.Duration {
	for len(x.queue) > 0 {
		it := x.queue[0]
		p, n := it.p, it.to
		pp := p.peer(n.id)
		if x.peers[n.id] != n || x.parts[p.pos] != p || pp == nil || !p.have.Get(it.i) || pp.have.Get(it.i) || pp.sent.Get(it.i) ||
			!pp.want.Get(it.i) && !n.takes(Stripe(p.pos, it.i), p.pos) {
			x.queue.drop() // cancelled
			continue
		}
		// What found no room on its way may be of the past by now, or be given away: it goes after what is not.
		if past, repeat := x.past(p.pos), p.repeats(it.i); it.parked && (past && !it.past || repeat && !it.repeat) {
			heap.Pop(&x.queue)
			it.past, it.repeat = past, repeat
			x.queue.push(it)
			continue
		}
		if !pp.want.Get(it.i) && now.Sub(p.ready) > overdue {
			x.queue.drop()
			x.stats.Overdue++
			continue
		}
		if pp.sends >= maxRepeats*p.n {
			x.queue.drop()
			x.stats.Unsolved++
			continue
		}
		length := p.chunkLen(it.i)
		if n.inflight > 0 && n.inflight+length > n.window || x.quiet(n, now) {
			heap.Pop(&x.queue)
			if p.stuck[it.i].IsZero() {
				p.stuck[it.i] = now
			}
			it.parked = true
			n.parked = append(n.parked, it)
			continue
		}
		if wait := x.cfg.Uplink.Take(length, now); wait > 0 {
			return wait
		}
		x.queue.drop()
		if p.own && p.seen[it.i].IsZero() {
			p.seen[it.i] = now
		}
		if n.inflight == 0 && !n.lost {
			n.took = now
		}
		pp.sent.Set(it.i)
		pp.sending++
		pp.sentAt = now
		pp.sends++
		n.inflight += length
		x.stats.ChunksSent++
		if !it.asked && !it.parked {
			x.waited = averageDuration(x.waited, now.Sub(p.at[it.i]))
		}
		x.send(n.id, p, SendChunk{it.i, min(AgeUnknown, p.age[it.i]+now.Sub(p.at[it.i]))})
	}
	return 0
}

// send adds a chunk to the last message if that goes the same way.
func (x *Exchange) send(to Peer, p *part, c SendChunk) {
	for k := len(x.actions) - 1; k >= 0; k-- {
		a := &x.actions[k]
		if a.To == to && a.Part == p.pos {
			if len(a.Chunks) > 0 && (len(a.Chunks)+1)*p.chunkSize > maxMessage {
				break
			}
			a.Chunks = append(a.Chunks, c)
			return
		}
	}
	x.actions = append(x.actions, Action{To: to, Part: p.pos, Chunks: []SendChunk{c}})
}

// maxMessage bounds the chunks' bytes in one message.
const maxMessage = 64 << 10
