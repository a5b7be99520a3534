package hls

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// maxFetching is how many segments of the past are fetched at a time for a rendition,
	// and maxFetchQueue how many more may wait for that.
	maxFetching   = 3
	maxFetchQueue = 16
	// fetchAhead is how many segments after one that was asked for are fetched before the
	// player comes for them.
	fetchAhead = 2
	// fetchFor is how long a segment of the past is waited for before it counts as lost,
	// and holdPast how long a request for it is held: somewhat longer, to be told.
	fetchFor = 15 * time.Second
	holdPast = fetchFor + time.Second
	// maxFetched is how many fetched segments are pinned for the players that wait for them.
	maxFetched = 4
	// maxLost bounds the lost segments that are remembered. None is listed any more.
	maxLost = 1024
)

// fetches is the segments of the past that are on their way; d.mu guards it.
type fetches struct {
	queue chan key
	jobs  map[key]*body // nil while on its way
	done  []key         // of jobs, in the order in which they came
	lost  map[key]struct{}

	fetched int64 // since the start
	failed  int64
}

func newFetches() fetches {
	return fetches{queue: make(chan key, maxFetchQueue), jobs: make(map[key]*body), lost: make(map[key]struct{})}
}

// fetch carries out fetches until ctx ends.
func (d *dvr) fetch(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	for range maxFetching {
		running.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case k := <-d.fetches.queue:
					b, err := d.fetchSegment(ctx, k)
					if ctx.Err() == nil {
						d.fetched(k, b, err)
					}
				}
			}
		})
	}
}

var errUnknown = errors.New("not all of its headers are known, or it is too large")

func (d *dvr) fetchSegment(ctx context.Context, k key) (*body, error) {
	s := stream.Segment{Headers: d.live.timeline.Segment(k.epoch, k.number)}
	if len(s.Headers) == 0 || s.Size() > maxSegmentSize {
		return nil, errUnknown
	}
	ctx, cancel := context.WithTimeout(ctx, fetchFor)
	defer cancel()
	parts, err := d.past.Fetch(ctx, d.live.timeline.Rendition(), k.epoch, k.number)
	if err != nil {
		return nil, err
	}
	d.live.cues.past(s.Headers, parts)
	return newBody(s.Headers, parts), nil
}

// fetched notes what came of a fetch, and wakes who waits for it.
func (d *dvr) fetched(k key, b *body, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := &d.fetches
	if b == nil {
		d.log.Warn("a segment of the past cannot be had", "segment", segmentName(k), "err", err)
		delete(f.jobs, k)
		if len(f.lost) >= maxLost {
			clear(f.lost)
		}
		f.lost[k] = struct{}{}
		f.failed++
		d.scan = true
		signal(d.again)
	} else {
		f.jobs[k] = b
		f.done = append(f.done, k)
		f.fetched++
		d.unpinLocked(maxFetched)
	}
	d.fireLocked()
}

// unpinLocked lets go of fetched segments but for the last n. The store may have them.
func (d *dvr) unpinLocked(n int) {
	f := &d.fetches
	for len(f.done) > n {
		delete(f.jobs, f.done[0])
		f.done = f.done[1:]
	}
}

// lost reports whether a segment was not to be had.
func (d *dvr) lost(k key) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, lost := d.fetches.lost[k]
	return lost
}

// want returns a segment of the past that the store does not hold, or has it fetched if
// it is listed or peers hold it. The channel is closed when that may have changed.
func (d *dvr) want(k key) (*body, verdict, <-chan struct{}) {
	listed := d.listed(k)
	held := contains(d.held(), k)
	d.mu.Lock()
	defer d.mu.Unlock()
	b, job := d.fetches.jobs[k]
	_, lost := d.fetches.lost[k]
	switch {
	case b != nil:
		return b, found, nil
	case job:
		return nil, pending, d.changed
	case lost || !listed && !held || !d.view.playable():
		return nil, unknown, nil
	}
	d.startLocked(k)
	return nil, pending, d.changed
}

// startLocked queues a fetch, if there is room.
func (d *dvr) startLocked(k key) {
	select {
	case d.fetches.queue <- k:
		d.fetches.jobs[k] = nil
	default: // who waits for it asks again when another ended
	}
}

// ahead notes that a player asked for a segment, and has those fetched that it will ask
// for next.
func (d *dvr) ahead(k key, now time.Time) {
	live, _ := d.live.current()
	if entries := live.window.entries; len(entries) > 0 && !k.less(entries[0].key) {
		return // players that do not rewind ask for it, too
	}
	v := d.current()
	i, listed := v.list.find(k)
	if !listed {
		return
	}
	d.ask(now) // a player that has seen the end does not load the playlist again
	held := d.held()
	for _, e := range v.list.entries[i+1 : min(i+1+fetchAhead, len(v.list.entries))] {
		if d.live.store.Lasting(e.headers, 0) || !contains(held, e.key) {
			continue
		}
		d.mu.Lock()
		_, job := d.fetches.jobs[e.key]
		_, lost := d.fetches.lost[e.key]
		// One is left for what players wait for.
		if busy := d.fetches.underWay(); !job && !lost && busy < maxFetching-1 {
			d.startLocked(e.key)
		}
		d.mu.Unlock()
	}
}

// underWay returns how many segments are fetched or wait for that.
func (f *fetches) underWay() int { return len(f.jobs) - len(f.done) }

func (d *dvr) listed(k key) bool {
	_, listed := d.current().list.find(k)
	return listed
}
