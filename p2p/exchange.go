package p2p

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/p2p/schedule"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	// exchangeTTL is how long after it was first heard of a part is exchanged by
	// partial messages, and thereby also how late a chunk may come: who lacks it
	// longer than that has shown a hole. Later requests go by the fetch protocol.
	exchangeTTL = 30 * time.Second
	// lateTTL is how much later the chunks that were asked for may still come, without
	// blame for a peer behind a slow link: sendWindow at 140 kbit/s takes a minute.
	lateTTL = time.Minute
	// haveDelay is how long news of a chunk waits for more of them, so that one message
	// tells of several.
	haveDelay = 80 * time.Millisecond
	// sendWindow bounds the bytes sent to a peer that its have-bitmap did not
	// acknowledge yet: 40 Mbit/s at a round trip of 200 ms.
	sendWindow = 1 << 20
	// sentTimeout is when sent bytes that were never acknowledged are taken as lost.
	sentTimeout = 5 * time.Second
	// missingPoll is how often to look whether wants have expired while chunks are
	// missing.
	missingPoll = 50 * time.Millisecond
	// queueRest is how long a peer whose queue was full gets nothing more, which would
	// only be lost, too.
	queueRest = 100 * time.Millisecond
	// expireEvery is how often to look for parts and bytes whose time is over.
	expireEvery = 250 * time.Millisecond
	// maxRepeats bounds how often a peer gets a part: losses are repeated, but who asks
	// without end is not served.
	maxRepeats = 4
	// maxEarly bounds the chunks that parents push before their headers arrive: 2 MiB that
	// nothing vouches for yet.
	maxEarly = 64
	// maxUnknownParts bounds the parts kept for neighbours that speak of them before
	// their headers arrived.
	maxUnknownParts = 128
	// maxPartPeers bounds the peers that may exchange one part with this node.
	maxPartPeers = 256
)

// exchange moves chunks between this node and its neighbours by partial messages. It
// belongs to its swarm's loop.
type exchange struct {
	s        *Swarm
	parts    map[stream.PartID]*part
	order    []*part // of parts, by position, then rendition
	past     map[stream.PartID]pastPart
	unknown  int // parts without a header
	sending  map[peer.ID]*sending
	stripes  map[string]*stripes   // by rendition
	wanted   map[peer.ID]int       // chunks wanted from each peer
	heard    map[peer.ID]time.Time // when each peer last delivered, see schedule.Peer.Silent
	expireAt time.Time             // when to look for what is over
}

func newExchange(s *Swarm) *exchange {
	return &exchange{
		s:       s,
		parts:   make(map[stream.PartID]*part),
		past:    make(map[stream.PartID]pastPart),
		sending: make(map[peer.ID]*sending),
		stripes: make(map[string]*stripes),
		wanted:  make(map[peer.ID]int),
		heard:   make(map[peer.ID]time.Time),
	}
}

// get returns the part, made if need be.
func (x *exchange) get(id stream.PartID, now time.Time) *part {
	p := x.parts[id]
	if p == nil {
		p = &part{
			id:    id,
			group: marshalPosition(id.Position),
			topic: chunksTopic(id.Stream, id.Rendition),
			peers: make(map[peer.ID]*partPeer),
			asked: make(asked),
			born:  now,
		}
		x.parts[id] = p
		x.unknown++
		i, _ := slices.BinarySearchFunc(x.order, p, comparePart)
		x.order = slices.Insert(x.order, i, p)
	}
	return p
}

// onHeader gives a part its header.
func (x *exchange) onHeader(h *stream.SignedHeader, wanted, late, own bool, now time.Time) {
	if h.End || !wanted && !own {
		return // what is past is served by the fetch protocol
	}
	p := x.get(h.ID(), now)
	if p.header != nil {
		return
	}
	x.unknown--
	p.header, p.wanted, p.late, p.own = h, wanted, late, own
	p.ready, p.dirty = now, true
	n := len(h.Chunks)
	p.have = stream.NewBitmap(n)
	held := x.s.node.store.Have(h.ID())
	for i := range n {
		if held.Get(i) {
			p.have.Set(i)
		}
	}
	if p.count = p.have.Count(); p.count > 0 {
		p.newsAt = now
	}
	p.asks = make([]ask, n)
	p.seen = make([]time.Time, n)
	for _, pp := range p.peers {
		pp.grow(n)
	}
	early := p.early
	p.early = nil
	for _, e := range early {
		x.onChunk(chunkSource{e.from, false}, p.id, e.index, e.data, now)
	}
}

// onMetadata takes what a peer says that it has and wants.
func (x *exchange) onMetadata(from peer.ID, id stream.PartID, m metadata, now time.Time) {
	if x.parts[id] == nil && x.unknown >= maxUnknownParts {
		x.s.count(func(c *counters) { c.unknown++ })
		return
	}
	p := x.get(id, now)
	pp := p.peer(from)
	if pp == nil {
		x.s.count(func(c *counters) { c.unknown++ })
		return
	}
	p.dirty = true
	if m.hasStanding || m.hasGrants || m.depths != nil {
		x.onStripes(from, id, m, now)
	}
	if p.header == nil {
		pp.have, pp.want = or(pp.have, m.have), m.want.Clone()
		return
	}
	n := len(p.header.Chunks)
	for i := range n {
		if m.have.Get(i) {
			if p.seen[i].IsZero() {
				p.seen[i] = now
			}
			pp.have.Set(i)
			if pp.sent.Get(i) {
				pp.sent.Clear(i)
				x.acknowledged(from, p.header.ChunkLen(i))
			}
		}
		if m.want.Get(i) && !pp.want.Get(i) && pp.sent.Get(i) {
			// Asked for anew, so what was sent got lost.
			pp.sent.Clear(i)
			x.acknowledged(from, p.header.ChunkLen(i))
		}
	}
	pp.want = stream.NewBitmap(n)
	for i := range n {
		if m.want.Get(i) {
			pp.want.Set(i)
		}
	}
}

// early returns how many chunks wait for their headers.
func (x *exchange) early() (n int) {
	for _, p := range x.order {
		n += len(p.early)
	}
	return n
}

// chunkSource tells how a chunk came.
type chunkSource struct {
	from  peer.ID
	fetch bool
}

// onChunk verifies a chunk, and keeps it. It returns why it refused it, if it did.
func (x *exchange) onChunk(src chunkSource, id stream.PartID, i int, data []byte, now time.Time) error {
	st, stripe := x.stripesOf(id), stripeOf(id, i)
	pushed := !src.fetch && st.mayPush(src.from, stripe)
	p := x.parts[id]
	if pushed && p == nil && x.past[id].asked == nil && x.unknown < maxUnknownParts {
		p = x.get(id, now) // it outran its header
	}
	if pushed && p != nil && p.header == nil && x.early() < maxEarly {
		p.early = append(p.early, earlyChunk{src.from, i, data})
		return nil
	}
	if (p == nil || p.header == nil) && (src.fetch || pushed || x.past[id].asked.of(src.from, i)) {
		x.s.count(func(c *counters) { c.stats.ChunksLate++ })
		return nil
	}
	if p == nil || p.header == nil || i >= len(p.header.Chunks) || !src.fetch && !pushed && !p.asked.of(src.from, i) {
		err := fmt.Errorf("%w: chunk %d of part %v was not asked for", errWire, i, id.Position)
		x.s.refuse(src.from, refusedUnsolicited, err)
		return err
	}
	pp := p.peer(src.from)
	if pp == nil {
		x.s.count(func(c *counters) { c.unknown++ })
		return nil
	}
	if pushed && !p.asked.of(src.from, i) {
		st.pushed(src.from, stripe)
	}
	if p.have.Get(i) {
		x.s.count(func(c *counters) { c.stats.ChunksDuplicate++ })
		return nil
	}
	chunk, err := stream.OpenChunk(p.header, i, data)
	if err != nil {
		x.s.refuse(src.from, refusedForged, err)
		if st.wanted(src.from).has(stripe) {
			st.drop(stripe, src.from, now)
		}
		if p.asks[i].from == src.from {
			x.unask(p, i, true)
		}
		pp.have.Clear(i)
		p.dirty = true
		return err
	}
	x.s.node.store.Put(chunk)
	x.s.count(func(c *counters) {
		c.stats.ChunksReceived++
		c.stats.BytesReceived += int64(len(data))
		if src.fetch {
			c.stats.ChunksFetched++
		}
		c.peer(src.from).BytesIn += int64(len(data))
	})
	if o := x.s.node.cfg.Observer; o != nil {
		o.ChunkReceived(p.header, i)
	}
	x.heard[src.from] = now
	if !src.fetch {
		st.delivered(stripe, src.from, now)
	}
	x.unask(p, i, false)
	p.have.Set(i)
	p.count++
	pp.have.Set(i)
	pp.owesAck = pp.owesAck || !src.fetch
	if p.newsAt.IsZero() {
		p.newsAt = now
	}
	p.dirty = true
	return nil
}

// onGossip tells peers outside the mesh of a part, if this node has some of it.
func (x *exchange) onGossip(id stream.PartID, peers []peer.ID) {
	p := x.parts[id]
	if p == nil || p.header == nil || p.count == 0 {
		return
	}
	for _, id := range peers {
		p.peer(id)
	}
	p.dirty = true
}

// onNeighbour makes a new neighbour hear of all parts that it may still want.
func (x *exchange) onNeighbour(id peer.ID) {
	for _, p := range x.order {
		p.dirty = true
		if pp := p.peers[id]; pp != nil && p.header != nil {
			pp.told = stream.NewBitmap(len(p.header.Chunks))
			pp.toldAnything = false
		}
	}
}

// onGone forgets a peer, and the parts of which nobody else spoke.
func (x *exchange) onGone(id peer.ID) {
	x.order = slices.DeleteFunc(x.order, func(p *part) bool {
		for i := range p.asks {
			if p.asks[i].from == id && !p.asks[i].fetch {
				x.unask(p, i, true)
			}
		}
		if p.peers[id] == nil {
			return false
		}
		delete(p.peers, id)
		p.dirty = true
		if p.header != nil || len(p.peers) > 0 {
			return false
		}
		delete(x.parts, p.id)
		x.unknown--
		return true
	})
	for _, st := range x.stripes {
		st.onGone(id)
	}
	delete(x.sending, id)
	delete(x.wanted, id)
	delete(x.heard, id)
}

// onDropped lets a peer rest whose queue was full, and then repeats what was lost.
func (x *exchange) onDropped(id peer.ID, part stream.PartID, now time.Time) {
	if out := x.sendingTo(id); !now.Before(out.rest) {
		out.rest = now.Add(queueRest)
	}
	p := x.parts[part]
	if p == nil || p.header == nil || p.peers[id] == nil {
		return
	}
	pp := p.peers[id]
	n := len(p.header.Chunks)
	for i := range n {
		if pp.sent.Get(i) {
			x.acknowledged(id, p.header.ChunkLen(i))
		}
	}
	pp.sent, pp.told, pp.toldAsked = stream.NewBitmap(n), stream.NewBitmap(n), stream.NewBitmap(n)
	pp.toldAnything = false
	p.dirty = true
}

// onStripes takes what a neighbour says of standing wants.
func (x *exchange) onStripes(from peer.ID, id stream.PartID, m metadata, now time.Time) {
	st := x.stripesOf(id)
	if m.depths != nil {
		st.onDepths(from, *m.depths, now)
	}
	if m.hasGrants {
		st.onGrants(from, m.grants, now)
	}
	if m.hasStanding {
		l := schedule.GrantLimits{PerStripe: maxChildren, PerPeer: schedule.Stripes, Total: maxChildren * schedule.Stripes}
		if x.s.publishing() {
			l = schedule.GrantLimits{PerStripe: sourceChildren, PerPeer: max(2, schedule.Stripes/max(1, len(x.s.neighbours()[id.Rendition]))), Total: sourceChildren * schedule.Stripes}
		}
		st.onWants(from, m.standing, l, now)
	}
}

// step decides and sends whatever is due, and returns when to look again at the
// latest.
func (x *exchange) step(now time.Time) time.Duration {
	next := time.Second
	x.expire(now)
	x.schedule(now)
	neighbours := x.s.neighbours()
	for name, st := range x.stripes {
		neighbours[name] = st.with(neighbours[name])
	}
	wanted := 0
	newest := make(map[string]*part)
	for _, p := range x.order {
		if p.header != nil {
			newest[p.id.Rendition] = p
		}
	}
	for _, p := range x.order {
		if p.header == nil {
			continue
		}
		if st := x.stripesOf(p.id); newest[p.id.Rendition] == p {
			st.choose(neighbours[p.id.Rendition], now)
			for _, id := range neighbours[p.id.Rendition] {
				p.dirty = p.dirty || st.dirty(id)
			}
		}
		if p.missing() {
			wanted += len(p.header.Chunks) - p.count
			next = min(next, missingPoll)
		}
		if p.own && now.Sub(p.born) < time.Duration(len(neighbours[p.id.Rendition]))*schedule.Widen {
			p.dirty = true
			next = min(next, schedule.Widen/4)
		}
		if !p.dirty {
			continue
		}
		p.dirty = false
		if wait := x.flush(p, newest[p.id.Rendition] == p, neighbours[p.id.Rendition], now); wait > 0 {
			p.dirty = true
			next = min(next, wait)
		}
	}
	x.s.count(func(c *counters) { c.stats.Wanted = wanted })
	if wait := x.pump(now); wait > 0 {
		next = min(next, wait)
	}
	return next
}

// expire drops parts whose time is over, and sent bytes that were never acknowledged.
func (x *exchange) expire(now time.Time) {
	if now.Before(x.expireAt) {
		return
	}
	x.expireAt = now.Add(expireEvery)
	maps.DeleteFunc(x.heard, func(_ peer.ID, at time.Time) bool { return now.Sub(at) > exchangeTTL })
	for _, st := range x.stripes {
		st.expire(now)
	}
	maps.DeleteFunc(x.past, func(_ stream.PartID, p pastPart) bool { return !now.Before(p.until) })
	x.order = slices.DeleteFunc(x.order, func(p *part) bool {
		if p.late && p.missing() && x.s.repair.old(p.header) {
			// It was the newest of what was fetched after a long silence, when it came.
			x.giveUp(p)
		}
		if now.Sub(p.born) < exchangeTTL {
			for id, pp := range p.peers {
				if p.header == nil || pp.sent.Count() == 0 || now.Sub(pp.sentAt) < sentTimeout {
					continue
				}
				for i := range p.header.Chunks {
					if pp.sent.Get(i) {
						x.acknowledged(id, p.header.ChunkLen(i))
					}
				}
				pp.sent = stream.NewBitmap(len(p.header.Chunks))
			}
			return false
		}
		delete(x.parts, p.id)
		if p.header == nil {
			x.unknown--
			return true
		}
		if len(p.asked) > 0 {
			x.past[p.id] = pastPart{p.asked, now.Add(lateTTL)}
		}
		if p.missing() {
			lost := int64(len(p.header.Chunks) - p.count)
			x.s.log.Warn("part given up", "part", p.id.Position, "rendition", p.id.Rendition, "chunks", lost)
			x.s.count(func(c *counters) { c.stats.ChunksLost += lost })
			x.giveUp(p)
		}
		for id, pp := range p.peers {
			for i := range p.header.Chunks {
				if pp.sent.Get(i) {
					x.acknowledged(id, p.header.ChunkLen(i))
				}
			}
		}
		return true
	})
}
