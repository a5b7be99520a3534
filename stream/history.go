package stream

import (
	"errors"
	"math"
	"slices"
	"time"
)

const (
	// MaxHistory bounds the headers of a timeline that retains more than [MaxTimeline]:
	// nine hours of half second parts.
	MaxHistory = 1 << 16
	// MaxHistoryBytes bounds what those headers take in memory: at 4 Mbit/s more than six
	// hours of half second parts, which take 1.4 kB each.
	MaxHistoryBytes = 64 << 20
	// headerOverhead is what a header takes besides its bytes and hashes; a test measures it.
	headerOverhead = 256
	// restoreHeaders is how many headers a timeline begins with that are on disk from an
	// earlier run: two minutes of half second parts, and some 15 ms of checking signatures.
	// Older ones are read when somebody rewinds, so many at once.
	restoreHeaders = 256
	recallAtOnce   = 1024
)

// lastPosition is after all others.
var lastPosition = Position{math.MaxUint64, math.MaxUint64, math.MaxUint32}

// Retain has the timeline keep more than [MaxTimeline] headers, up to [MaxHistory] and
// [MaxHistoryBytes]: those at most d older than the newest, by programme time, and those
// of parts of which the store holds something in memory or, once there was a
// [Timeline.Recall], on disk.
func (t *Timeline) Retain(d time.Duration, store *Store) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.history, t.store = d, store
}

// AddPast puts headers that are older than the newest in their places, those that fit.
// It returns how many were new, and how many were second ones for known parts.
func (t *Timeline) AddPast(headers []*SignedHeader) (added, equivocations int) {
	added, equivocations = t.addPast(headers)
	if added > 0 {
		t.keepEnds(headers...)
		t.changed.fire()
	}
	return added, equivocations
}

// keepEnds has the ends of epochs written to the store's disk, which chunks bring the other
// headers to.
func (t *Timeline) keepEnds(headers ...*SignedHeader) {
	for _, h := range headers {
		if !h.End {
			continue
		}
		if store := t.retains(); store != nil {
			store.keep(h, nil)
		}
	}
}

func (t *Timeline) addPast(headers []*SignedHeader) (added, equivocations int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.headers) == 0 {
		return 0, 0
	}
	newest := t.headers[len(t.headers)-1]
	var fresh []*SignedHeader
	seen := make(map[Position]bool, len(headers))
	for _, h := range headers {
		if h.Stream != t.stream || h.Rendition != t.rendition || h.Position.Compare(newest.Position) >= 0 || seen[h.Position] || t.revoked(h) {
			continue
		}
		seen[h.Position] = true
		if _, err := t.findLocked(h); err == nil {
			fresh = append(fresh, h)
		} else if !errors.Is(err, ErrKnown) {
			equivocations++
		}
	}
	// The newest first, so that what finds no room is the oldest.
	slices.SortFunc(fresh, func(a, b *SignedHeader) int { return b.Position.Compare(a.Position) })
	for _, h := range fresh {
		if !t.fitsLocked(h, newest) {
			break
		}
		t.headers = append(t.headers, h)
		t.bytes += footprint(h)
		added++
	}
	slices.SortFunc(t.headers, func(a, b *SignedHeader) int { return a.Position.Compare(b.Position) })
	return added, equivocations
}

// fitsLocked reports whether the timeline has room for one more header with oldest as
// its oldest.
func (t *Timeline) fitsLocked(oldest, newest *SignedHeader) bool {
	switch {
	case t.bytes+footprint(oldest) > MaxHistoryBytes && len(t.headers) > 0:
		return false
	case len(t.headers) < MaxTimeline:
		return true
	case len(t.headers) >= MaxHistory:
		return false
	}
	return newest.ProgramTime.Sub(oldest.ProgramTime) < t.history || t.store != nil && t.storedLocked(oldest.ID())
}

// storedLocked reports whether the store holds something of a part: on disk only counts once
// somebody rewinds, as all of them would take much memory for nothing.
func (t *Timeline) storedLocked(id PartID) bool {
	if t.recalls {
		return t.store.Have(id) != nil
	}
	return t.store.inMemory(id) != nil
}

// footprint is about what a header takes in memory, in bytes.
func footprint(h *SignedHeader) int {
	return headerOverhead + len(h.raw) + len(h.Chunks)*HashSize
}
