package meter

import "time"

// bucket is a token bucket that goes into debt: who takes waits until it is paid.
type bucket struct {
	rate   float64 // bytes per second; 0 for no bound
	depth  float64 // bytes that may pass at once
	tokens float64
	at     time.Time // when tokens was right
}

const (
	// burstTime and the sizes are what may pass at once: a chunk, but no more of a slow
	// link than a tenth of a second's worth, and of a fast one what timers are late.
	burstTime   = 100 * time.Millisecond
	leastBurst  = 4 << 10
	usualBurst  = 32 << 10
	timersLate  = 20 * time.Millisecond
	bitsPerByte = 8
)

// newBucket returns a full bucket of so many bits per second; 0 is for no bound.
func newBucket(bits int) bucket {
	rate := float64(max(0, bits)) / bitsPerByte
	depth := max(leastBurst, min(usualBurst, rate*burstTime.Seconds()), rate*timersLate.Seconds())
	return bucket{rate: rate, depth: depth, tokens: depth}
}

// limit changes the rate to so many bits per second; 0 is for no bound. Debts stay.
func (b *bucket) limit(bits int) {
	tokens, at, was := b.tokens, b.at, b.rate
	*b = newBucket(bits)
	if was > 0 {
		b.tokens, b.at = min(tokens, b.depth), at
	}
}

// fill adds what time brought.
func (b *bucket) fill(now time.Time) {
	if since := now.Sub(b.at).Seconds(); since > 0 { // callers' clocks are some milliseconds apart
		b.tokens = min(b.depth, b.tokens+b.rate*since)
		b.at = now
	}
}

// take takes n bytes, and returns how long to wait before they pass.
func (b *bucket) take(n int, now time.Time) time.Duration {
	if b.rate == 0 {
		return 0
	}
	b.fill(now)
	b.tokens -= float64(n)
	return b.time(-b.tokens)
}

// put gives back n bytes that did not pass.
func (b *bucket) put(n int) { b.tokens += float64(n) }

// time is how long so many bytes take, 0 if there are none.
func (b *bucket) time(bytes float64) time.Duration {
	if bytes <= 0 || b.rate == 0 {
		return 0
	}
	return time.Duration(bytes / b.rate * float64(time.Second))
}
