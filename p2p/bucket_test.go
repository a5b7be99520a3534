package p2p

import (
	"testing"
	"time"
)

func TestBucketKeepsToItsRate(t *testing.T) {
	const bits, chunk = 8_000_000, 32 << 10
	b := newBucket(bits)
	now := time.Unix(1e9, 0)
	sent := 0
	for end := now.Add(10 * time.Second); now.Before(end); {
		if wait := b.take(chunk, now); wait > 0 {
			now = now.Add(wait)
			continue
		}
		sent += chunk
	}
	want := float64(bits) / 8 * bucketShare * 10
	if got := float64(sent); got < 0.99*want || got > 1.01*want+chunk {
		t.Errorf("%.0f bytes in 10 s, want %.0f", got, want)
	}
}

func TestBucketWithoutARateNeverWaits(t *testing.T) {
	b := newBucket(0)
	for range 1000 {
		if wait := b.take(1<<20, time.Unix(1e9, 0)); wait > 0 {
			t.Fatalf("waits %v", wait)
		}
	}
}
