package p2p

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/p2p/schedule"
	"github.com/grapevine-live/grapevine/stream"
)

// A broadcaster that signs two headers for one part, or somebody else who has its key, can
// show different pictures to different viewers. Nobody can keep it from that, but it must not
// set nodes against each other: the chunks of one header are forgeries to who has the other.
// So a second header is passed on once, as evidence, and its part's chunks are nobody's fault. Who
// has nothing of the header that came first takes the second: others may have that one.

const (
	// accuseAfter is how long a chunk that is not as its header says waits for such evidence,
	// until its sender is blamed: a header is everywhere in less.
	accuseAfter = 500 * time.Millisecond
	// maxAccused bounds the chunks that wait; others are blamed for at once.
	maxAccused = 1024
	// rivalAfter is how long a first header has until some of it is here.
	rivalAfter = 300 * time.Millisecond
	// maxDisputed bounds the parts that are known to have two headers.
	maxDisputed = 1024
)

// accusation is of a peer that sent a chunk which is not as its header says.
type accusation struct {
	from   peer.ID
	part   stream.PartID
	reason string
	err    error
	at     time.Time
}

// accuse notes that a peer sent a chunk that is not as its header says.
func (e *exchange) accuse(from peer.ID, id stream.PartID, reason string, err error, now time.Time) {
	a := accusation{from, id, reason, err, now}
	if len(e.accused) >= maxAccused {
		e.blame(a, now)
		return
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
	if f == nil || f.headers[h.Position] == nil || len(e.rivals) >= maxDisputed {
		return
	}
	r := rival{h, f.headers[h.Position].since.Add(rivalAfter)}
	if !now.Before(r.at) {
		e.take(r.header, now) // before its chunks come
		return
	}
	e.rivals = append(e.rivals, r)
}

// rival is a second header for a part, and when to choose.
type rival struct {
	header *stream.SignedHeader
	at     time.Time
}

// choose takes second headers where nothing of the first is here, and returns when to look again.
func (e *exchange) choose(now time.Time) time.Duration {
	for len(e.rivals) > 0 {
		r := e.rivals[0]
		if wait := r.at.Sub(now); wait > 0 {
			return wait
		}
		e.rivals = e.rivals[1:]
		e.take(r.header, now)
	}
	return refreshEvery
}

// take takes a second header if nothing of the first is here.
func (e *exchange) take(h *stream.SignedHeader, now time.Time) {
	f := e.flow(h.Rendition)
	if f == nil || f.headers[h.Position] == nil {
		return
	}
	old := f.headers[h.Position]
	part := schedule.Part{
		Position: h.Position,
		Size:     h.Size, ChunkSize: h.ChunkSize, Chunks: len(h.Chunks),
		Duration: h.Duration,
		Wanted:   e.s.repair.wants(h, old.late, now),
	}
	if f.x.Replace(part, now) {
		e.s.timeline(h.Rendition).Replace(h)
		f.headers[h.Position] = &exchanged{h, old.late, now}
	}
}

func (e *exchange) blame(a accusation, now time.Time) {
	if e.s.disputed(a.part) {
		e.s.count(func(c *counters) { c.stats.ChunksRefused++ })
		return
	}
	e.s.refuse(a.from, a.reason, a.err)
	if f := e.flow(a.part.Rendition); f != nil && a.reason == refusedForged {
		f.x.Blame(e.number(a.from), now)
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
