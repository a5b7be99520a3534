package stream

import (
	"bytes"
	"container/list"
	"sync"
)

// DefaultStoreSize is the store's bound in bytes unless told otherwise: nine
// minutes of a 4 Mbit/s stream.
const DefaultStoreSize = 256 << 20

// pastShare is the part of a full store that parts of the past keep: a few segments, so
// that what was fetched for a player that rewound is still there when it comes for it.
const pastShare = 1.0 / 8

// Store is the byte-bounded cache of verified chunks, of all streams of a node.
// When it is full, the part that came first goes out whole: one of the past, as long as
// those have more than an eighth, or else of the others. It is safe for concurrent use.
type Store struct {
	limit   int64
	changed signal

	mu      sync.Mutex // guards all following
	parts   map[PartID]*list.Element
	live    queue
	past    queue
	evicted int64
}

// queue is parts in the order in which they came.
type queue struct {
	order list.List // of *storedPart, oldest first
	bytes int64     // held
	came  int64     // bytes that ever came
	left  int64     // bytes of those that left
}

type storedPart struct {
	header *SignedHeader
	in     *queue
	after  int64    // bytes that came to the queue before it
	chunks [][]byte // nil where missing
	have   Bitmap
	count  int
	bytes  int64
}

// NewStore returns a store bounded to limit bytes; 0 means [DefaultStoreSize].
// The part that is being received is kept even if it alone exceeds the limit.
func NewStore(limit int64) *Store {
	if limit <= 0 {
		limit = DefaultStoreSize
	}
	return &Store{limit: limit, parts: make(map[PartID]*list.Element)}
}

// Put keeps a chunk, and reports whether it was new. Of two different headers for
// one part, the first whose chunk it holds stands.
func (s *Store) Put(c Chunk) bool { return s.putIn(&s.live, c) }

// PutPast is [Store.Put] for a chunk that was fetched because somebody rewound: it makes
// room for itself among its like before it takes any from other parts.
func (s *Store) PutPast(c Chunk) bool { return s.putIn(&s.past, c) }

func (s *Store) putIn(q *queue, c Chunk) bool {
	added, whole := s.put(q, c)
	if whole {
		s.changed.fire()
	}
	return added
}

func (s *Store) put(q *queue, c Chunk) (added, whole bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := c.header.ID()
	e := s.parts[id]
	if e == nil {
		n := len(c.header.Chunks)
		e = q.order.PushBack(&storedPart{header: c.header, in: q, after: q.came, chunks: make([][]byte, n), have: NewBitmap(n)})
		s.parts[id] = e
	}
	p := e.Value.(*storedPart)
	if p.header != c.header && !bytes.Equal(p.header.raw, c.header.raw) || p.have.Get(c.index) {
		return false, false
	}
	p.chunks[c.index] = c.data
	p.have.Set(c.index)
	p.count++
	p.bytes += int64(len(c.data))
	p.in.bytes += int64(len(c.data))
	p.in.came += int64(len(c.data))
	for s.live.bytes+s.past.bytes > s.limit && len(s.parts) > 1 {
		s.evicted += s.removeLocked(s.oldestLocked(e))
	}
	return true, p.count == len(p.chunks)
}

// oldestLocked returns the part to let go of, of several, but not the one that is being
// received.
func (s *Store) oldestLocked(but *list.Element) *list.Element {
	first, second := &s.live, &s.past
	if float64(s.past.bytes) > pastShare*float64(s.limit) {
		first, second = second, first
	}
	for _, q := range []*queue{first, second} {
		e := q.order.Front()
		if e == but {
			e = e.Next()
		}
		if e != nil {
			return e
		}
	}
	return nil // there are several
}

// removeLocked forgets a part, and returns its bytes.
func (s *Store) removeLocked(e *list.Element) int64 {
	p := e.Value.(*storedPart)
	p.in.order.Remove(e)
	delete(s.parts, p.header.ID())
	p.in.bytes -= p.bytes
	p.in.left += p.bytes
	return p.bytes
}

// Have returns which chunks of a part the store holds; nil for none.
func (s *Store) Have(id PartID) Bitmap {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.parts[id]; e != nil {
		return e.Value.(*storedPart).have.Clone()
	}
	return nil
}

// Chunk returns chunk i of a part, or nil. The bytes must not be changed.
func (s *Store) Chunk(id PartID, i int) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.parts[id]; e != nil {
		if p := e.Value.(*storedPart); i >= 0 && i < len(p.chunks) {
			return p.chunks[i]
		}
	}
	return nil
}

// Part returns all chunks of a part in order, or nil unless the store holds them
// all. The bytes must not be changed; they stay valid after the store lets go.
func (s *Store) Part(id PartID) [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.parts[id]; e != nil {
		if p := e.Value.(*storedPart); p.count == len(p.chunks) {
			return append([][]byte(nil), p.chunks...)
		}
	}
	return nil
}

// Whole reports whether the store holds all chunks of a part.
func (s *Store) Whole(id PartID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.parts[id]
	return e != nil && e.Value.(*storedPart).count == len(e.Value.(*storedPart).chunks)
}

// Lasting reports whether the store holds all chunks of some parts and, as far as can be
// told, will still when room further bytes have come. Parts of the past do not last in a
// full store.
func (s *Store) Lasting(headers []*SignedHeader, room int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	leaving := s.live.bytes + s.past.bytes + room - s.limit
	for _, h := range headers {
		e := s.parts[h.ID()]
		if e == nil {
			return false
		}
		p := e.Value.(*storedPart)
		if p.count < len(p.chunks) || leaving > 0 && (p.in == &s.past || p.after-p.in.left < leaving) {
			return false
		}
	}
	return true
}

// Drop forgets all parts of a stream.
func (s *Store) Drop(stream ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range []*queue{&s.live, &s.past} {
		for e := q.order.Front(); e != nil; {
			next := e.Next()
			if e.Value.(*storedPart).header.Stream == stream {
				s.removeLocked(e)
			}
			e = next
		}
	}
}

// Changed returns a channel that is closed when the next part becomes whole.
// Take it before looking, so that no change falls in between.
func (s *Store) Changed() <-chan struct{} { return s.changed.wait() }

// StoreStats are a store's figures in bytes.
type StoreStats struct {
	Bytes   int64 // held now
	Limit   int64 // the bound
	Evicted int64 // let go since the start to stay within the bound
}

// Stats returns the store's figures.
func (s *Store) Stats() StoreStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return StoreStats{s.live.bytes + s.past.bytes, s.limit, s.evicted}
}
