package p2p

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// enrolFirst and enrolRarest are how long an enrolment is left to be answered before it is
	// sent again, at first and at last.
	enrolFirst  = time.Second
	enrolRarest = 15 * time.Second
	// lackAfter is how long a key may be missing before it is asked for: the block with it may
	// be on its way.
	lackAfter = 2 * time.Second
	// keptSegments is in how many of the last segments of key blocks a viewer looks for keys.
	keptSegments = 4
)

// Viewing is a viewer's side of a private stream: it enrols with its invite, and takes the keys
// out of the key blocks as they come.
type Viewing struct {
	swarm  *Swarm
	invite *stream.Invite // nil for who enrolled before, and has the key alone
	key    *stream.ViewerKey
	ring   *stream.Keyring
	store  *stream.OpenedStore

	// Run's alone.
	from  stream.Position
	read  map[stream.Position]bool // since from
	lacks time.Time                // since when a key is missing; zero if none is
	due   time.Time                // when to enrol again
	wait  time.Duration            // until the time after that

	mu      sync.Mutex // guards all following
	refusal stream.Refusal
	title   string
	stats   ViewingStats
}

// ViewingStats are the figures of a viewer of a private stream.
type ViewingStats struct {
	Periods    int   // whose keys are there
	Enrolments int64 // sent
	Blocks     int64 // key blocks read
	Broken     int64 // of those, malformed, and parts that their key does not open
}

// View has a stream opened that is private, with an invite or, if it is nil, for who was let in
// before. [Viewing.Run] must be called.
func (s *Swarm) View(invite *stream.Invite, key *stream.ViewerKey) *Viewing {
	s.viewing.Store(invite != nil)
	ring := stream.NewKeyring(s.id)
	return &Viewing{
		swarm: s, invite: invite, key: key, ring: ring, store: stream.NewOpenedStore(s.node.store, ring),
		read: make(map[stream.Position]bool), wait: enrolFirst,
	}
}

// Store returns what players get.
func (v *Viewing) Store() *stream.OpenedStore { return v.store }

// Keyring returns the keys that are there.
func (v *Viewing) Keyring() *stream.Keyring { return v.ring }

// Refusal returns why the broadcaster gives this viewer no keys, 0 if it does or has not
// answered.
func (v *Viewing) Refusal() stream.Refusal {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.refusal
}

// Title returns the stream's title, "" until a key is there.
func (v *Viewing) Title() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.title
}

// Stats returns the figures.
func (v *Viewing) Stats() ViewingStats {
	v.mu.Lock()
	defer v.mu.Unlock()
	st := v.stats
	st.Periods = v.ring.Len()
	st.Broken += v.store.Broken()
	return st
}

// Run takes keys, and enrols where one is missing, until ctx ends.
func (v *Viewing) Run(ctx context.Context) {
	if v.invite != nil {
		if !v.swarm.awaitNeighbour(ctx) {
			return
		}
		if err := v.swarm.openPrivate(); err != nil {
			if v.swarm.ctx.Err() == nil {
				v.swarm.log.Error("cannot enrol", "err", err)
			}
			return
		}
		v.lacks, v.due = time.Now(), time.Now() // nothing is known yet: ask at once
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		changed := v.swarm.node.store.Changed()
		v.take()
		timer.Reset(v.enrol(ctx, time.Now()))
		select {
		case <-ctx.Done():
			return
		case <-v.swarm.ctx.Done():
			return
		case <-changed:
		case <-timer.C:
		}
	}
}

// take reads the key blocks that came.
func (v *Viewing) take() {
	t := v.swarm.timeline(stream.KeysRendition)
	if t == nil || t.Newest() == nil {
		return
	}
	newest := t.Newest()
	from := stream.Position{Epoch: newest.Epoch, Segment: newest.Segment - min(newest.Segment, keptSegments)}
	if from != v.from {
		v.from = from
		for p := range v.read {
			if p.Compare(from) < 0 {
				delete(v.read, p)
			}
		}
	}
	for _, h := range t.From(from) {
		if h.End || v.read[h.Position] {
			continue
		}
		if chunks := v.swarm.node.store.Part(h.ID()); chunks != nil {
			v.read[h.Position] = true
			v.note(v.open(h, chunks))
		}
	}
}

// note takes what the newest blocks say besides keys.
func (v *Viewing) note(got stream.Granted, found bool) {
	if !found {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.refusal = got.Refusal
	if got.Refusal == 0 {
		v.title = got.Title
	}
}

// open takes this viewer's keys out of a block, if there are any for it.
func (v *Viewing) open(h *stream.SignedHeader, chunks [][]byte) (got stream.Granted, found bool) {
	block, err := stream.OpenKeyBlock(h, chunks)
	v.mu.Lock()
	v.stats.Blocks++
	if err != nil {
		v.stats.Broken++
	}
	v.mu.Unlock()
	if err != nil {
		v.swarm.log.Warn("a key block cannot be read", "err", err)
		return got, false
	}
	got, found = block.Open(v.key)
	for period, secret := range got.Secrets {
		if v.ring.Add(h.Epoch, period, secret) {
			v.store.Wake()
		}
	}
	return got, found
}

// lacking reports whether the newest part of any rendition cannot be opened; before there is
// one, whether there is no key at all.
func (v *Viewing) lacking() bool {
	known := false
	for _, t := range v.swarm.Timelines() {
		h := t.Newest()
		if h == nil || h.End || t.Rendition() == stream.KeysRendition {
			continue
		}
		known = true
		if !v.ring.Has(h.Epoch, h.Period) {
			return true
		}
	}
	return !known && v.ring.Len() == 0
}

// enrol asks for keys if some are missing, and returns when to look again at the latest.
func (v *Viewing) enrol(ctx context.Context, now time.Time) time.Duration {
	if v.invite == nil {
		return time.Minute
	}
	switch {
	case !v.lacking():
		v.lacks, v.wait = time.Time{}, enrolFirst
		return lackAfter / 2
	case v.Refusal() != 0:
		return lackAfter
	case v.lacks.IsZero():
		v.lacks, v.due = now, now.Add(lackAfter)
	}
	if now.Before(v.due) {
		return v.due.Sub(now)
	}
	if err := v.ask(ctx); err != nil {
		v.swarm.log.Warn("cannot enrol, trying again", "err", err)
	}
	v.due = now.Add(v.wait)
	v.wait = min(2*v.wait, enrolRarest)
	return v.due.Sub(now)
}

func (v *Viewing) ask(ctx context.Context) error {
	raw, err := v.invite.Enrol(v.key.ID())
	if err != nil {
		return err
	}
	v.mu.Lock()
	v.stats.Enrolments++
	v.mu.Unlock()
	return v.swarm.sendEnrolment(ctx, raw)
}

// LearnKeys fetches the key blocks of segments of a rendition that cannot be opened, newest
// first, until one had nothing for this viewer: what is older was not for it either.
func (v *Viewing) LearnKeys(ctx context.Context, rendition string, since time.Time) error {
	t := v.swarm.timeline(rendition)
	if t == nil {
		return nil
	}
	headers := t.From(stream.Position{})
	learned := false
	for i := len(headers) - 1; i >= 0; i-- {
		h := headers[i]
		if h.ProgramTime.Before(since) {
			return nil
		}
		if v.ring.Has(h.Epoch, h.Period) {
			continue
		}
		if !learned {
			// Keys go out before what they open.
			if err := v.swarm.LearnPast(ctx, stream.KeysRendition, since.Add(-periodFor-periodLead), 0); err != nil {
				return err
			}
			learned = true
		}
		if err := v.fetchKey(ctx, h.Epoch, h.Period); err != nil {
			return err
		}
		if !v.ring.Has(h.Epoch, h.Period) {
			return nil
		}
	}
	return nil
}

// fetchKey fetches the blocks in which the key of a period may be.
func (v *Viewing) fetchKey(ctx context.Context, epoch, period uint64) error {
	// Who came later got the key with those of later periods.
	for segment := period - 1; segment < period-1+stream.MaxSecrets; segment++ {
		parts, err := v.swarm.FetchPast(ctx, stream.KeysRendition, epoch, segment)
		if err != nil {
			continue // nobody holds it: perhaps the other
		}
		for i, h := range v.swarm.timeline(stream.KeysRendition).Segment(epoch, segment) {
			if i < len(parts) {
				v.open(h, parts[i])
			}
		}
		if v.ring.Has(epoch, period) {
			return nil
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("fetch the key of period %d: %w", period, context.Cause(ctx))
	}
	return nil
}

// Private reports whether the stream is sealed now, as far as this node knows.
func (s *Swarm) Private() bool {
	var newest, keys uint64
	sealed := false
	for _, t := range s.Timelines() {
		h := t.Newest()
		switch {
		case h == nil:
		case t.Rendition() == stream.KeysRendition:
			keys, sealed = h.Epoch, true
		case h.Period > 0:
			return true
		default:
			newest = max(newest, h.Epoch)
		}
	}
	return sealed && keys >= newest
}
