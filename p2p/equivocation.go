package p2p

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/p2p/schedule"
	"github.com/grapevine-live/grapevine/stream"
)

// A broadcaster that signs two headers for one part, or somebody else who has its key, can
// show different pictures to different viewers. Nobody can keep it from that, but it must not
// set nodes against each other: the chunks of one header are forgeries to who has the other.
// So a second header is passed on once, as evidence, and its part's chunks are nobody's fault. Which
// of the two counts is decided by what is served: the first chunk that is as one of them says, whether
// it comes before that header or after it. A chunk that is as none says waits for one that does, and
// until then its sender goes on as a parent. Who has nothing of the header that came first after a
// moment seeks the second's: others may have that one.

const (
	// accuseAfter is how long a chunk that is not as its header says waits for such evidence,
	// until its sender is blamed: a header is everywhere in less.
	accuseAfter = 500 * time.Millisecond
	// maxAccused bounds the chunks that wait; others are blamed for at once.
	maxAccused = 1024
	// maxHeld bounds the bytes of them that are kept, and maxHeldPeer those of one peer.
	maxHeld     = 2 << 20
	maxHeldPeer = maxHeld / 4
	// rivalAfter is how long a first header has until some of it is here.
	rivalAfter = 300 * time.Millisecond
	// maxDisputed bounds the parts that are known to have two headers.
	maxDisputed = 1024
)

// accusation is of a peer that sent a chunk which is not as its header says.
type accusation struct {
	from    peer.ID
	part    stream.PartID
	chunk   chunkMessage // without its data if too many wait
	fetched bool
	reason  string
	err     error
	at      time.Time
}

// accuse notes that a peer sent a chunk that is not as its header says.
func (e *exchange) accuse(a accusation, now time.Time) {
	a.at = now
	if len(e.accused) >= maxAccused {
		e.blame(a, now)
		return
	}
	total, of := 0, 0
	for _, o := range e.accused {
		total += len(o.chunk.data)
		if o.from == a.from {
			of += len(o.chunk.data)
		}
	}
	if size := len(a.chunk.data); total+size > maxHeld || of+size > maxHeldPeer {
		a.chunk.data = nil
	}
	e.accused = append(e.accused, a)
}

// judge blames the peers for whom no evidence came, and returns when to look again.
func (e *exchange) judge(now time.Time) time.Duration {
	for len(e.accused) > 0 {
		a := e.accused[0]
		if wait := a.at.Add(accuseAfter).Sub(now); wait > 0 {
			return wait
		}
		e.accused = e.accused[1:]
		e.blame(a, now)
	}
	return refreshEvery
}

// onRival notes a second header for a part.
func (e *exchange) onRival(h *stream.SignedHeader, now time.Time) {
	f := e.flow(h.Rendition)
	if f == nil || f.headers[h.Position] == nil {
		return
	}
	first := f.headers[h.Position]
	first.rival = h
	f.x.Disputed(h.Position)
	var held []accusation
	e.accused = slices.DeleteFunc(e.accused, func(a accusation) bool {
		if a.part != h.ID() || !fits(h, a.chunk) {
			return false
		}
		held = append(held, a)
		return true
	})
	if len(held) > 0 && e.turn(f, h.Position, now) {
		for _, a := range held {
			_ = e.onChunk(a.from, a.part, a.chunk, a.fetched, now)
		}
		return
	}
	if len(e.rivals) < maxDisputed {
		e.rivals = append(e.rivals, rival{h.ID(), first.since.Add(rivalAfter)})
	}
}

// fits reports whether a chunk is as a header says.
func fits(h *stream.SignedHeader, c chunkMessage) bool {
	_, err := stream.OpenChunk(h, c.index, c.data)
	return err == nil
}

// rival is of a part with two headers, and when to choose.
type rival struct {
	part stream.PartID
	at   time.Time
}

// choose takes second headers where nothing of the first is here, and returns when to look again.
func (e *exchange) choose(now time.Time) time.Duration {
	for len(e.rivals) > 0 {
		r := e.rivals[0]
		if wait := r.at.Sub(now); wait > 0 {
			return wait
		}
		e.rivals = e.rivals[1:]
		if f := e.flow(r.part.Rendition); f != nil {
			e.turn(f, r.part.Position, now)
		}
	}
	return refreshEvery
}

// turn takes a part's other header if nothing of the one that counts is here, and reports whether
// it did.
func (e *exchange) turn(f *flow, pos stream.Position, now time.Time) bool {
	old := f.headers[pos]
	if old == nil || old.rival == nil {
		return false
	}
	h := old.rival
	part := schedule.Part{
		Position: h.Position,
		Size:     h.Size, ChunkSize: h.ChunkSize, Chunks: len(h.Chunks),
		Duration: h.Duration,
		Wanted:   e.s.repair.wants(h, old.late, now),
	}
	if !f.x.Replace(part, now) {
		return false
	}
	e.s.timeline(h.Rendition).Replace(h)
	f.headers[pos] = &exchanged{h, old.late, now, old.header}
	return true
}

// turnFor is turn if a chunk that is not as the header says that counts is as the other one says.
func (e *exchange) turnFor(f *flow, pos stream.Position, c chunkMessage, now time.Time) bool {
	p := f.headers[pos]
	return p != nil && p.rival != nil && fits(p.rival, c) && e.turn(f, pos, now)
}

func (e *exchange) blame(a accusation, now time.Time) {
	if e.s.disputed(a.part) {
		e.s.count(func(c *counters) { c.stats.ChunksRefused++ })
		return
	}
	e.s.refuse(a.from, a.reason, a.err)
	if f := e.flow(a.part.Rendition); f != nil && a.reason == refusedForged {
		f.x.Blame(e.number(a.from), a.part.Position, a.chunk.index, now)
	}
}

// disputes are the parts of which two headers were signed.
type disputes struct {
	parts  map[stream.PartID]struct{}
	oldest []stream.PartID // in the order in which they came
}

// dispute notes that there is a second header for a part, and reports whether that is news.
func (s *Swarm) dispute(h *stream.SignedHeader) bool {
	id := h.ID()
	s.mu.Lock()
	d := &s.disputes
	if _, known := d.parts[id]; known {
		s.mu.Unlock()
		return false
	}
	if d.parts == nil {
		d.parts = make(map[stream.PartID]struct{})
	}
	if len(d.oldest) >= maxDisputed {
		delete(d.parts, d.oldest[0])
		d.oldest = d.oldest[1:]
	}
	d.parts[id] = struct{}{}
	d.oldest = append(d.oldest, id)
	s.counters.stats.Equivocations++
	first := s.counters.stats.Equivocations == 1
	s.mu.Unlock()
	s.note(func(now time.Time) { s.exchange.onRival(h, now) })
	if first {
		s.log.Warn("two headers were signed for one part: viewers may see different pictures, and whoever has the stream's key does that", "part", id.Position)
	}
	return true
}

// disputed reports whether two headers are known for a part.
func (s *Swarm) disputed(id stream.PartID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.disputes.parts[id]
	return ok
}
