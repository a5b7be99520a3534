package stream

import (
	"bytes"
	"container/list"
	"sync"
)

// DefaultStoreSize is the store's bound in bytes unless told otherwise: nine
// minutes of a 4 Mbit/s stream.
const DefaultStoreSize = 256 << 20

// Store is the byte-bounded cache of verified chunks, of all streams of a node.
// When it is full, the part that came first goes out whole. It is safe for
// concurrent use.
type Store struct {
	limit   int64
	changed signal

	mu      sync.Mutex // guards all following
	parts   map[PartID]*list.Element
	order   list.List // of *storedPart, oldest first
	bytes   int64
	evicted int64
}

type storedPart struct {
	header *SignedHeader
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
func (s *Store) Put(c Chunk) bool {
	added, whole := s.put(c)
	if whole {
		s.changed.fire()
	}
	return added
}

func (s *Store) put(c Chunk) (added, whole bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := c.header.ID()
	e := s.parts[id]
	if e == nil {
		n := len(c.header.Chunks)
		e = s.order.PushBack(&storedPart{header: c.header, chunks: make([][]byte, n), have: NewBitmap(n)})
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
	s.bytes += int64(len(c.data))
	for s.bytes > s.limit && s.order.Len() > 1 {
		oldest := s.order.Front()
		if oldest == e {
			oldest = oldest.Next()
		}
		s.evicted += s.removeLocked(oldest)
	}
	return true, p.count == len(p.chunks)
}

// removeLocked forgets a part, and returns its bytes.
func (s *Store) removeLocked(e *list.Element) int64 {
	p := s.order.Remove(e).(*storedPart)
	delete(s.parts, p.header.ID())
	s.bytes -= p.bytes
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

// Drop forgets all parts of a stream.
func (s *Store) Drop(stream ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := s.order.Front(); e != nil; {
		next := e.Next()
		if e.Value.(*storedPart).header.Stream == stream {
			s.removeLocked(e)
		}
		e = next
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
	return StoreStats{s.bytes, s.limit, s.evicted}
}
