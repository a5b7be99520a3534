package disk

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// Read implements [stream.Disk].
func (s *Store) Read(id stream.PartID, want stream.Bitmap) [][]byte {
	s.mu.Lock()
	e := s.entryLocked(id)
	if e == nil || e.end {
		s.mu.Unlock()
		return nil
	}
	s.streams[id.Stream].used = time.Now()
	at := *e
	have := e.have() // bad is not to be read without the lock
	s.mu.Unlock()
	h := s.header(id, at)
	if h == nil {
		return nil
	}
	chunks := make([][]byte, len(h.Chunks))
	f, err := os.Open(at.volume.path + partsSuffix)
	if err != nil {
		s.unreadable(id, at, err)
		return nil
	}
	defer f.Close()
	for i := 0; i < len(chunks); {
		n := run(i, len(chunks), func(i int) bool { return want.Get(i) && have.Get(i) })
		s.readRun(f, h, at, i, n, chunks)
		i += max(n, 1)
	}
	return chunks
}

// run returns how many numbers in a row from i on, below n, something holds of.
func run(i, n int, holds func(int) bool) int {
	k := i
	for k < n && holds(k) {
		k++
	}
	return k - i
}

// readRun reads n chunks from the i-th on at once, and takes those that are as they were
// signed.
func (s *Store) readRun(f *os.File, h *stream.SignedHeader, at entry, i, n int, chunks [][]byte) {
	if n == 0 {
		return
	}
	start := i * h.ChunkSize
	data := make([]byte, min((i+n)*h.ChunkSize, h.Size)-start)
	read, err := f.ReadAt(data, at.offset+int64(start))
	if err != nil && !errors.Is(err, io.EOF) && read == 0 && n > 1 {
		// A sector cannot be read: the other chunks may be.
		for k := range n {
			s.readRun(f, h, at, i+k, 1, chunks)
		}
		return
	}
	for k := range n {
		from := k * h.ChunkSize
		to := from + h.ChunkLen(i+k)
		if to <= read {
			if c, err := stream.OpenChunk(h, i+k, data[from:to:to]); err == nil {
				chunks[i+k] = c.Data()
				continue
			}
		}
		s.damaged(h.ID(), at, i+k)
	}
}

// damaged notes that a chunk is not as it was signed, so that it counts as missing until it
// is fetched again.
func (s *Store) damaged(id stream.PartID, at entry, i int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entryLocked(id)
	if e == nil || e.volume != at.volume || e.bad.Get(i) {
		return
	}
	if e.bad == nil {
		e.bad = stream.NewBitmap(e.chunks())
	}
	e.bad.Set(i)
	s.stats.Damaged++
}

// unreadable notes that nothing of a part can be read, unless it was let go of meanwhile.
func (s *Store) unreadable(id stream.PartID, at entry, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entryLocked(id)
	if e == nil || e.volume != at.volume {
		return
	}
	// The system's bound of open files says nothing of the disk.
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotSigned) {
		s.stats.Damaged += int64(max(1, e.chunks()))
		s.streams[id.Stream].forget(id.Rendition, id.Position)
	}
}

var errNotSigned = errors.New("its header is not as it was signed")

// header reads the header of a part, nil if it is not as it was signed.
func (s *Store) header(id stream.PartID, at entry) *stream.SignedHeader {
	s.mu.Lock()
	if c := s.streams[id.Stream]; c != nil {
		if v := c.recent[id.Rendition]; v != nil && v.volume == at.volume && v.at == at.headerAt {
			s.mu.Unlock()
			return v.header
		}
	}
	s.mu.Unlock()
	raw, err := readRange(at.volume.path+indexSuffix, int64(at.headerAt), int64(at.headerAt)+int64(at.headerLen))
	if err != nil {
		s.unreadable(id, at, err)
		return nil
	}
	h := s.open(id, at, raw)
	if h == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.streams[id.Stream]; c != nil {
		c.recent[id.Rendition] = &verdict{at.volume, at.headerAt, h}
	}
	return h
}

// open verifies a header, and that it is the one that the index says.
func (s *Store) open(id stream.PartID, at entry, raw []byte) *stream.SignedHeader {
	h, err := s.rolesOf(id.Stream).OpenHeader(raw)
	if err != nil || h.ID() != id || h.Size != int(at.size) || h.ChunkSize != int(at.chunkSize) || h.End != at.end || h.Last != at.last {
		s.unreadable(id, at, errNotSigned)
		return nil
	}
	return h
}

// rolesOf returns what remembers the delegations of a stream.
func (s *Store) rolesOf(id stream.ID) *stream.Roles {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.streams[id]; c != nil {
		return c.roles
	}
	return stream.NewRoles(id) // it was let go of meanwhile
}

func readRange(path string, from, to int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw := make([]byte, to-from)
	n, err := f.ReadAt(raw, from)
	if errors.Is(err, io.EOF) {
		err = nil // what is missing is not as it was signed
	}
	return raw[:n], err
}

// Headers implements [stream.Disk].
func (s *Store) Headers(id stream.ID, rendition string, before, from stream.Position, n int) []*stream.SignedHeader {
	s.mu.Lock()
	var list []entry
	if c := s.streams[id]; c != nil {
		list = c.parts[rendition]
	}
	j, _ := find(list, before)
	i, _ := find(list, from)
	i = max(i, j-n)
	list = slices.Clone(list[min(i, j):j])
	s.mu.Unlock()
	var out []*stream.SignedHeader
	for len(list) > 0 {
		k := run(0, len(list), func(i int) bool { return list[i].volume == list[0].volume })
		out = append(out, s.headersIn(id, rendition, list[:k])...)
		list = list[k:]
	}
	return out
}

// headersIn reads headers that are in one volume, all at once: they lie together.
func (s *Store) headersIn(id stream.ID, rendition string, list []entry) (out []*stream.SignedHeader) {
	end := func(e entry) int64 { return int64(e.headerAt) + int64(e.headerLen) }
	first := slices.MinFunc(list, func(a, b entry) int { return cmp.Compare(a.headerAt, b.headerAt) })
	last := slices.MaxFunc(list, func(a, b entry) int { return cmp.Compare(a.headerAt, b.headerAt) })
	from := int64(first.headerAt)
	raw, err := readRange(list[0].volume.path+indexSuffix, from, end(last))
	for _, e := range list {
		part := stream.PartID{Stream: id, Rendition: rendition, Position: e.position}
		if err != nil {
			s.unreadable(part, e, err)
			continue
		}
		to := min(end(e)-from, int64(len(raw)))
		if h := s.open(part, e, slices.Clone(raw[min(int64(e.headerAt)-from, to):to])); h != nil {
			out = append(out, h)
		}
	}
	return out
}
