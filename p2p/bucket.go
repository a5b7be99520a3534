package p2p

import (
	"sync"
	"time"
)

const (
	// bucketShare is the part of an uplink that chunks may fill. The rest is for
	// headers, control and the overhead of packets, which must never wait behind them.
	bucketShare = 0.93
	// bucketBurst is how much time's worth of bytes may go out at once.
	bucketBurst = 20 * time.Millisecond
)

// bucket is a token bucket at a node's uplink. It may go into debt by one chunk, so
// that a rate of less than a chunk per burst works, too.
type bucket struct {
	rate float64 // bytes per second; 0 for no bound

	mu     sync.Mutex // guards all following
	tokens float64
	at     time.Time
}

// newBucket returns a bucket for an uplink of so many bits per second; 0 is unbounded.
func newBucket(bits int) *bucket {
	return &bucket{rate: float64(bits) / 8 * bucketShare}
}

// take takes n bytes, or returns how long to wait before asking again.
func (b *bucket) take(n int, now time.Time) time.Duration {
	if b.rate == 0 {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens = min(b.rate*bucketBurst.Seconds(), b.tokens+b.rate*now.Sub(b.at).Seconds())
	b.at = now
	if b.tokens < 0 {
		return time.Duration(-b.tokens/b.rate*float64(time.Second)) + time.Microsecond
	}
	b.tokens -= float64(n)
	return 0
}
