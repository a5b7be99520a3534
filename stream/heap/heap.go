// Package heap keeps a large cache from doubling a node's memory. Go's garbage collector
// runs again when the heap has grown by as much as was alive (GOGC=100), the cache
// included: a cache of 256 MB has it wait for 256 MB of garbage, although next to
// nothing of what is cached becomes garbage.
package heap

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// tendEvery is how often the collector is set anew; caches fill over minutes.
	tendEvery = 2 * time.Second
	// leastPercent keeps the collector from running all the time if nearly all is cached.
	leastPercent = 10
	mostPercent  = 100
	// live is what the last collection left, in bytes.
	live = "/gc/heap/live:bytes"
)

// Tend has the collector run when what is beside the cache has doubled, until ctx is
// done. cached returns the bytes in the cache. If the environment sets GOGC or
// GOMEMLIMIT, these hold instead. It returns at once.
func Tend(ctx context.Context, cached func() int64) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	go func() {
		sample := []metrics.Sample{{Name: live}}
		tick := time.NewTicker(tendEvery)
		defer tick.Stop()
		for set := mostPercent; ; {
			select {
			case <-ctx.Done():
				debug.SetGCPercent(mostPercent)
				return
			case <-tick.C:
			}
			metrics.Read(sample)
			if p := percent(int64(sample[0].Value.Uint64()), cached()); p != set {
				debug.SetGCPercent(p)
				set = p
			}
		}
	}()
}

// percent returns by how much of what is alive the heap may grow until the collector runs
// (GOGC), so that only what is beside the cache doubles.
func percent(live, cached int64) int {
	if live <= 0 {
		return mostPercent
	}
	return int(min(mostPercent, max(leastPercent, mostPercent*(live-cached)/live)))
}
