package transcode

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// feed puts parts at one speed, and takes them at another, for a while.
func feed(q *queue, in, out time.Duration, length time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), length)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for q.put(ctx, stream.Part{Duration: handOver}) == nil {
			time.Sleep(in)
		}
	}()
	for {
		if _, ok := q.take(ctx); !ok {
			break
		}
		time.Sleep(out)
	}
	<-done
}

func TestBehind(t *testing.T) {
	for _, tt := range []struct {
		name    string
		in, out time.Duration
		behind  bool
	}{
		{"in time", handOver, handOver / 2, false},
		{"too slow", handOver, 2 * handOver, true},
		{"an input that is faster than life", 0, handOver / 2, false},
		{"an input that is faster than life, and too slow", 0, 2 * handOver, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newQueue(slog.New(slog.DiscardHandler))
				feed(q, tt.in, tt.out, 30*time.Second)
				if q.behind != tt.behind || (q.times == 1) != tt.behind {
					t.Errorf("behind: %v, %d times; %.2f of real time, %v wait", q.behind, q.times, q.speed, q.waiting)
				}
			})
		})
	}
}

func TestCaughtUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(slog.New(slog.DiscardHandler))
		feed(q, handOver, 2*handOver, 10*time.Second)
		if !q.behind {
			t.Fatalf("not behind with %v", q.waiting)
		}
		feed(q, handOver, handOver/4, 20*time.Second)
		if q.behind || q.times != 1 {
			t.Errorf("behind: %v, %d times, %v wait", q.behind, q.times, q.waiting)
		}
	})
}
