package transcode

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// maxQueue bounds what waits for ffmpeg: about ten seconds. A live input is held back
	// beyond that, as by anybody who reads slowly.
	maxQueue = int(10 * time.Second / handOver)
	// speedWindow is the time over which ffmpeg's speed is taken: longer than it takes to
	// start.
	speedWindow = 4 * time.Second
	// behindAfter is how much has to wait for ffmpeg to be called too slow, if its speed
	// says so, too; caughtUp is how little for the opposite.
	behindAfter = 2 * time.Second
	caughtUp    = 500 * time.Millisecond
)

// queue is what ffmpeg has not taken yet of the input. One goroutine puts, another takes.
type queue struct {
	parts chan stream.Part
	log   *slog.Logger

	mu      sync.Mutex // guards all following
	waiting time.Duration
	taken   time.Duration // in this window
	since   time.Time     // when the window began
	speed   float64       // seconds of the input a second
	behind  bool
	times   uint64 // it fell behind
}

func newQueue(log *slog.Logger) *queue {
	return &queue{parts: make(chan stream.Part, maxQueue), log: log}
}

// put waits until there is room.
func (q *queue) put(ctx context.Context, p stream.Part) error {
	q.mu.Lock()
	q.waiting += p.Duration
	q.mu.Unlock()
	select {
	case q.parts <- p:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// close tells that no more is put.
func (q *queue) close() { close(q.parts) }

// take returns the next part, false at the end or when ctx is done.
func (q *queue) take(ctx context.Context) (stream.Part, bool) {
	select {
	case p, ok := <-q.parts:
		if ok {
			q.took(p.Duration, time.Now())
		}
		return p, ok
	case <-ctx.Done():
		return stream.Part{}, false
	}
}

// took notes that d was taken, and judges each window that is over.
func (q *queue) took(d time.Duration, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting -= d
	if q.since.IsZero() {
		q.since = now
	}
	q.taken += d
	over := now.Sub(q.since)
	if over < speedWindow {
		return
	}
	q.speed = q.taken.Seconds() / over.Seconds()
	q.taken, q.since = 0, now
	switch {
	case !q.behind && q.waiting >= behindAfter && q.speed < 1:
		q.behind = true
		q.times++
		q.log.Warn("ffmpeg encodes slower than the input comes: encode fewer or smaller renditions", "speed", q.speed, "behind", q.waiting)
	case q.behind && q.waiting <= caughtUp:
		q.behind = false
		q.log.Info("ffmpeg has caught up with the input")
	}
}
