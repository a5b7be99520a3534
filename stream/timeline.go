package stream

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	// MaxTimeline bounds the headers that a timeline keeps, unless it is told to retain
	// more: about 34 minutes of half second parts, 6 MB at 4 Mbit/s. The oldest go first.
	MaxTimeline = 4096
	// StaleAfter is how far behind the newest header, in programme time, a gossiped
	// header of an earlier part may be. gossipsub itself repeats messages for a few
	// seconds only, so an honest peer never passes on one this old. A later part is news
	// even if the broadcaster's clock was set back.
	StaleAfter = time.Minute
	// AheadAfter is how far ahead of both the stream and this node's clock, in
	// programme time, a gossiped header may be. Either clock alone may be wrong:
	// a machine that slept knows an old stream, one without NTP a wrong time. The next epoch
	// may be from any time: the broadcaster's clock may have been set before it.
	AheadAfter = time.Minute
	// FirstTolerance is how far a gossiped header's programme time may be from this
	// node's clock while the timeline is empty and nothing better is known. Either clock
	// may be wrong: then the timeline has to be fetched.
	FirstTolerance = 24 * time.Hour
	// MaxEpochAhead is how far ahead of this node's clock the epoch of a delegate's run may be,
	// which is in milliseconds since 1970. A key that was stolen could else begin a run after
	// which none is new.
	MaxEpochAhead = 2 * time.Minute
	// EpochGrace is how long after a new epoch began its predecessor's headers may
	// still be under way from honest peers.
	EpochGrace = 30 * time.Second
)

// Reasons for which a timeline refuses a header.
var (
	ErrKnown        = errors.New("header already known")
	ErrLate         = errors.New("header of the epoch before, still under way")
	ErrStale        = errors.New("header too old")
	ErrClock        = errors.New("header from another time than this node's clock")
	ErrAhead        = errors.New("header too far ahead")
	ErrEquivocation = errors.New("two different headers for one part")
)

// Timeline is the headers that a node knows of a rendition, in order, of the
// newest epochs. It is safe for concurrent use.
type Timeline struct {
	stream    ID
	rendition string
	changed   signal
	lasting   lasting
	roles     *Roles // see Heed; nil for none

	mu         sync.Mutex // guards all following
	headers    []*SignedHeader
	bytes      int           // what they take
	history    time.Duration // see Retain
	store      *Store        // likewise; nil for none
	recalls    bool          // somebody rewinds
	epochSince time.Time     // when the newest epoch's first header was added
	newestAt   time.Time     // when the newest header was added
	newestWall time.Time     // likewise, by the machine's clock
	clockOff   func() time.Duration
}

// NewTimeline returns an empty timeline.
func NewTimeline(stream ID, rendition string) *Timeline {
	return &Timeline{stream: stream, rendition: rendition}
}

// Heed has the timeline refuse what roles say was signed by a key that was revoked. It is to be
// called before the timeline is used.
func (t *Timeline) Heed(roles *Roles) { t.roles = roles }

// Roles returns what [Timeline.Heed] was given, nil for none.
func (t *Timeline) Roles() *Roles { return t.roles }

// allows checks that a header is not of a key that was revoked, nor of a delegate's run that
// begins later than the machine's clock shows.
func (t *Timeline) allows(h *SignedHeader, wall time.Time) error {
	if h.by == nil {
		return nil
	}
	if t.revoked(h) {
		return fmt.Errorf("%w: part %v", ErrRevoked, h.Position)
	}
	if h.Epoch > uint64(max(0, wall.Add(MaxEpochAhead).UnixMilli())) {
		return fmt.Errorf("%w: epoch %d is later than this node's clock", ErrAhead, h.Epoch)
	}
	return nil
}

func (t *Timeline) revoked(h *SignedHeader) bool {
	return t.roles != nil && t.roles.Revoked(h.by) != nil
}

// UseClock has the timeline go by a machine's clock that is off by what off returns, ahead if it is
// positive. What time passes is measured without it, as monotonic clocks do.
func (t *Timeline) UseClock(off func() time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clockOff = off
}

// wallLocked returns what the machine's clock shows at now.
func (t *Timeline) wallLocked(now time.Time) time.Time {
	now = now.Round(0) // without its monotonic reading
	if t.clockOff != nil {
		now = now.Add(t.clockOff())
	}
	return now
}

// Stream returns the ID of the stream.
func (t *Timeline) Stream() ID { return t.stream }

// Rendition returns the name of the rendition.
func (t *Timeline) Rendition() string { return t.rendition }

// Changed returns a channel that is closed when the next header is added. Take it
// before looking, so that no change falls in between.
func (t *Timeline) Changed() <-chan struct{} { return t.changed.wait() }

// Fresh says whether a header that arrived by gossip at now may be passed on.
// Errors wrap [ErrKnown], [ErrLate], [ErrClock], [ErrRevoked], [ErrDelegationTime] (honest peers
// may send these), [ErrStale], [ErrAhead] or [ErrEquivocation] (they do not).
func (t *Timeline) Fresh(h *SignedHeader, now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	wall := t.wallLocked(now)
	if err := t.allows(h, wall); err != nil {
		return err
	}
	if h.by != nil {
		if err := h.by.HoldsAt(wall); err != nil {
			return err
		}
	}
	if len(t.headers) == 0 {
		if off := h.ProgramTime.Sub(wall); off.Abs() > FirstTolerance {
			return fmt.Errorf("%w: part %v is %v off", ErrClock, h.Position, off)
		}
		return nil
	}
	newest := t.headers[len(t.headers)-1]
	switch {
	case h.Epoch < newest.Epoch && now.Sub(t.epochSince) < EpochGrace:
		return fmt.Errorf("%w: part %v", ErrLate, h.Position)
	case h.Epoch < newest.Epoch:
		return fmt.Errorf("%w: part %v is of another epoch than %d", ErrStale, h.Position, newest.Epoch)
	case h.Position.Compare(newest.Position) < 0 && newest.ProgramTime.Sub(h.ProgramTime) > StaleAfter:
		return fmt.Errorf("%w: part %v is %v behind", ErrStale, h.Position, newest.ProgramTime.Sub(h.ProgramTime))
	}
	// Known ones come after stale ones: an old header is a replay, known or not.
	if _, err := t.findLocked(h); err != nil {
		return err
	}
	if h.Epoch > newest.Epoch {
		return nil
	}
	// The monotonic clock stands still while a machine sleeps, and the wall clock may have been
	// set back: the stream went on at least as long as either says.
	passed := max(0, now.Sub(t.newestAt), wall.Sub(t.newestWall))
	streamNow := newest.ProgramTime.Add(passed)
	if h.ProgramTime.Sub(streamNow) > AheadAfter && h.ProgramTime.Sub(wall) > AheadAfter {
		return fmt.Errorf("%w: part %v is %v ahead", ErrAhead, h.Position, h.ProgramTime.Sub(streamNow))
	}
	return nil
}

// Add puts a header in its place. Errors wrap [ErrKnown], [ErrEquivocation], [ErrRevoked],
// [ErrAhead] or, for a full timeline, [ErrStale]. Unlike [Timeline.Fresh] it takes old headers, which
// a late joiner fetches.
func (t *Timeline) Add(h *SignedHeader, now time.Time) error {
	if h.Stream != t.stream || h.Rendition != t.rendition {
		return fmt.Errorf("header of %s/%s for the timeline of %s/%s", h.Stream.Short(), h.Rendition, t.stream.Short(), t.rendition)
	}
	if err := t.add(h, now); err != nil {
		return err
	}
	t.keepEnds(h)
	t.changed.fire()
	return nil
}

// Replace puts a header in the place of another one for the same part, and reports whether there
// was one: whoever has the stream's key signed both.
func (t *Timeline) Replace(h *SignedHeader) bool {
	t.mu.Lock()
	i, found := t.searchLocked(h.Position)
	if found {
		t.bytes += footprint(h) - footprint(t.headers[i])
		t.headers[i] = h
	}
	t.mu.Unlock()
	if found {
		t.keepEnds(h)
		t.changed.fire()
	}
	return found
}

func (t *Timeline) add(h *SignedHeader, now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.allows(h, t.wallLocked(now)); err != nil {
		return err
	}
	i, err := t.findLocked(h)
	if err != nil {
		return err
	}
	for n := len(t.headers); n > 0; n-- {
		oldest, newest := h, h
		if i > 0 {
			oldest = t.headers[0]
		}
		if i < n {
			newest = t.headers[n-1]
		}
		if t.fitsLocked(oldest, newest) {
			break
		}
		if i == 0 {
			return fmt.Errorf("%w: part %v is before the timeline", ErrStale, h.Position)
		}
		t.bytes -= footprint(oldest)
		t.headers = slices.Delete(t.headers, 0, 1)
		i--
	}
	if i == len(t.headers) {
		t.newestAt, t.newestWall = now, t.wallLocked(now)
		if i == 0 || t.headers[i-1].Epoch < h.Epoch {
			t.epochSince = now
		}
	}
	t.headers = slices.Insert(t.headers, i, h)
	t.bytes += footprint(h)
	return nil
}

// findLocked returns where h belongs, or why it does not.
func (t *Timeline) findLocked(h *SignedHeader) (int, error) {
	i, found := t.searchLocked(h.Position)
	if !found {
		return i, nil
	}
	if bytes.Equal(t.headers[i].raw, h.raw) {
		return i, ErrKnown
	}
	return i, fmt.Errorf("%w: part %v", ErrEquivocation, h.Position)
}

func (t *Timeline) searchLocked(p Position) (int, bool) {
	return slices.BinarySearchFunc(t.headers, p, func(h *SignedHeader, p Position) int {
		return h.Position.Compare(p)
	})
}

// Header returns the header at a position, or nil.
func (t *Timeline) Header(p Position) *SignedHeader {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i, found := t.searchLocked(p); found {
		return t.headers[i]
	}
	return nil
}

// Newest returns the header with the highest position, or nil.
func (t *Timeline) Newest() *SignedHeader {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.headers) == 0 {
		return nil
	}
	return t.headers[len(t.headers)-1]
}

// Len returns how many headers there are.
func (t *Timeline) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.headers)
}

// From returns the headers at p and after it, in order; the zero position gives all.
func (t *Timeline) From(p Position) []*SignedHeader {
	t.mu.Lock()
	defer t.mu.Unlock()
	i, _ := t.searchLocked(p)
	return slices.Clone(t.headers[i:])
}

// Before returns the newest headers at from and after it that are before a position, at
// most n, in order. What is older than the timeline is read from its store's disk, for which
// it waits.
func (t *Timeline) Before(before, from Position, n int) []*SignedHeader {
	headers := t.beforeInMemory(before, from, n)
	if len(headers) == n {
		return headers
	}
	if len(headers) > 0 {
		before = headers[0].Position
	}
	return append(t.beforeOnDisk(before, from, n-len(headers)), headers...)
}

func (t *Timeline) beforeInMemory(before, from Position, n int) []*SignedHeader {
	t.mu.Lock()
	defer t.mu.Unlock()
	j, _ := t.searchLocked(before)
	i, _ := t.searchLocked(from)
	i = max(i, j-n)
	return slices.Clone(t.headers[min(i, j):j])
}

// Recent returns the headers of the last n segments, in order, of which the newest
// may still be growing.
func (t *Timeline) Recent(n int) []*SignedHeader {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := len(t.headers)
	for ; i > 0; i-- {
		h := t.headers[i-1]
		if i == len(t.headers) || h.Epoch != t.headers[i].Epoch || h.Segment != t.headers[i].Segment {
			if n <= 0 {
				break
			}
			if !h.End {
				n--
			}
		}
	}
	return slices.Clone(t.headers[i:])
}

// Ended reports whether the newest epoch has ended.
func (t *Timeline) Ended() bool {
	h := t.Newest()
	return h != nil && h.End
}

// Segment is the headers that a timeline knows of one segment.
type Segment struct {
	Epoch, Number uint64
	Headers       []*SignedHeader // in order, not empty
	Complete      bool            // all headers from the first to the last part are there
}

// Duration returns the sum of the parts' durations.
func (s *Segment) Duration() time.Duration {
	var d time.Duration
	for _, h := range s.Headers {
		d += h.Duration
	}
	return d
}

// Size returns the sum of the parts' bytes.
func (s *Segment) Size() int64 {
	var n int64
	for _, h := range s.Headers {
		n += int64(h.Size)
	}
	return n
}

// Segment returns the headers of a segment, nil unless all are known.
func (t *Timeline) Segment(epoch, number uint64) []*SignedHeader {
	t.mu.Lock()
	defer t.mu.Unlock()
	i, found := t.searchLocked(Position{Epoch: epoch, Segment: number})
	if !found {
		return nil
	}
	return slices.Clone(leadingSegment(t.headers[i:]))
}

// leadingSegment returns the headers of the segment that others begin with, nil unless all
// are there.
func leadingSegment(headers []*SignedHeader) []*SignedHeader {
	for j, h := range headers {
		if h.End || h.Epoch != headers[0].Epoch || h.Segment != headers[0].Segment || int(h.Part) != j {
			return nil
		}
		if h.Last {
			return headers[:j+1]
		}
	}
	return nil
}

// Segments groups the headers at p and after it.
func (t *Timeline) Segments(p Position) []Segment {
	var out []Segment
	for _, h := range t.From(p) {
		if h.End {
			continue
		}
		if n := len(out); n == 0 || out[n-1].Epoch != h.Epoch || out[n-1].Number != h.Segment {
			out = append(out, Segment{Epoch: h.Epoch, Number: h.Segment})
		}
		s := &out[len(out)-1]
		s.Headers = append(s.Headers, h)
	}
	for i := range out {
		hs := out[i].Headers
		out[i].Complete = hs[0].Part == 0 && hs[len(hs)-1].Last && int(hs[len(hs)-1].Part) == len(hs)-1
	}
	return out
}
