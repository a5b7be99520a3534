package p2p

import (
	"fmt"
	"iter"
	"slices"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p-pubsub/partialmessages"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/p2p/schedule"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	// exchangeTTL is how long after it was first heard of a part is exchanged by
	// partial messages, and thereby also how late a chunk may come: who lacks it
	// longer than that has shown a hole. Later requests go by the fetch protocol.
	exchangeTTL = 30 * time.Second
	// haveDelay is how long news of a chunk waits for more of them, so that one message
	// tells of several.
	haveDelay = 25 * time.Millisecond
	// sendWindow bounds the bytes sent to a peer that its have-bitmap did not
	// acknowledge yet: 40 Mbit/s at a round trip of 200 ms.
	sendWindow = 1 << 20
	// sentTimeout is when sent bytes that were never acknowledged are taken as lost.
	sentTimeout = 5 * time.Second
	// missingPoll is how often to look whether wants have expired while chunks are
	// missing.
	missingPoll = 50 * time.Millisecond
	// expireEvery is how often to look for parts and bytes whose time is over.
	expireEvery = 250 * time.Millisecond
	// maxRepeats bounds how often a peer gets a part: losses are repeated, but who asks
	// without end is not served.
	maxRepeats = 4
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
	unknown  int     // parts without a header
	sending  map[peer.ID]*sending
	wanted   map[peer.ID]int       // chunks wanted from each peer
	heard    map[peer.ID]time.Time // when each peer last delivered, see schedule.Peer.Silent
	expireAt time.Time             // when to look for what is over
}

// sending is what is under way to a peer.
type sending struct {
	bytes   int  // sent, not acknowledged
	blocked bool // something waits for the window
}

// part is the exchange of one part.
type part struct {
	id     stream.PartID
	group  []byte
	topic  string
	header *stream.SignedHeader // nil until known
	own    bool                 // published by this node
	wanted bool                 // this node wants the chunks it lacks
	late   bool                 // the header came by fetch: neighbours may never speak of it
	have   stream.Bitmap
	count  int // of have
	asks   []ask
	peers  map[peer.ID]*partPeer
	born   time.Time // first heard of
	ready  time.Time // header known
	dirty  bool
	newsAt time.Time // of the oldest chunk that neighbours were not told of; zero if none
	opened bool      // pubsub knows that this node speaks of the group, too
}

// ask is a chunk that is wanted from a peer.
type ask struct {
	from    peer.ID // "" if from nobody
	at      time.Time
	fetch   bool // by the fetch protocol
	failed  []peer.ID
	fetches int // times it was fetched in vain
}

// partPeer is what this node and a peer told each other of a part.
type partPeer struct {
	have, want   stream.Bitmap // its
	told         stream.Bitmap // what it knows this node to have
	asked        stream.Bitmap // what is wanted from it
	toldAsked    stream.Bitmap // what it knows to be wanted from it
	everAsked    stream.Bitmap // what it may honestly send
	sent         stream.Bitmap // sent to it, not acknowledged
	sentAt       time.Time
	sends        int  // chunks sent to it, repeats included
	owesAck      bool // it sent a chunk that was not acknowledged yet
	toldAnything bool
}

func newExchange(s *Swarm) *exchange {
	return &exchange{
		s:       s,
		parts:   make(map[stream.PartID]*part),
		sending: make(map[peer.ID]*sending),
		wanted:  make(map[peer.ID]int),
		heard:   make(map[peer.ID]time.Time),
	}
}

func (p *part) complete() bool { return p.header != nil && p.count == len(p.header.Chunks) }

// missing reports whether the node waits for chunks of the part.
func (p *part) missing() bool { return p.wanted && p.header != nil && !p.complete() }

func (p *part) peer(id peer.ID) *partPeer {
	pp := p.peers[id]
	if pp == nil {
		if len(p.peers) >= maxPartPeers {
			return nil
		}
		pp = &partPeer{}
		if p.header != nil {
			pp.grow(len(p.header.Chunks))
		}
		p.peers[id] = pp
	}
	return pp
}

// grow gives all bitmaps room for n bits, and cuts what a peer sent to it.
func (pp *partPeer) grow(n int) {
	for _, b := range []*stream.Bitmap{&pp.have, &pp.want, &pp.told, &pp.asked, &pp.toldAsked, &pp.everAsked, &pp.sent} {
		full := stream.NewBitmap(n)
		for i := range n {
			if b.Get(i) {
				full.Set(i)
			}
		}
		*b = full
	}
}

// get returns the part, made if need be; nil if there are too many unknown ones.
func (x *exchange) get(id stream.PartID, now time.Time) *part {
	p := x.parts[id]
	if p == nil {
		if x.unknown >= maxUnknownParts {
			return nil
		}
		p = &part{
			id:    id,
			group: marshalPosition(id.Position),
			topic: chunksTopic(id.Stream, id.Rendition),
			peers: make(map[peer.ID]*partPeer),
			born:  now,
		}
		x.parts[id] = p
		x.unknown++
		i, _ := slices.BinarySearchFunc(x.order, p, comparePart)
		x.order = slices.Insert(x.order, i, p)
	}
	return p
}

func comparePart(a, b *part) int {
	if c := a.id.Position.Compare(b.id.Position); c != 0 {
		return c
	}
	if a.id.Rendition < b.id.Rendition {
		return -1
	} else if a.id.Rendition > b.id.Rendition {
		return 1
	}
	return 0
}

// onHeader gives a part its header.
func (x *exchange) onHeader(h *stream.SignedHeader, wanted, late, own bool, now time.Time) {
	if h.End || !wanted && !own {
		return // what is past is served by the fetch protocol
	}
	p := x.get(h.ID(), now)
	if p == nil || p.header != nil {
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
	for _, pp := range p.peers {
		pp.grow(n)
	}
}

// onMetadata takes what a peer says that it has and wants.
func (x *exchange) onMetadata(from peer.ID, id stream.PartID, m metadata, now time.Time) {
	p := x.get(id, now)
	if p == nil {
		x.s.count(func(c *counters) { c.unknown++ })
		return
	}
	pp := p.peer(from)
	if pp == nil {
		x.s.count(func(c *counters) { c.unknown++ })
		return
	}
	p.dirty = true
	if p.header == nil {
		pp.have, pp.want = or(pp.have, m.have), m.want.Clone()
		return
	}
	n := len(p.header.Chunks)
	for i := range n {
		if m.have.Get(i) {
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

func or(a, b stream.Bitmap) stream.Bitmap {
	out := make(stream.Bitmap, max(len(a), len(b)))
	copy(out, a)
	for i := range b {
		out[i] |= b[i]
	}
	return out
}

// acknowledged frees window of a peer.
func (x *exchange) acknowledged(from peer.ID, n int) {
	s := x.sending[from]
	if s == nil {
		return
	}
	s.bytes = max(0, s.bytes-n)
	if s.blocked && s.bytes < sendWindow {
		s.blocked = false
		for _, p := range x.order {
			if p.peers[from] != nil {
				p.dirty = true
			}
		}
	}
}

// chunkSource tells how a chunk came.
type chunkSource struct {
	from  peer.ID
	fetch bool
}

// onChunk verifies a chunk, and keeps it.
func (x *exchange) onChunk(src chunkSource, id stream.PartID, i int, data []byte, now time.Time) {
	p := x.parts[id]
	if p == nil || p.header == nil || i >= len(p.header.Chunks) {
		x.s.refuse(src.from, refusedUnsolicited, fmt.Errorf("chunk %d of part %v", i, id.Position))
		return
	}
	pp := p.peer(src.from)
	if pp == nil || !src.fetch && !pp.everAsked.Get(i) {
		x.s.refuse(src.from, refusedUnsolicited, fmt.Errorf("chunk %d of part %v", i, id.Position))
		return
	}
	if p.have.Get(i) {
		x.s.count(func(c *counters) { c.stats.ChunksDuplicate++ })
		return
	}
	chunk, err := stream.OpenChunk(p.header, i, data)
	if err != nil {
		x.s.refuse(src.from, refusedForged, err)
		x.unask(p, i, true)
		pp.have.Clear(i)
		p.dirty = true
		return
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
	x.heard[src.from] = now
	x.unask(p, i, false)
	p.have.Set(i)
	p.count++
	pp.have.Set(i)
	pp.owesAck = pp.owesAck || !src.fetch
	if p.newsAt.IsZero() {
		p.newsAt = now
	}
	p.dirty = true
}

// unask takes back the want of a chunk, noting whether it was in vain.
func (x *exchange) unask(p *part, i int, failed bool) {
	a := &p.asks[i]
	if a.from == "" {
		return
	}
	if !a.fetch {
		if pp := p.peers[a.from]; pp != nil {
			pp.asked.Clear(i)
		}
		x.wanted[a.from]--
	} else if failed {
		a.fetches++
	}
	if failed && !slices.Contains(a.failed, a.from) {
		a.failed = append(a.failed, a.from)
	}
	a.from, a.fetch = "", false
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

// onGone forgets a peer.
func (x *exchange) onGone(id peer.ID) {
	for _, p := range x.order {
		for i := range p.asks {
			if p.asks[i].from == id && !p.asks[i].fetch {
				x.unask(p, i, true)
			}
		}
		if p.peers[id] != nil {
			delete(p.peers, id)
			p.dirty = true
		}
	}
	delete(x.sending, id)
	delete(x.wanted, id)
	delete(x.heard, id)
}

// onDropped repeats to a peer what a full queue lost.
func (x *exchange) onDropped(id peer.ID, part stream.PartID) {
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

// step decides and sends whatever is due, and returns when to look again at the
// latest.
func (x *exchange) step(now time.Time) time.Duration {
	next := time.Second
	x.expire(now)
	x.schedule(now)
	neighbours := x.s.neighbours()
	wanted := 0
	for _, p := range x.order {
		if p.header == nil {
			continue
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
		if wait := x.flush(p, neighbours[p.id.Rendition], now); wait > 0 {
			next = min(next, wait)
		} else {
			p.dirty = false
		}
	}
	x.s.count(func(c *counters) { c.stats.Wanted = wanted })
	return next
}

// expire drops parts whose time is over, and sent bytes that were never acknowledged.
func (x *exchange) expire(now time.Time) {
	if now.Before(x.expireAt) {
		return
	}
	x.expireAt = now.Add(expireEvery)
	x.order = slices.DeleteFunc(x.order, func(p *part) bool {
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
		if p.missing() {
			lost := int64(len(p.header.Chunks) - p.count)
			x.s.log.Warn("part given up", "part", p.id.Position, "rendition", p.id.Rendition, "chunks", lost)
			x.s.count(func(c *counters) { c.stats.ChunksLost += lost })
			for i := range p.asks {
				x.unask(p, i, false)
			}
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

// schedule sets from whom each missing chunk is wanted.
func (x *exchange) schedule(now time.Time) {
	var ids []peer.ID
	index := make(map[peer.ID]int)
	var peers []schedule.Peer
	see := func(id peer.ID) int {
		i, ok := index[id]
		if !ok {
			i = len(ids)
			index[id] = i
			ids = append(ids, id)
			peers = append(peers, schedule.Peer{Wanted: x.wanted[id], RTT: x.s.rtt(id), Silent: now.Sub(x.heard[id])})
		}
		return i
	}
	type ref struct {
		p *part
		i int
	}
	var refs []ref
	var chunks []schedule.Chunk
	for _, p := range x.order {
		if !p.missing() {
			continue
		}
		for i := range p.asks {
			a := &p.asks[i]
			if p.have.Get(i) || a.fetch {
				continue
			}
			c := schedule.Chunk{Asked: schedule.None}
			for id, pp := range p.peers {
				if pp.have.Get(i) {
					c.Holders = append(c.Holders, see(id))
				}
			}
			if a.from != "" {
				c.Asked, c.Since = see(a.from), now.Sub(a.at)
			}
			if len(c.Holders) == 0 && c.Asked == schedule.None {
				continue
			}
			for _, id := range a.failed {
				if k, ok := index[id]; ok {
					c.Failed = append(c.Failed, k)
				}
			}
			slices.Sort(c.Holders)
			refs = append(refs, ref{p, i})
			chunks = append(chunks, c)
		}
	}
	for k, from := range schedule.Wants(peers, chunks, schedule.DefaultLimits) {
		p, i, before := refs[k].p, refs[k].i, chunks[k].Asked
		if from == before {
			continue
		}
		p.dirty = true
		if before != schedule.None {
			x.unask(p, i, true)
		}
		if from == schedule.None {
			continue
		}
		id := ids[from]
		pp := p.peers[id]
		p.asks[i].from, p.asks[i].at = id, now
		pp.asked.Set(i)
		pp.everAsked.Set(i)
		if x.wanted[id]++; x.wanted[id] == 1 {
			x.heard[id] = now
		}
	}
}

// action is a message to a peer.
type action struct {
	to   peer.ID
	meta []byte
	data []byte
}

// flush sends what neighbours should know of a part, and the chunks they want. It
// returns how long to wait until the rest is due, 0 if there is none.
func (x *exchange) flush(p *part, neighbours []peer.ID, now time.Time) time.Duration {
	for _, id := range neighbours {
		p.peer(id)
	}
	var wait time.Duration
	newsDue := !p.newsAt.IsZero() && (p.complete() || now.Sub(p.newsAt) >= haveDelay)
	if !p.newsAt.IsZero() && !newsDue {
		wait = haveDelay - now.Sub(p.newsAt)
	}
	var actions []action
	for id, pp := range p.peers {
		visible := x.visible(p, id, neighbours, now)
		if x.due(p, pp, visible, newsDue) {
			actions = append(actions, action{to: id, meta: metadata{visible, pp.asked}.marshal()})
			pp.told, pp.toldAsked = visible, pp.asked.Clone()
			pp.owesAck, pp.toldAnything = false, true
		}
		actions = x.send(p, pp, id, now, actions)
	}
	if newsDue {
		p.newsAt = time.Time{}
	}
	if len(actions) > 0 || !p.opened {
		p.opened = true
		x.publish(p, actions)
	}
	return wait
}

// visible returns the chunks that this node shows to a peer: all that it has, unless
// it is the broadcaster.
func (x *exchange) visible(p *part, id peer.ID, neighbours []peer.ID, now time.Time) stream.Bitmap {
	if !p.own {
		return p.have.Clone()
	}
	pos := slices.Index(neighbours, id)
	out := stream.NewBitmap(len(p.header.Chunks))
	for i := range p.header.Chunks {
		turn := i + int(p.id.Part)*3 + int(p.id.Segment%(1<<20))*7
		if pos < 0 && now.Sub(p.born) > time.Second || pos >= 0 && schedule.Reveal(turn, pos, len(neighbours), now.Sub(p.born)) {
			out.Set(i)
		}
	}
	return out
}

// due reports whether a peer should get a message about the part now: wants at once,
// news when they have gathered.
func (x *exchange) due(p *part, pp *partPeer, visible stream.Bitmap, newsDue bool) bool {
	if !pp.asked.Equal(pp.toldAsked) {
		return true
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
	for i := range p.header.Chunks {
		if visible.Get(i) && !pp.told.Get(i) && !pp.have.Get(i) {
			return true
		}
	}
	return false
}

// send adds the chunks that a peer wants, as far as its window allows.
func (x *exchange) send(p *part, pp *partPeer, id peer.ID, now time.Time, actions []action) []action {
	for i := range p.header.Chunks {
		if !pp.want.Get(i) || pp.have.Get(i) || pp.sent.Get(i) || !p.have.Get(i) {
			continue
		}
		out := x.sending[id]
		if out == nil {
			out = &sending{}
			x.sending[id] = out
		}
		if pp.sends >= maxRepeats*len(p.header.Chunks) {
			x.s.count(func(c *counters) { c.unknown++ })
			break
		}
		n := p.header.ChunkLen(i)
		if out.bytes+n > sendWindow {
			out.blocked = true
			break
		}
		data := x.s.node.store.Chunk(p.id, i)
		if data == nil { // the store let go of it
			p.have.Clear(i)
			p.count--
			p.wanted = false
			continue
		}
		actions = append(actions, action{to: id, data: marshalChunk(i, data)})
		pp.sent.Set(i)
		pp.sentAt = now
		pp.sends++
		out.bytes += n
		x.s.count(func(c *counters) {
			c.stats.ChunksSent++
			c.stats.BytesSent += int64(n)
			c.peer(id).BytesOut += int64(n)
		})
	}
	return actions
}

// publish hands messages to pubsub.
func (x *exchange) publish(p *part, actions []action) {
	err := pubsub.PublishPartial(x.s.node.ps, p.topic, p.group,
		func(map[peer.ID]peerState, func(peer.ID) bool) iter.Seq2[peer.ID, partialmessages.PublishAction] {
			return func(yield func(peer.ID, partialmessages.PublishAction) bool) {
				for _, a := range actions {
					if !yield(a.to, partialmessages.PublishAction{EncodedPartialMessage: a.data, EncodedPartsMetadata: a.meta}) {
						return
					}
				}
			}
		})
	if err != nil && x.s.ctx.Err() == nil {
		x.s.log.Warn("cannot publish", "part", p.id.Position, "err", err)
	}
}

// idle reports whether every own part was taken by whoever wants it.
func (x *exchange) idle() bool {
	for _, p := range x.order {
		for _, pp := range p.peers {
			if p.header == nil {
				continue
			}
			if pp.sent.Count() > 0 {
				return false
			}
			for i := range p.header.Chunks {
				if pp.want.Get(i) && p.have.Get(i) && !pp.have.Get(i) {
					return false
				}
			}
		}
	}
	return true
}
