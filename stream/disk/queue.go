package disk

import (
	"sync"

	"github.com/grapevine-live/grapevine/stream"
)

// maxQueued bounds what waits for the disk: it is pinned in memory beside the cache. At 8
// Mbit/s a disk may hang for half a minute.
const maxQueued = 32 << 20

// job is a part to be written, or a chunk of one.
type job struct {
	header *stream.SignedHeader
	chunks [][]byte
	mend   *stream.Chunk // else nil
}

func (j *job) bytes() int64 {
	if j.mend != nil {
		return int64(len(j.mend.Data()))
	}
	return int64(j.header.Size)
}

// queue is what waits to be written, bounded.
type queue struct {
	most  int64
	ready chan struct{} // filled when there is something

	mu    sync.Mutex // guards all following
	jobs  []job
	bytes int64
}

func newQueue(most int64) *queue { return &queue{most: most, ready: make(chan struct{}, 1)} }

// put reports false if there is no room. A job that alone exceeds the bound finds it when
// nothing else waits.
func (q *queue) put(j job) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.jobs) > 0 && q.bytes+j.bytes() > q.most {
		return false
	}
	q.jobs = append(q.jobs, j)
	q.bytes += j.bytes()
	select {
	case q.ready <- struct{}{}:
	default: // it is known
	}
	return true
}

// take returns the next job, false if there is none.
func (q *queue) take() (job, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.jobs) == 0 {
		q.jobs = nil
		return job{}, false
	}
	j := q.jobs[0]
	q.jobs[0] = job{} // lets go of the chunks
	q.jobs = q.jobs[1:]
	q.bytes -= j.bytes()
	return j, true
}

func (q *queue) waiting() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes
}
