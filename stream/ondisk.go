package stream

import (
	"slices"
	"time"
)

// Disk keeps whole parts beyond a store's memory and beyond a run of the node; package disk
// has one. It is safe for concurrent use. Whatever it returns of a part was verified.
type Disk interface {
	// Keep has a whole part written aside, or the header of an epoch's end, which has no
	// chunks. It does not wait.
	Keep(h *SignedHeader, chunks [][]byte)
	// Mend has a chunk written to where the disk had it damaged. It does not wait.
	Mend(c Chunk)
	// Have returns which chunks of a part it holds, as far as it knows without reading
	// them; nil for none.
	Have(id PartID) Bitmap
	// Read returns the chunks of a part that are set in want, nil those that it does not
	// hold or that are damaged; nil if it has nothing of the part. It waits for the disk.
	Read(id PartID, want Bitmap) [][]byte
	// Lasting reports whether it holds a part whole, and still will when new parts of this
	// share of its bound have come.
	Lasting(id PartID, share float64) bool
	// Held returns the runs of segments, oldest first, of which all parts are Lasting.
	Held(stream ID, rendition string, share float64) []Span
	// Renditions returns the names of those of which it holds anything, sorted. They are of
	// a stream that the node takes part in from now on.
	Renditions(stream ID) []string
	// Headers returns the newest headers of a rendition at from and after it that are before
	// a position, at most n, in order. It waits for the disk.
	Headers(stream ID, rendition string, before, from Position, n int) []*SignedHeader
	// Stats returns its figures.
	Stats() DiskStats
}

// DiskStats are a disk's figures: bytes and counts since the start but for the first two.
type DiskStats struct {
	Dir     string
	Bytes   int64  // in files now
	Limit   int64  // the bound
	Written int64  // to files
	Waiting int64  // to be written
	Evicted int64  // bytes in files let go to stay within the bound
	Damaged int64  // chunks that were not there, or not as they were signed, when they were to be read
	Slow    int64  // parts not kept: the disk was too slow
	Failed  int64  // parts not kept: the disk refused them
	Error   string // why it refuses parts now; "" if it does not
}

// KeepOn has whole parts kept on a disk as well, and those that memory let go of read from
// there. It is to be called before the store is used.
func (s *Store) KeepOn(d Disk) { s.disk = d }

// Warm reads parts into memory that only the disk has.
func (s *Store) Warm(headers []*SignedHeader) {
	for _, h := range headers {
		if s.disk == nil || s.inMemory(h.ID()) != nil {
			continue
		}
		for i, data := range s.disk.Read(h.ID(), allOf(h)) {
			if data == nil {
				continue
			}
			if c, err := OpenChunk(h, i, data); err == nil { // else it is of another header
				s.Put(c)
			}
		}
	}
}

// Renditions returns the names of those renditions of a stream of which there is anything
// on disk, which it has from earlier runs.
func (s *Store) Renditions(stream ID) []string {
	if s.disk == nil {
		return nil
	}
	return s.disk.Renditions(stream)
}

func allOf(h *SignedHeader) Bitmap {
	b := NewBitmap(len(h.Chunks))
	for i := range h.Chunks {
		b.Set(i)
	}
	return b
}

// keep has a part written if there is a disk.
func (s *Store) keep(h *SignedHeader, chunks [][]byte) {
	if s.disk != nil {
		s.disk.Keep(h, chunks)
	}
}

// fromDisk returns the chunks of a part that are set in want, as far as the disk has them.
func (s *Store) fromDisk(id PartID, want Bitmap) [][]byte {
	if s.disk == nil {
		return nil
	}
	return s.disk.Read(id, want)
}

// onDisk returns which chunks of a part are on disk.
func (s *Store) onDisk(id PartID) Bitmap {
	if s.disk == nil {
		return nil
	}
	return s.disk.Have(id)
}

// Recall puts headers from the disk in front of those that the timeline has: parts since a
// time, of at most so many bytes together with what follows them, 0 for any, as many as it
// retains. It reports whether the disk has anything of the rendition.
func (t *Timeline) Recall(since time.Time, bytes int64) bool {
	store := t.retains()
	if store == nil || store.disk == nil {
		return false
	}
	headers := t.rewind()
	if len(headers) == 0 {
		return false
	}
	var size int64
	for _, h := range headers {
		size += int64(h.Size)
	}
	oldest := headers[0]
	for oldest.ProgramTime.After(since) && (bytes == 0 || size < bytes) {
		older := store.disk.Headers(t.stream, t.rendition, oldest.Position, Position{}, recallAtOnce)
		if added, _ := t.AddPast(older); added < len(older) || added == 0 {
			break
		}
		for _, h := range older {
			size += int64(h.Size)
		}
		oldest = older[0]
	}
	return store.onDisk(PartID{t.stream, t.rendition, oldest.Position}) != nil
}

// rewind notes that somebody does, and returns all headers.
func (t *Timeline) rewind() []*SignedHeader {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.recalls = true
	return slices.Clone(t.headers)
}

// Restore begins an empty timeline with the last headers on disk, of which there are no more
// than a joiner would fetch, and returns them.
func (t *Timeline) Restore(now time.Time) []*SignedHeader {
	store := t.retains()
	if store == nil || store.disk == nil {
		return nil
	}
	headers := slices.DeleteFunc(store.disk.Headers(t.stream, t.rendition, lastPosition, Position{}, restoreHeaders), t.revoked)
	if len(headers) == 0 {
		return nil
	}
	// Refused if a later one came meanwhile from peers that is too far ahead.
	_ = t.Add(headers[len(headers)-1], now)
	t.AddPast(headers)
	return headers
}

func (t *Timeline) retains() *Store {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.store
}

// beforeOnDisk returns the newest headers on disk as [Timeline.Before] does.
func (t *Timeline) beforeOnDisk(before, from Position, n int) []*SignedHeader {
	store := t.retains()
	if store == nil || store.disk == nil || n <= 0 {
		return nil
	}
	headers := store.disk.Headers(t.stream, t.rendition, before, from, n)
	return slices.DeleteFunc(headers, t.revoked)
}
