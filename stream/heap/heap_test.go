package heap

import (
	"runtime"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"
)

func TestPercent(t *testing.T) {
	for _, c := range []struct {
		live, cached int64
		want         int
	}{
		{0, 0, 100},
		{50, 0, 100},
		{400, 300, 25},
		{400, 399, 10}, // nearly all is cached
		{300, 400, 10}, // the cache grew since the last collection
		{1 << 50, 1 << 49, 50},
	} {
		if got := percent(c.live, c.cached); got != c.want {
			t.Errorf("%d alive, of which %d cached: %d%%, want %d%%", c.live, c.cached, got, c.want)
		}
	}
}

func TestTendFollowsTheCache(t *testing.T) {
	cache := make([]byte, 64<<20)
	runtime.GC()
	synctest.Test(t, func(t *testing.T) {
		Tend(t.Context(), func() int64 { return int64(len(cache)) })
		time.Sleep(tendEvery)
		synctest.Wait()
		if p := gcPercent(); p >= mostPercent/2 {
			t.Errorf("the heap may grow by %d%%, the cache included", p)
		}
	})
	if p := gcPercent(); p != mostPercent {
		t.Errorf("after the end the heap may grow by %d%%, want %d%%", p, mostPercent)
	}
}

func TestTendLeavesTheUsersChoice(t *testing.T) {
	t.Setenv("GOGC", "70")
	synctest.Test(t, func(t *testing.T) {
		Tend(t.Context(), func() int64 { t.Error("asked for the cache's size"); return 0 })
		time.Sleep(2 * tendEvery)
	})
}

// gcPercent reads what can only be set.
func gcPercent() int {
	p := debug.SetGCPercent(mostPercent)
	debug.SetGCPercent(p)
	return p
}
