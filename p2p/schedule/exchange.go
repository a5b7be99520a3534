package schedule

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// Peer names a neighbour. Whoever runs the exchange deals the numbers out.
type Peer int32

// None stands for no peer.
const None Peer = -1

// Budget is the node's uplink, shared by all of its exchanges; see [Uplink].
type Budget interface {
	// Take takes n bytes, or returns how long to wait before asking again.
	Take(n int, now time.Time) time.Duration
	// Rate returns the bits per second that chunks may fill, 0 if nothing bounds them.
	Rate() int
}

// Config configures an [Exchange].
type Config struct {
	Source bool   // this node is the broadcaster
	Uplink Budget // what chunks are held to
	Seed   uint64 // of what is drawn at random
	// TTL is how long after it was first heard of a part is exchanged. Who lacks it
	// longer has shown a hole. 0 means 30 s.
	TTL time.Duration
}

// Exchange decides for one rendition what a node says to its neighbours and which
// chunks it sends them, when. It has no clock and does no I/O: it is told what happened
// and when, and [Exchange.Step] returns what to do. The same code runs in the node and,
// ten thousand of it at a time, in the event simulator. Not safe for concurrent use.
type Exchange struct {
	cfg   Config
	rng   *rand.Rand
	peers map[Peer]*neighbour
	ids   []*neighbour // of peers, by ID: what is random is random by rng alone
	parts map[stream.Position]*part
	order []*part // of parts, by position

	stripes    [Stripes]stripe
	queue      queue
	seq        uint64 // of items queued
	actions    []Action
	unknown    int             // parts without a header
	newest     stream.Position // with a header
	wantsStale bool            // parents changed
	talk       bool            // there may be something to say of stripes
	tellAt     stream.Position // the part with which what there is to say of stripes is said
	rate       float64         // of the stream, bits per second, measured
	duration   time.Duration   // of the newest part
	hop        time.Duration   // between neighbours, one way, measured
	waited     time.Duration   // from having a chunk to sending it to a child, measured
	reserved   int             // bits per second promised elsewhere
	download   int             // bits per second received at most; 0 for no bound
	chooseAt   time.Time
	expireAt   time.Time
	revokeAt   time.Time
	reviewAt   time.Time
	openAt     time.Time // from when on the broadcaster makes promises
	most       int       // children that the uplink was found to feed at most
	mostUntil  time.Time
	doubts     bool // some neighbour was ever doubted
	suspects   []Suspect
	stats      Stats
}

// Stats are what an exchange counts.
type Stats struct {
	Wanted     int   // chunks missing of parts that this node wants, now
	Feeding    int   // children, each stripe of each counted, now
	Fed        int   // stripes that a parent sends, now
	Slots      int   // children that the uplink feeds, now
	Waiting    int   // chunks that wait for the uplink, now
	Upload     int   // children that its uplink and the neighbours' feed, now
	Hungry     int   // nodes among these that must be fed, the broadcaster being the only other
	Expired    int64 // wants that were not met in time
	Lost       int64 // chunks given up: older than anybody could still play
	Overdue    int64 // chunks not sent, as nobody could have played them any more
	Revoked    int64 // promises taken back
	Changed    int64 // parents changed for better ones
	LateFeeds  int64 // chunks that a parent failed to send in time
	Unsolved   int64 // requests and repeats beyond what a peer may ask
	ChunksSent int64
}

// Action is a message to a neighbour about one part.
type Action struct {
	To     Peer
	Part   stream.Position
	Meta   *Metadata // nil if there is nothing to say
	Chunks []SendChunk
}

// SendChunk is a chunk to be sent.
type SendChunk struct {
	Index int
	Age   time.Duration // since its publication, as far as nodes on the way measured it
}

// AgeUnknown, and any age above it, is that of a chunk that did not come unasked all the
// way from the broadcaster. Such a chunk says nothing about its parents.
const AgeUnknown = time.Minute

const (
	defaultTTL = 30 * time.Second
	// maxUnknownParts bounds the parts kept for neighbours that speak of them before
	// their headers arrived.
	maxUnknownParts = 256
	// maxOpened bounds those of them that one neighbour was the first to speak of. The newest count:
	// of what this node missed while it was away, headers may never come.
	maxOpened = 16
	// maxAhead is how many parts a promise, or its end, may lie ahead of the newest part
	// here: neighbours are only a few parts apart.
	maxAhead = 8
	// maxPartPeers bounds the peers that may exchange one part with this node.
	maxPartPeers = 256
	// expireEvery is how often to look for parts and bytes whose time is over.
	expireEvery = 250 * time.Millisecond
	// turnedAfter is how much longer than two round trips a chunk has been wanted until its part is
	// given another header, if that is its holder's failure.
	turnedAfter = 100 * time.Millisecond
	// gain is how fast measured averages follow.
	gain = 8
)

// New returns an exchange.
func New(cfg Config) *Exchange {
	if cfg.TTL == 0 {
		cfg.TTL = defaultTTL
	}
	x := &Exchange{
		cfg:   cfg,
		rng:   rand.New(rand.NewPCG(cfg.Seed, 0)),
		peers: make(map[Peer]*neighbour),
		parts: make(map[stream.Position]*part),
	}
	for s := range x.stripes {
		x.stripes[s] = newStripe(cfg.Source)
	}
	return x
}

// Stats returns what was counted so far.
func (x *Exchange) Stats() Stats {
	s := x.stats
	for _, p := range x.order {
		if p.missing() {
			s.Wanted += p.n - p.count
		}
	}
	for i := range x.stripes {
		if x.stripes[i].parent != None {
			s.Fed++
		}
	}
	s.Feeding, s.Slots, s.Waiting = x.children(), x.slots(), len(x.queue)
	s.Upload, s.Hungry = x.supply()
	return s
}

// Hops returns how many neighbours each stripe's chunks pass until they are here; Unfed
// if no parent sends them.
func (x *Exchange) Hops() (h [Stripes]uint8) {
	for s := range x.stripes {
		h[s] = x.stripes[s].hops
	}
	return h
}

// Parents returns who sends each stripe's chunks; None if nobody does.
func (x *Exchange) Parents() (p [Stripes]Peer) {
	for s := range x.stripes {
		p[s] = x.stripes[s].parent
	}
	return p
}

// Promised returns the bits per second that this node has promised to children; 0 if the
// stream pauses.
func (x *Exchange) Promised() int {
	if p := x.parts[x.newest]; p == nil || !p.known {
		return 0
	}
	return int(float64(x.children()) * x.rate / Stripes)
}

// Reserve sets what other exchanges of the node have promised, in bits per second.
func (x *Exchange) Reserve(bits int) { x.reserved = bits }

// Part describes a part of which the header is known.
type Part struct {
	stream.Position
	Size, ChunkSize int // bytes
	Chunks          int
	Duration        time.Duration
	Have            stream.Bitmap // chunks that the node has already
	Own             bool          // published by this node: it has all chunks
	Wanted          bool          // this node wants the chunks that it lacks
	Late            bool          // it is of the past: nobody may speak of it any more
}

// rate returns the bits per second of a part that lasts for a while.
func (h *Part) rate() float64 { return float64(h.Size) * 8 / h.Duration.Seconds() }

// Header begins the exchange of a part. It reports whether it was new.
func (x *Exchange) Header(h Part, now time.Time) bool {
	p := x.get(h.Position, None, now)
	if p.known {
		return false
	}
	x.settled(p)
	p.known, p.n, p.size, p.chunkSize = true, h.Chunks, h.Size, h.ChunkSize
	p.wanted, p.late, p.own, p.ready, p.dirty = h.Wanted && !h.Own, h.Late, h.Own, now, true
	p.have = stream.NewBitmap(p.n)
	p.asks, p.at, p.age, p.seen, p.stuck = make([]ask, p.n), make([]time.Time, p.n), make([]time.Duration, p.n), make([]time.Time, p.n), make([]time.Time, p.n)
	for i := range p.n {
		p.asks[i].from = None
		if h.Own || h.Have.Get(i) {
			p.have.Set(i)
			p.count++
			p.at[i] = now
		}
	}
	if p.count > 0 {
		p.newsAt = now
	}
	for _, pp := range p.peers {
		pp.grow(p.n)
	}
	if x.newest.Compare(p.pos) < 0 {
		x.newest, x.tellAt = p.pos, p.pos
		x.talk = true
		x.bindAhead(now)
		x.chooseAt = time.Time{}
		for _, n := range x.ids {
			if n.pending != 0 {
				x.settle(n)
			}
		}
	}
	if h.Duration > 0 && (!h.Late || x.rate == 0) { // a joiner knows of no other
		x.duration = h.Duration
		if x.rate == 0 {
			x.openAt = now.Add(acquaint)
		}
		p.rate = h.rate()
		x.rate = average(x.rate, p.rate)
	}
	if p.count > 0 {
		for i := range p.n {
			if p.have.Get(i) {
				x.offer(p, i, now)
			}
		}
	}
	return true
}

// Replace gives a part another header, of which this node has no chunk yet, in place of one of
// which it has none, either. It reports whether it did.
func (x *Exchange) Replace(h Part, now time.Time) bool {
	p := x.parts[h.Position]
	if p == nil || !p.known || p.own || p.count > 0 {
		return false
	}
	for i := range p.asks {
		// Who claimed what nobody serves, and was asked for it, withheld it: nothing shows it later.
		if n := x.peers[p.asks[i].from]; n != nil && !p.asks[i].fetch && now.Sub(p.asks[i].at) > 2*n.rtt+turnedAfter {
			x.failed(n, &n.vain, maxVain, p.asks[i].at, now)
		}
		x.unask(p, i, false)
	}
	if p.rate > 0 && h.Duration > 0 { // which goes by what is served
		x.rate = max(0, x.rate+(h.rate()-p.rate)/gain)
		p.rate = h.rate()
	}
	p.n, p.size, p.chunkSize, p.wanted, p.ready, p.dirty = h.Chunks, h.Size, h.ChunkSize, h.Wanted, now, true
	p.lookAt, p.hungry, p.newsAt = time.Time{}, false, time.Time{}
	p.have = stream.NewBitmap(p.n)
	p.asks, p.at, p.age, p.seen, p.stuck = make([]ask, p.n), make([]time.Time, p.n), make([]time.Duration, p.n), make([]time.Time, p.n), make([]time.Time, p.n)
	for i := range p.asks {
		p.asks[i].from = None
	}
	for id, b := range p.asked { // what was asked for may still come
		all := stream.NewBitmap(p.n)
		copy(all, b)
		p.asked[id] = all
	}
	for _, pp := range p.peers {
		pp.grow(p.n)
	}
	return true
}

// Disputed notes that two headers were signed for a part: who has the other one takes nothing of it.
// Who said before that it has some of it, of which nothing is here, may have made it up, as there may
// be nothing of the first: until it delivers something it is asked for what it claims at once.
func (x *Exchange) Disputed(pos stream.Position) {
	p := x.parts[pos]
	if p == nil || !p.known {
		return
	}
	p.disputed = true
	for id, pp := range p.peers {
		if n := x.peers[id]; n != nil && p.count == 0 && pp.have.Count() > 0 {
			n.doubted, x.doubts = true, true
		}
	}
}

// bindAhead ends what should have begun, or ended, with a part that does not come.
func (x *Exchange) bindAhead(now time.Time) {
	for s := range x.stripes {
		if st := &x.stripes[s]; st.parent != None && x.newest.Compare(st.from) <= 0 {
			if st.ahead++; st.ahead > maxAhead {
				st.ahead, st.gap = 0, x.newest
				x.drop(s, st.parent, now)
			}
		}
		for _, n := range x.ids {
			if !n.grants.Has(s) && x.newest.Compare(n.until[s]) <= 0 {
				if n.ahead[s]++; n.ahead[s] > maxAhead {
					n.ahead[s], n.until[s] = 0, n.from[s]
				}
			}
		}
	}
}

// mayOpen reports whether n may be the first to speak of one more part. If it was of enough,
// the oldest of them is forgotten for one that is newer.
func (x *Exchange) mayOpen(n *neighbour, pos stream.Position, now time.Time) bool {
	if x.unknown < maxUnknownParts && n.opened < maxOpened {
		return true
	}
	i := slices.IndexFunc(x.order, func(p *part) bool { return !p.known && p.opener == n.id })
	if i < 0 || pos.Compare(x.order[i].pos) <= 0 {
		return false
	}
	x.forget(x.order[i], now)
	x.order = slices.Delete(x.order, i, i+1)
	return true
}

// settled notes that a part is not unknown any more.
func (x *Exchange) settled(p *part) {
	x.unknown--
	if n := x.peers[p.opener]; n != nil {
		n.opened--
	}
}

// get returns the part, made if need be, of which opener is the first to speak; None if
// it is this node.
func (x *Exchange) get(pos stream.Position, opener Peer, now time.Time) *part {
	p := x.parts[pos]
	if p == nil {
		if n := x.peers[opener]; n != nil {
			n.opened++
		}
		p = &part{pos: pos, opener: opener, peers: make(map[Peer]*partPeer), asked: make(map[Peer]stream.Bitmap), born: now}
		x.parts[pos] = p
		x.unknown++
		i, _ := slices.BinarySearchFunc(x.order, pos, func(p *part, pos stream.Position) int { return p.pos.Compare(pos) })
		x.order = slices.Insert(x.order, i, p)
	}
	return p
}

// average follows a measured value, beginning with the first.
func average(mean, value float64) float64 {
	if mean == 0 {
		return value
	}
	return mean + (value-mean)/gain
}

func averageDuration(mean, value time.Duration) time.Duration {
	if mean == 0 {
		return value
	}
	return mean + (value-mean)/gain
}

// Dropped notes that messages to a peer about a part were lost on the way out, so that
// they are repeated.
func (x *Exchange) Dropped(to Peer, pos stream.Position, now time.Time) {
	p, n := x.parts[pos], x.peers[to]
	if n == nil {
		return
	}
	n.toldState, n.sayWant, n.sayGrants = nil, true, true
	x.retell()
	if p == nil || !p.known || p.peers[to] == nil {
		return
	}
	pp := p.peers[to]
	for i := range p.n {
		x.acknowledge(p, n, pp, i, false, now)
	}
	pp.told, pp.toldAsked, pp.toldAnything = stream.NewBitmap(p.n), stream.NewBitmap(p.n), false
	for i := range p.n {
		if p.have.Get(i) && !pp.have.Get(i) && (pp.want.Get(i) || n.takes(Stripe(pos, i), pos)) {
			x.enqueue(p, i, n, pp.want.Get(i), now)
		}
	}
	p.dirty = true
}

// Step decides and returns what is to be said and sent now, and how long to wait
// until the next call at the latest. The actions are valid until then.
func (x *Exchange) Step(now time.Time) ([]Action, time.Duration) {
	x.actions = x.actions[:0]
	x.expire(now)
	x.review(now)
	next := min(time.Second, x.choose(now), reviewEvery)
	next = min(next, x.stepWants(now))
	next = min(next, x.tell(now))
	if wait := x.pump(now); wait > 0 {
		next = min(next, wait)
	}
	return x.actions, next
}

// expire drops parts whose time is over, and sent bytes that were never acknowledged.
func (x *Exchange) expire(now time.Time) {
	if now.Before(x.expireAt) {
		return
	}
	x.expireAt = now.Add(expireEvery)
	x.order = slices.DeleteFunc(x.order, func(p *part) bool {
		over := now.Sub(p.born) >= x.cfg.TTL
		for id, pp := range p.peers {
			if p.known && pp.sending > 0 && (over || now.Sub(pp.sentAt) >= sentTimeout) {
				if n := x.peers[id]; n != nil && !p.disputed {
					n.lost = true
				}
				for i := range p.n {
					x.acknowledge(p, x.peers[id], pp, i, false, now)
				}
			}
		}
		if !over {
			return false
		}
		x.forget(p, now)
		return true
	})
	x.untaken(now)
}

// forget drops what is kept of a part.
func (x *Exchange) forget(p *part, now time.Time) {
	delete(x.parts, p.pos)
	if !p.known {
		x.settled(p)
		return
	}
	if p.missing() {
		x.stats.Lost += int64(p.n - p.count)
	}
	for id := range p.asked {
		if n := x.peers[id]; n != nil {
			n.lateUntil = now.Add(lateTTL)
			if n.lateAsked.Compare(p.pos) < 0 {
				n.lateAsked = p.pos
			}
		}
	}
	x.giveUp(p)
}

// Idle reports whether every chunk was taken by whoever wants it.
func (x *Exchange) Idle() bool {
	if len(x.queue) > 0 {
		return false
	}
	for _, p := range x.order {
		for _, pp := range p.peers {
			if pp.sending > 0 {
				return false
			}
			for i := range p.n {
				if pp.want.Get(i) && p.have.Get(i) && !pp.have.Get(i) {
					return false
				}
			}
		}
	}
	return true
}
