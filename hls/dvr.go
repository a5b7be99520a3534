package hls

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// learnFor is how long the first answer waits for what peers know of the past. After
	// that the playlist begins with what is known, for good.
	learnFor = 8 * time.Second
	// learnEvery is how often peers are asked what they hold while somebody asks for the
	// playlist, and dvrIdle how long nobody must have asked for that to end.
	learnEvery = 10 * time.Second
	dvrIdle    = time.Minute
)

var errNoPast = errors.New("there is nobody to ask")

// dvrView is what the playlist that rewinds serves at one moment. It is immutable.
type dvrView struct {
	list     dvrList
	playlist func() (*document, error) // made when first asked for; nil until the list began
}

func (v *dvrView) playable() bool { return v.playlist != nil }

// dvr keeps the playlist of one rendition that reaches back as far as the node's store
// and its peers, from when somebody first asks for it.
type dvr struct {
	live  *follower
	past  Past
	log   *slog.Logger
	wake  chan struct{}                           // somebody asked
	again chan struct{}                           // peers were asked, or a segment is lost
	goOn  func() (sequence, discontinuity uint64) // where an earlier list left off, or 0

	list dvrList // only run uses it

	mu      sync.Mutex // guards all following
	asked   time.Time
	learned bool // peers were asked at least once
	scan    bool // all that is listed is to be looked at again
	view    *dvrView
	changed chan struct{} // closed when view is replaced or a fetch ended
	fetches fetches
}

func newDVR(live *follower, past Past, most time.Duration, log *slog.Logger) *dvr {
	if past == nil {
		past = noPast{}
	}
	d := &dvr{
		live:    live,
		past:    past,
		log:     log.With("rendition", live.timeline.Rendition(), "playlist", "dvr"),
		wake:    make(chan struct{}, 1),
		again:   make(chan struct{}, 1),
		goOn:    func() (uint64, uint64) { return 0, 0 },
		list:    dvrList{most: most},
		view:    &dvrView{},
		changed: make(chan struct{}),
		fetches: newFetches(),
	}
	if most == 0 {
		d.list.mostSize = live.store.Stats().Capacity()
	}
	return d
}

// ask tells that a player is there, and returns the newest view and a channel that is
// closed when it is replaced or a fetch ended.
func (d *dvr) ask(now time.Time) (*dvrView, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = now
	signal(d.wake)
	return d.view, d.changed
}

// current returns the newest view.
func (d *dvr) current() *dvrView {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.view
}

// signal fills a channel of one unless it is full.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it knows
	}
}

// run keeps the playlist from when somebody asks for it until ctx ends. Numbers cannot
// begin anew, so it is kept even if nobody asks any more: an entry takes little.
func (d *dvr) run(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-d.wake:
	}
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { d.learn(ctx) })
	running.Go(func() { d.fetch(ctx) })
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		v, next := d.live.current()
		now := time.Now()
		if again := d.follow(v, now); again.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(again.Sub(now))
		}
		select {
		case <-ctx.Done():
			return
		case <-next:
		case <-d.again:
		case <-timer.C:
		}
	}
}

// learn asks peers, at once and then again and again while somebody asks for the
// playlist.
func (d *dvr) learn(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		since, bytes := d.reach()
		bound, cancel := context.WithTimeout(ctx, learnFor)
		err := d.past.Learn(bound, d.live.timeline.Rendition(), since, bytes)
		cancel()
		if err != nil {
			d.log.Debug("not all of the past was learned", "err", err)
		}
		d.mu.Lock()
		d.learned, d.scan = true, true
		d.mu.Unlock()
		signal(d.again)
		timer.Reset(learnEvery)
		for d.idle(time.Now()) {
			d.unpin()
			select {
			case <-ctx.Done():
				return
			case <-d.wake:
			}
		}
	}
}

// unpin lets go of what was fetched.
func (d *dvr) unpin() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.unpinLocked(0)
}

// idle reports whether nobody asked for a while.
func (d *dvr) idle(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return now.Sub(d.asked) >= dvrIdle
}

// reach says how far back headers are of use: not before what the playlist began with.
func (d *dvr) reach() (since time.Time, bytes int64) {
	if newest := d.live.timeline.Newest(); newest != nil && d.list.most > 0 {
		since = newest.ProgramTime.Add(-d.list.most)
	}
	if v := d.current(); v.playable() {
		since = v.list.entries[0].programTime
	}
	return since, d.list.mostSize
}

// follow brings the list up to what the live playlist lists, and removes what cannot be
// had any more. It returns when to follow again at the latest; zero for not at all.
func (d *dvr) follow(v *view, now time.Time) (again time.Time) {
	d.mu.Lock()
	learned, scan := d.learned, d.scan
	d.scan = false
	d.mu.Unlock()
	if !learned || !v.playable() {
		return time.Time{}
	}
	live := v.window.entries
	held := d.held()
	before := d.list.window
	if before.target == 0 {
		entries := d.gather(key{}, live[0].key, held)
		for _, e := range live {
			entries = d.appendLive(entries, e)
		}
		if len(entries) == 0 {
			return time.Time{}
		}
		d.list.begin(entries, v.window.target, now)
		sequence, discontinuity := d.goOn()
		d.list.goOn(sequence, discontinuity)
		scan = false
	} else {
		d.extend(live, held)
	}
	if v.window.ended && len(d.list.entries) > 0 {
		// Its target duration may be more than the live playlist's, as it lists what is older.
		end := v.edge.blocked.Add(endTargets * d.list.targetDuration())
		if d.list.ended = !now.Before(end); !d.list.ended {
			again = end
		}
	}
	d.list.trim(live[0].key)
	d.shrink(live[0].key, held, scan)
	if l := &d.list; len(l.entries) > 0 && (l.sequence != before.sequence || len(l.entries) != len(before.entries) || l.ended != before.ended) {
		d.publish()
	}
	return again
}

// extend lists what the live playlist lists since.
func (d *dvr) extend(live []*entry, held []stream.Span) {
	if d.list.newest.less(live[0].key) {
		// The live playlist listed more at once than it shows.
		for _, e := range d.gather(d.list.newest, live[0].key, held) {
			d.append(e)
		}
	}
	for _, e := range live {
		if d.list.newest.less(e.key) {
			for _, own := range d.appendLive(nil, e) {
				d.append(own)
			}
		}
	}
}

func (d *dvr) append(e *entry) {
	raised := d.list.raised
	d.list.append(e)
	if d.list.raised > raised {
		d.log.Warn("segment longer than the target duration", "duration", e.duration, "target", d.list.targetDuration())
	}
}

// appendLive appends the entry of a segment that the live playlist lists.
func (d *dvr) appendLive(entries []*entry, e *entry) []*entry {
	headers := d.live.timeline.Segment(e.epoch, e.number)
	if headers == nil {
		return entries // the timeline let go of it
	}
	return append(entries, newDVREntry(headers))
}

// gather returns entries for the segments after one and before another that can be had,
// in order.
func (d *dvr) gather(after, before key, held []stream.Span) []*entry {
	var entries []*entry
	for _, s := range d.live.timeline.Segments(stream.Position{Epoch: after.epoch, Segment: after.number}) {
		k := key{s.Epoch, s.Number}
		if !k.less(before) {
			break
		}
		if !s.Complete || after != (key{}) && !after.less(k) {
			continue
		}
		if e := newDVREntry(s.Headers); d.available(e, held) {
			entries = append(entries, e)
		}
	}
	return entries
}

// held returns what peers hold.
func (d *dvr) held() []stream.Span { return d.past.Held(d.live.timeline.Rendition()) }

// available reports whether a segment will be there if a player asks for it soon.
func (d *dvr) available(e *entry, held []stream.Span) bool {
	if d.live.store.Lasting(e.headers, dvrRoom) {
		return true
	}
	// Headers leave the timeline in order, the first of a segment before the others.
	known := d.live.timeline.Header(e.headers[0].Position) != nil
	return known && e.size <= maxSegmentSize && contains(held, e.key) && !d.lost(e.key)
}

func contains(spans []stream.Span, k key) bool {
	for _, s := range spans {
		if s.Contains(k.epoch, k.number) {
			return true
		}
	}
	return false
}

// shrink removes segments that cannot be had any more, and all before them: a playlist
// loses segments at its beginning only. It looks at the beginning, or at all. What the
// live playlist lists from keep on, it has in memory.
func (d *dvr) shrink(keep key, held []stream.Span, all bool) {
	n := 0
	for i, e := range d.list.entries {
		if !e.less(keep) {
			break
		}
		if !d.available(e, held) {
			n = i + 1
		} else if !all {
			break
		}
	}
	if n > 0 {
		d.log.Info("what nobody holds any more is no longer listed", "segments", n)
		d.list.remove(n)
	}
}

// publish replaces the view and wakes whoever waits for it.
func (d *dvr) publish() {
	v := &dvrView{list: d.list}
	ranges := d.live.cues.since(d.list.entries)
	v.playlist = sync.OnceValues(func() (*document, error) {
		text, err := renderMedia(&v.list.window, ranges)
		if err != nil {
			return nil, err
		}
		return newDocument(playlistType, text), nil
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	d.view = v
	d.fireLocked()
}

func (d *dvr) fireLocked() {
	close(d.changed)
	d.changed = make(chan struct{})
}
