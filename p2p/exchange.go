package p2p

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/p2p/schedule"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	// exchangeTTL is how long after it was first heard of a part is exchanged by
	// partial messages, and thereby also how late a chunk may come: who lacks it
	// longer than that has shown a hole. Later requests go by the fetch protocol.
	exchangeTTL = 30 * time.Second
	// maxEarly bounds the bytes that parents push before their headers arrive, for which
	// nothing vouches yet.
	// One of them may fill a part of it only.
	maxEarly     = 2 << 20
	maxEarlyPeer = maxEarly / 4
	// maxNeighbours is how many connected peers that hold a rendition a node tells of its
	// chunks: gossipsub's mesh, and others up to that number.
	maxNeighbours = 14
	// refreshEvery is how often round trips are measured and neighbours are chosen.
	refreshEvery = time.Second
	// queueRest is how long a peer whose queue was full has until what it lost is repeated:
	// at once it would be lost again.
	queueRest = 200 * time.Millisecond
	// leaveGrace is how long after this node left a rendition honest peers may still send
	// chunks of it, though it carries it again: they were promised by what they know.
	leaveGrace = 5 * time.Second
)

// exchange moves chunks between this node and its neighbours by partial messages: it
// gives peers numbers, chunks a place and messages their form for [schedule.Exchange],
// which decides. It belongs to its swarm's loop.
type exchange struct {
	s          *Swarm
	flows      []*flow
	numbers    map[peer.ID]schedule.Peer
	challenged map[peer.ID]struct{} // of whom it is found out whether they hear
	ids        map[schedule.Peer]peer.ID
	last       schedule.Peer // number dealt out
	refreshAt  time.Time
	dropped    map[loss]struct{} // by full queues, to be repeated
	repeatAt   time.Time
	left       map[string]time.Time // renditions, last
	ended      schedule.Stats       // what the exchanges of those counted
	accused    []accusation         // the oldest first
	rivals     []rival              // likewise
}

// loss is a message about a part that did not go out.
type loss struct {
	to   peer.ID
	part stream.PartID
}

// flow is the exchange of one rendition.
type flow struct {
	rendition string
	topic     string
	x         *schedule.Exchange
	headers   map[stream.Position]*exchanged
	early     map[stream.Position][]earlyChunk
	earlySize int
	opened    []stream.Position // to be made known to pubsub
	encoded   encoded           // what was sent last
}

// exchanged is a part that is exchanged.
type exchanged struct {
	header *stream.SignedHeader // that counts
	late   bool                 // it came by fetch
	since  time.Time            // when it came
	rival  *stream.SignedHeader // another one for the same part; nil for none
}

// earlyChunk is a chunk that cannot be verified yet.
type earlyChunk struct {
	from peer.ID
	chunkMessage
}

func newExchange(s *Swarm) *exchange {
	return &exchange{s: s, numbers: make(map[peer.ID]schedule.Peer), ids: make(map[schedule.Peer]peer.ID), challenged: make(map[peer.ID]struct{}), dropped: make(map[loss]struct{}), left: make(map[string]time.Time)}
}

// flow returns the exchange of a rendition, nil unless it is carried.
func (e *exchange) flow(rendition string) *flow {
	for _, f := range e.flows {
		if f.rendition == rendition {
			return f
		}
	}
	return nil
}

// open begins the exchange of a rendition.
func (e *exchange) open(rendition string) {
	if e.flow(rendition) != nil {
		return
	}
	e.flows = append(e.flows, &flow{
		rendition: rendition,
		topic:     chunksTopic(e.s.id, rendition),
		x: schedule.New(schedule.Config{
			Source: e.s.publishing(),
			Uplink: budget{e.s.node.uplink},
			Seed:   rand.Uint64(),
			TTL:    exchangeTTL,
		}),
		headers: make(map[stream.Position]*exchanged),
		early:   make(map[stream.Position][]earlyChunk),
	})
	e.refreshAt = time.Time{}
}

// leave ends the exchange of a rendition, and tells its neighbours.
func (e *exchange) leave(rendition string, now time.Time) {
	if f := e.flow(rendition); f != nil {
		e.publish(f, f.x.Farewell())
		e.left[rendition] = now
		addCounts(&e.ended, f.x.Stats())
		e.flows = slices.DeleteFunc(e.flows, func(o *flow) bool { return o == f })
		e.refreshAt = time.Time{}
	}
}

// budget is the node's uplink as the schedule sees it.
type budget struct{ u *uplink }

func (b budget) Take(n int, now time.Time) time.Duration { return b.u.take(n, now) }
func (b budget) Rate() int                               { return b.u.rate() }

// number returns a peer's number.
func (e *exchange) number(id peer.ID) schedule.Peer {
	n, ok := e.numbers[id]
	if !ok {
		e.last++
		n = e.last
		e.numbers[id], e.ids[n] = n, id
	}
	return n
}

// idsOf returns the peers of numbers.
func (e *exchange) idsOf(numbers []schedule.Peer) (out []peer.ID) {
	for _, n := range numbers {
		if id, ok := e.ids[n]; ok {
			out = append(out, id)
		}
	}
	return out
}

// known returns the number of a peer that speaks of a rendition, known to its flow.
func (e *exchange) known(f *flow, id peer.ID) schedule.Peer {
	n, ok := e.numbers[id]
	if !ok || !f.x.Knows(n) {
		n = e.number(id)
		f.x.Neighbour(n, false, e.s.node.rtt(id))
		e.refreshAt = time.Time{}
	}
	return n
}

// onHeader gives a part its header.
func (e *exchange) onHeader(h *stream.SignedHeader, wanted, late, own bool, now time.Time) {
	if h.End || !wanted && !own {
		return // what is past is served by the fetch protocol
	}
	f := e.flow(h.Rendition)
	if f == nil {
		return
	}
	part := schedule.Part{
		Position: h.Position,
		Size:     h.Size, ChunkSize: h.ChunkSize, Chunks: len(h.Chunks),
		Duration: h.Duration,
		Have:     e.s.node.store.Have(h.ID()),
		Own:      own, Wanted: wanted, Late: late,
	}
	if f.headers[h.Position] != nil || !f.x.Header(part, now) {
		return
	}
	f.headers[h.Position] = &exchanged{header: h, late: late, since: now}
	f.opened = append(f.opened, h.Position)
	early := f.early[h.Position]
	f.forgetEarly(h.Position)
	for _, c := range early {
		_ = e.onChunk(c.from, h.ID(), c.chunkMessage, false, now)
	}
}

// earlyOf returns the bytes that a peer sent before their headers.
func (f *flow) earlyOf(id peer.ID) (size int) {
	for _, chunks := range f.early {
		for _, c := range chunks {
			if c.from == id {
				size += len(c.data)
			}
		}
	}
	return size
}

func (f *flow) forgetEarly(pos stream.Position) {
	for _, c := range f.early[pos] {
		f.earlySize -= len(c.data)
	}
	delete(f.early, pos)
}

// onMetadata takes what a peer says that it has and wants.
func (e *exchange) onMetadata(from peer.ID, id stream.PartID, m schedule.Metadata, now time.Time) {
	if f := e.flow(id.Rendition); f != nil {
		f.x.Metadata(e.known(f, from), id.Position, m, now)
	}
}

// onChunk verifies a chunk, and keeps it. It returns why it refused it, if it did.
func (e *exchange) onChunk(from peer.ID, id stream.PartID, c chunkMessage, fetched bool, now time.Time) error {
	f := e.flow(id.Rendition)
	if f == nil { // under way when this node left the rendition
		e.s.count(func(k *counters) { k.stats.ChunksLate++ })
		return nil
	}
	n := e.number(from)
	switch f.x.Admit(n, id.Position, c.index, fetched, now) {
	case schedule.Duplicate:
		e.s.count(func(k *counters) { k.stats.ChunksDuplicate++ })
		// Who forges is found though others are faster.
		known := e.s.node.store.ChunkInMemory(id, c.index)
		if known != nil && !bytes.Equal(known, c.data) {
			err := fmt.Errorf("%w: chunk %d of part %v is there with other bytes", stream.ErrBadChunk, c.index, id.Position)
			f.x.Forged(n, id.Position, c.index, now)
			e.accuse(accusation{from: from, part: id, chunk: c, fetched: fetched, reason: refusedForged, err: err}, now)
			return err
		} else if known != nil {
			f.x.Delivered(n, now)
		}
		return nil
	case schedule.Late:
		e.s.count(func(k *counters) { k.stats.ChunksLate++ })
		return nil
	case schedule.Unserved:
		e.s.count(func(k *counters) { k.unknown++ })
		return nil
	case schedule.Unsolicited:
		if now.Sub(e.left[id.Rendition]) < leaveGrace {
			e.s.count(func(k *counters) { k.stats.ChunksLate++ })
			return nil
		}
		if e.turnFor(f, id.Position, c, now) { // the other header may have more chunks
			return e.onChunk(from, id, c, fetched, now)
		}
		err := fmt.Errorf("%w: chunk %d of part %v was not asked for", errWire, c.index, id.Position)
		e.accuse(accusation{from: from, part: id, chunk: c, fetched: fetched, reason: refusedUnsolicited, err: err}, now)
		return err
	case schedule.Early:
		if f.earlySize+len(c.data) > maxEarly || f.earlyOf(from)+len(c.data) > maxEarlyPeer {
			e.s.count(func(k *counters) { k.stats.ChunksLate++ })
			return nil
		}
		f.early[id.Position] = append(f.early[id.Position], earlyChunk{from, c})
		f.earlySize += len(c.data)
		e.s.repair.revived(now)
		return nil
	}
	h := f.headers[id.Position].header
	chunk, err := stream.OpenChunk(h, c.index, c.data)
	if err != nil && e.turnFor(f, id.Position, c, now) {
		return e.onChunk(from, id, c, fetched, now)
	} else if err != nil {
		f.x.Forged(n, id.Position, c.index, now)
		e.accuse(accusation{from: from, part: id, chunk: c, fetched: fetched, reason: refusedForged, err: err}, now)
		return err
	}
	e.s.node.store.Put(chunk)
	e.s.count(func(k *counters) {
		k.stats.ChunksReceived++
		k.stats.BytesReceived += int64(len(c.data))
		if f.x.Broadcasts(n) {
			k.stats.BytesFromBroadcaster += int64(len(c.data))
		}
		if fetched {
			k.stats.ChunksFetched++
		}
		k.peer(from).BytesIn += int64(len(c.data))
	})
	if o := e.s.node.cfg.Observer; o != nil {
		o.ChunkReceived(h, c.index)
	}
	f.x.Got(n, id.Position, c.index, c.age, fetched, now)
	return nil
}

// onOriginChunk keeps a verified chunk that came from an origin.
func (e *exchange) onOriginChunk(c stream.Chunk, now time.Time) {
	h := c.Header()
	f := e.flow(h.Rendition)
	if f == nil || f.x.Admit(schedule.Origin, h.Position, c.Index(), true, now) != schedule.Accept {
		e.s.count(func(k *counters) { k.stats.OriginInVain++ })
		return
	}
	e.s.node.store.Put(c)
	e.s.count(func(k *counters) { k.stats.OriginChunks++ })
	if o := e.s.node.cfg.Observer; o != nil {
		o.ChunkReceived(h, c.Index())
	}
	f.x.Got(schedule.Origin, h.Position, c.Index(), schedule.AgeUnknown, true, now)
}

// onGossip tells peers outside the mesh of a part, if this node has some of it.
func (e *exchange) onGossip(id stream.PartID, peers []peer.ID) {
	f := e.flow(id.Rendition)
	if f == nil {
		return
	}
	for _, to := range peers {
		f.x.Gossip(e.known(f, to), id.Position)
	}
}

// onNeighbour has neighbours chosen anew, as the mesh changed.
func (e *exchange) onNeighbour() { e.refreshAt = time.Time{} }

// onGone forgets a peer.
func (e *exchange) onGone(id peer.ID, now time.Time) {
	n, ok := e.numbers[id]
	if !ok {
		return
	}
	for _, f := range e.flows {
		f.x.Gone(n, now)
		f.dropEarly(id)
	}
	delete(e.numbers, id)
	delete(e.ids, n)
	e.refreshAt = time.Time{}
}

// dropEarly forgets what a peer sent before the headers.
func (f *flow) dropEarly(from peer.ID) {
	for pos, chunks := range f.early {
		f.early[pos] = slices.DeleteFunc(chunks, func(c earlyChunk) bool {
			if c.from == from {
				f.earlySize -= len(c.data)
			}
			return c.from == from
		})
	}
}

// onDropped has repeated to a peer what a full queue lost, when the queue had time to
// drain.
func (e *exchange) onDropped(id peer.ID, part stream.PartID, now time.Time) {
	if len(e.dropped) == 0 {
		e.repeatAt = now.Add(queueRest)
	}
	e.dropped[loss{id, part}] = struct{}{}
}

// repeat tells the schedule what full queues lost.
func (e *exchange) repeat(now time.Time) {
	for l := range e.dropped {
		n, ok := e.numbers[l.to]
		if f := e.flow(l.part.Rendition); f != nil && ok {
			f.x.Dropped(n, l.part.Position, now)
		}
	}
	clear(e.dropped)
}

// step decides and sends whatever is due, and returns when to look again at the
// latest.
func (e *exchange) step(now time.Time) time.Duration {
	if !now.Before(e.refreshAt) {
		e.refreshAt = now.Add(refreshEvery)
		e.refresh(now)
	}
	next := e.refreshAt.Sub(now)
	if len(e.dropped) > 0 {
		if !now.Before(e.repeatAt) {
			e.repeat(now)
		} else {
			next = min(next, e.repeatAt.Sub(now))
		}
	}
	for _, f := range e.flows {
		actions, wait := f.x.Step(now)
		next = min(next, wait)
		e.publish(f, actions)
		for _, suspect := range f.x.Suspects() {
			if id, ok := e.ids[suspect.Peer]; ok {
				e.onSuspect(id, suspect.Of)
			}
		}
	}
	return min(next, e.judge(now), e.choose(now))
}

// onSuspect looks into a peer that does not do what it said.
func (e *exchange) onSuspect(id peer.ID, of schedule.Suspicion) {
	switch of {
	case schedule.Forges:
		e.s.cutOff(id, Forged)
	case schedule.Untaken:
		e.s.node.onUntaken(id)
	default:
		e.challenge(id, of)
	}
}

// refresh chooses the neighbours, measures their round trips, and forgets the headers
// of what is exchanged no more.
func (e *exchange) refresh(now time.Time) {
	wanted, swarms := 0, len(e.s.node.Swarms())
	others := e.s.node.promised() - int(e.s.promised.Load()) // by other streams
	for _, f := range e.flows {
		f.x.Reserve(others + e.promised() - f.x.Promised())
		f.x.Download(e.s.node.allows().Download / max(1, len(e.flows)*swarms))
		mesh, holders := e.s.neighbours(f.rendition)
		// Who is fed by nobody needs this node more than others do: it may know no other. Once it
		// is, promises are kept whether it is listed or not, and there is room for the next.
		slices.SortStableFunc(holders, func(a, b peer.ID) int { return e.needy(f, b) - e.needy(f, a) })
		listed := make(map[peer.ID]bool)
		for k, id := range slices.Concat(mesh, holders) {
			if e.s.node.host.Network().Connectedness(id) == network.NotConnected {
				continue // it is gone, and this list does not know yet
			}
			if e.s.node.isCutOff(id) {
				continue // nothing of it is read
			}
			listed[id] = true
			f.x.Neighbour(e.number(id), k < max(len(mesh), maxNeighbours), e.s.node.rtt(id))
		}
		for id, n := range e.numbers {
			if !listed[id] && f.x.Knows(n) {
				f.x.Neighbour(n, false, 0) // it left the rendition
			}
		}
		for pos := range f.headers {
			if !f.x.Known(pos) {
				delete(f.headers, pos)
				continue
			}
			wanted += f.x.Missing(pos)
		}
		for pos := range f.early {
			if f.headers[pos] == nil && !f.x.Expects(pos) {
				f.forgetEarly(pos)
			}
		}
	}
	e.s.promised.Store(int64(e.promised()))
	sum, supply := e.ended, 0.0
	feeders := make(map[schedule.Peer]struct{})
	for _, f := range e.flows {
		for _, n := range f.x.Parents() {
			if n != schedule.None {
				feeders[n] = struct{}{}
			}
		}
		s := f.x.Stats()
		sum.Feeding += s.Feeding
		sum.Slots += s.Slots
		sum.Fed += s.Fed
		addCounts(&sum, s)
		if s.Hungry > 0 {
			if here := float64(s.Upload) / float64(schedule.Stripes*s.Hungry); supply == 0 || here < supply {
				supply = here
			}
		}
	}
	e.s.count(func(c *counters) {
		c.stats.Wanted = wanted
		c.stats.Children, c.stats.Slots, c.stats.Parents = sum.Feeding, sum.Slots, sum.Fed
		c.stats.Feeders = len(feeders)
		c.stats.WantsExpired, c.stats.ChunksOverdue, c.stats.PromisesRevoked = sum.Expired, sum.Overdue, sum.Revoked
		c.stats.ChunksLost = sum.Lost
		c.stats.Supply = supply
	})
}

// addCounts adds what was counted since the start of an exchange.
func addCounts(sum *schedule.Stats, s schedule.Stats) {
	sum.Expired += s.Expired
	sum.Overdue += s.Overdue
	sum.Revoked += s.Revoked
	sum.Lost += s.Lost
}

// needy returns how many stripes of a rendition nobody sends to a peer, as it says itself.
func (e *exchange) needy(f *flow, id peer.ID) int {
	if n, ok := e.numbers[id]; ok {
		return f.x.Needs(n)
	}
	return 0
}

// quiet returns the peers that once spoke of the stream's parts, or were neighbours, and
// speak of none now.
func (e *exchange) quiet(now time.Time) (ids []peer.ID) {
	for id, n := range e.numbers {
		if !slices.ContainsFunc(e.flows, func(f *flow) bool { return !f.x.Quiet(n, now) }) {
			ids = append(ids, id)
		}
	}
	return ids
}

// giveUpOld gives up what is too old to be played: it was the newest of what was
// fetched after a long silence, when it came.
func (e *exchange) giveUpOld(f *flow) {
	for pos, p := range f.headers {
		if p.late && f.x.Missing(pos) > 0 && e.s.repair.old(p.header) {
			f.x.GiveUp(pos)
		}
	}
}

// promised returns the bits per second promised to children.
func (e *exchange) promised() (bits int) {
	for _, f := range e.flows {
		bits += f.x.Promised()
	}
	return bits
}

// farewell tells neighbours that this node leaves, and reports whether it had to.
func (e *exchange) farewell() bool {
	said := false
	for _, f := range e.flows {
		actions := f.x.Farewell()
		e.publish(f, actions)
		said = said || len(actions) > 0
	}
	return said
}

// idle reports whether every chunk was taken by whoever wants it.
func (e *exchange) idle() bool {
	for _, f := range e.flows {
		if !f.x.Idle() {
			return false
		}
	}
	return true
}
