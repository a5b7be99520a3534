package hls

import (
	"context"
	"errors"
	"fmt"
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

var errUnknown = errors.New("not all of its headers are known")

// fetchSegment gathers the parts of a segment while they come, so that a small store
// need not hold them all at once.
func (d *dvr) fetchSegment(ctx context.Context, k key) (*body, error) {
	headers := d.live.timeline.Segment(k.epoch, k.number)
	if headers == nil {
		return nil, errUnknown
	}
	ctx, cancel := context.WithTimeout(ctx, fetchFor)
	var fetching sync.WaitGroup
	defer fetching.Wait()
	defer cancel()
	ended := make(chan error, 1)
	fetching.Go(func() { ended <- d.past.Fetch(ctx, d.live.timeline.Rendition(), k.epoch, k.number) })

	segment := stream.Segment{Epoch: k.epoch, Number: k.number, Headers: headers, Complete: true}
	var a assembly
	for {
		changed := d.live.store.Changed()
		if a.gather(segment, d.live.store) {
			return a.body, nil
		}
		select {
		case <-changed:
		case err := <-ended:
			if a.gather(segment, d.live.store) {
				return a.body, nil
			}
			if err == nil {
				err = fmt.Errorf("the store let go of some of its %d bytes", segment.Size())
			}
			return nil, err
		}
	}
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

// startLocked queues a fetch, and reports whether there was room.
func (d *dvr) startLocked(k key) bool {
	select {
	case d.fetches.queue <- k:
		d.fetches.jobs[k] = nil
		return true
	default:
		return false
	}
}

// ahead has the segments fetched that a player will ask for after one of the past.
func (d *dvr) ahead(k key) {
	v := d.current()
	i, listed := v.list.find(k)
	if !listed {
		return
	}
	held := d.held()
	for _, e := range v.list.entries[i+1 : min(i+1+fetchAhead, len(v.list.entries))] {
		if d.live.store.Lasting(e.headers, 0) || !contains(held, e.key) {
			continue
		}
		d.mu.Lock()
		_, job := d.fetches.jobs[e.key]
		_, lost := d.fetches.lost[e.key]
		started := job || lost || d.startLocked(e.key)
		d.mu.Unlock()
		if !started {
			return
		}
	}
}

func (d *dvr) listed(k key) bool {
	_, listed := d.current().list.find(k)
	return listed
}
