package stream

import (
	"slices"
	"sync"
)

// maxOpened bounds the plain parts that an [OpenedStore] keeps, in bytes: those of the live
// edge, for the playlists that come for the same part one after the other.
const maxOpened = 16 << 20

// OpenedStore shows what a [Store] holds of sealed streams as it was before it was sealed. The
// store itself goes on holding what is passed on. It is safe for concurrent use.
type OpenedStore struct {
	sealed *Store
	keys   *Keyring

	mu     sync.Mutex // guards all following
	opened map[PartID]openedPart
	order  []PartID // of opened, in which they came
	bytes  int      // of opened
	broken int64
}

type openedPart struct {
	header *SignedHeader // of two for one part, this one's
	data   []byte
}

// NewOpenedStore returns what a keyring opens of a store.
func NewOpenedStore(sealed *Store, keys *Keyring) *OpenedStore {
	return &OpenedStore{sealed: sealed, keys: keys, opened: make(map[PartID]openedPart)}
}

// Part returns a part's bytes, or nil unless the store holds all of them and there is a key.
// They must not be changed.
func (s *OpenedStore) Part(id PartID) [][]byte {
	header, chunks := s.sealed.headed(id)
	if header == nil || header.Period == 0 {
		return chunks
	}
	s.mu.Lock()
	known, ok := s.opened[id]
	s.mu.Unlock()
	if ok && known.header == header {
		return [][]byte{known.data}
	}
	data, err := s.keys.Open(header, chunks)
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.keys.Has(header.Epoch, header.Period) {
			s.broken++
		}
		return nil
	}
	s.keep(id, openedPart{header, data})
	return [][]byte{data}
}

func (s *OpenedStore) keep(id PartID, p openedPart) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.opened[id]; known {
		return
	}
	s.opened[id] = p
	s.order = append(s.order, id)
	s.bytes += len(p.data)
	for s.bytes > maxOpened && len(s.order) > 1 {
		s.bytes -= len(s.opened[s.order[0]].data)
		delete(s.opened, s.order[0])
		s.order = slices.Delete(s.order, 0, 1)
	}
}

// Lasting is [Store.Lasting] for parts that there are keys of.
func (s *OpenedStore) Lasting(headers []*SignedHeader, share float64) bool {
	return s.sealed.Lasting(headers, share) && !slices.ContainsFunc(headers, func(h *SignedHeader) bool {
		return !s.keys.Has(h.Epoch, h.Period)
	})
}

// Changed returns a channel that is closed when the next part becomes whole. Whoever adds a key
// calls [OpenedStore.Wake].
func (s *OpenedStore) Changed() <-chan struct{} { return s.sealed.Changed() }

// Wake has everybody look again who waits for a part: there is a new key.
func (s *OpenedStore) Wake() { s.sealed.changed.fire() }

// Stats returns the figures of the store that holds what is sealed.
func (s *OpenedStore) Stats() StoreStats { return s.sealed.Stats() }

// Broken returns how often a part did not open with its period's key: who sealed it made a
// mistake.
func (s *OpenedStore) Broken() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}
