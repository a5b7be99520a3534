package record

import (
	"sync"

	"github.com/grapevine-live/grapevine/hls"
)

// maxQueued bounds the bytes of segments that wait for the disk, for each rendition: half
// a minute at 8 Mbit/s. A segment that is larger waits alone.
const maxQueued = 32 << 20

// item is a segment to write, or the end of an epoch.
type item struct {
	segment hls.Segment
	end     bool
	again   bool // the disk refused this end before
}

// queue is what waits for the disk. It is safe for concurrent use.
type queue struct {
	limit int64         // bytes
	wake  chan struct{} // something came, or it was closed

	mu     sync.Mutex // guards all following
	items  []item
	bytes  int64
	broken bool // a segment was left out after the last one
	closed bool
}

func newQueue(limit int64) *queue {
	return &queue{limit: limit, wake: make(chan struct{}, 1)}
}

// put adds an item, and reports false for a segment for which there is no room.
func (q *queue) put(i item) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !i.end {
		size := i.segment.Size()
		if q.bytes > 0 && q.bytes+size > q.limit {
			q.broken = true
			return false
		}
		i.segment.Discontinuity = i.segment.Discontinuity || q.broken
		q.broken = false
		q.bytes += size
	}
	q.items = append(q.items, i)
	q.signal()
	return true
}

// close lets take end once the queue is empty.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default: // it is awake
	}
}

// take waits for the next item, and returns false once there will be none.
func (q *queue) take() (item, bool) {
	for {
		if i, ok, closed := q.poll(); ok || closed {
			return i, ok
		}
		<-q.wake
	}
}

func (q *queue) poll() (i item, ok, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		return item{}, false, q.closed
	}
	i = q.items[0]
	q.items[0] = item{} // its bytes go when it is written
	q.items = q.items[1:]
	if !i.end {
		q.bytes -= i.segment.Size()
	}
	return i, true, false
}
