package stream

import (
	"bytes"
	"container/list"
	"slices"
	"sync"
)

// DefaultStoreSize is the store's bound in bytes unless told otherwise: nine
// minutes of a 4 Mbit/s stream.
const DefaultStoreSize = 256 << 20

// pastShare is the part of a full store that parts of the past keep: a few segments, so
// that what was fetched for a player that rewound is still there when it comes for it.
const pastShare = 1.0 / 8

// Store is the byte-bounded cache of verified chunks, of all streams of a node, in memory
// and, with [Store.KeepOn], on a disk behind it.
// When it is full, the part that came first goes out whole: one of the past, as long as
// those have more than an eighth, or else of the others. It is safe for concurrent use.
type Store struct {
	limit   int64
	disk    Disk // nil for none; never called with mu held
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
	if added && s.disk != nil {
		s.disk.Mend(c)
	}
	if whole != nil {
		s.keep(c.header, whole)
		s.changed.fire()
	}
	return added
}

// put returns the chunks of the part if it became whole.
func (s *Store) put(q *queue, c Chunk) (added bool, whole [][]byte) {
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
		return false, nil
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
	if p.count < len(p.chunks) {
		return true, nil
	}
	return true, append([][]byte(nil), p.chunks...)
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
	have, disk := s.inMemory(id), s.onDisk(id)
	if have == nil {
		return disk
	}
	for i := range min(len(have), len(disk)) {
		have[i] |= disk[i]
	}
	return have
}

// inMemory returns which chunks of a part are in memory; nil for none.
func (s *Store) inMemory(id PartID) Bitmap {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.parts[id]; e != nil {
		return e.Value.(*storedPart).have.Clone()
	}
	return nil
}

// Chunk returns chunk i of a part, or nil. The bytes must not be changed. What is not in
// memory is read from disk, for which it waits.
func (s *Store) Chunk(id PartID, i int) []byte {
	if data := s.ChunkInMemory(id, i); data != nil || s.disk == nil || i < 0 || i >= MaxChunks {
		return data
	}
	want := NewBitmap(i + 1)
	want.Set(i)
	if chunks := s.fromDisk(id, want); i < len(chunks) {
		return chunks[i]
	}
	return nil
}

// ChunkInMemory is [Store.Chunk] for who must not wait.
func (s *Store) ChunkInMemory(id PartID, i int) []byte {
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
// all. The bytes must not be changed; they stay valid after the store lets go. What is not
// in memory is read from disk, for which it waits.
func (s *Store) Part(id PartID) [][]byte {
	chunks := s.partInMemory(id)
	if !slices.ContainsFunc(chunks, missing) && chunks != nil || s.disk == nil {
		return whole(chunks)
	}
	want := s.onDisk(id)
	for i, c := range chunks {
		if c != nil && i/8 < len(want) {
			want.Clear(i)
		}
	}
	if want.Count() == 0 {
		return nil
	}
	read := s.fromDisk(id, want)
	if chunks == nil {
		return whole(read)
	}
	for i := range min(len(chunks), len(read)) {
		if chunks[i] == nil {
			chunks[i] = read[i]
		}
	}
	return whole(chunks)
}

func missing(chunk []byte) bool { return chunk == nil }

// whole returns a part's chunks if none is missing, else nil.
func whole(chunks [][]byte) [][]byte {
	if slices.ContainsFunc(chunks, missing) {
		return nil
	}
	return chunks
}

// partInMemory returns the chunks of a part, nil where missing.
func (s *Store) partInMemory(id PartID) [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.parts[id]; e != nil {
		return slices.Clone(e.Value.(*storedPart).chunks)
	}
	return nil
}

// headed is [Store.Part] with the part's header; both are nil unless the store holds the part whole.
func (s *Store) headed(id PartID) (*SignedHeader, [][]byte) {
	chunks := s.Part(id)
	if chunks == nil {
		return nil, nil
	}
	if header := s.header(id); header != nil {
		return header, chunks
	}
	return nil, nil
}

// header returns the header of a part of which the store holds something. What is not in memory is
// read from disk, for which it waits.
func (s *Store) header(id PartID) *SignedHeader {
	s.mu.Lock()
	e := s.parts[id]
	s.mu.Unlock()
	if e != nil {
		return e.Value.(*storedPart).header
	}
	if s.disk == nil {
		return nil
	}
	next := id.Position
	next.Part++
	for _, h := range s.disk.Headers(id.Stream, id.Rendition, next, id.Position, 1) {
		return h
	}
	return nil
}

// Whole reports whether the store holds all chunks of a part.
func (s *Store) Whole(id PartID) bool {
	s.mu.Lock()
	e := s.parts[id]
	inMemory := e != nil && e.Value.(*storedPart).count == len(e.Value.(*storedPart).chunks)
	s.mu.Unlock()
	return inMemory || s.disk != nil && s.disk.Lasting(id, 0)
}

// Lasting reports whether the store holds all chunks of some parts and, as far as can be
// told, will still when new parts of a share of its bound have come: from 0 to 1, of the
// memory's and of the disk's each. Parts of the past do not last in a full memory.
func (s *Store) Lasting(headers []*SignedHeader, share float64) bool {
	for _, h := range headers {
		if !s.lastingInMemory(h.ID(), share) && (s.disk == nil || !s.disk.Lasting(h.ID(), share)) {
			return false
		}
	}
	return true
}

func (s *Store) lastingInMemory(id PartID, share float64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.parts[id]
	if e == nil {
		return false
	}
	p := e.Value.(*storedPart)
	leaving := s.live.bytes + s.past.bytes + int64(share*float64(s.limit)) - s.limit
	return p.count == len(p.chunks) && (leaving <= 0 || p.in == &s.live && p.after-p.in.left >= leaving)
}

// Drop forgets all parts of a stream that are in memory.
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
	Bytes   int64      // held in memory now
	Limit   int64      // the memory's bound
	Evicted int64      // let go from memory since the start to stay within the bound
	Disk    *DiskStats // nil if there is none
}

// Capacity returns how many bytes there is room for, in memory or on disk.
func (s StoreStats) Capacity() int64 {
	if s.Disk != nil {
		return max(s.Limit, s.Disk.Limit)
	}
	return s.Limit
}

// Stats returns the store's figures.
func (s *Store) Stats() StoreStats {
	s.mu.Lock()
	out := StoreStats{Bytes: s.live.bytes + s.past.bytes, Limit: s.limit, Evicted: s.evicted}
	s.mu.Unlock()
	if s.disk != nil {
		disk := s.disk.Stats()
		out.Disk = &disk
	}
	return out
}
