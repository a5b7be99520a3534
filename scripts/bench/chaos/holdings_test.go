package chaos

import (
	"context"
	"runtime"
	"time"

	"github.com/grapevine-live/grapevine/p2p/p2ptest"
)

// holdings are what a process held.
type holdings struct {
	Heap       int64   `json:"heap_bytes"` // live
	Goroutines int     `json:"goroutines"`
	Remains    float64 `json:"remains_bytes"` // that a host that is gone leaves in the simulator
	Resting    float64 `json:"resting"`       // goroutines, likewise
}

const (
	holdEvery = 30 * time.Second
	// heapMost, goroutinesMost and goroutinesPeak are the most, as shares of what a run without
	// faults holds at its end.
	heapMost       = 1.5
	goroutinesMost = 1.2
	goroutinesPeak = 3
)

func held() holdings {
	for range 3 { // what has finalizers takes more than one
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return holdings{Heap: int64(m.HeapAlloc), Goroutines: runtime.NumGoroutine()}
}

// without is what is held beside what hosts left that died so often.
func (h holdings) without(base *holdings, deaths int) holdings {
	h.Heap -= int64(base.Remains * float64(deaths))
	h.Goroutines -= int(base.Resting * float64(deaths))
	return h
}

// watchHoldings looks now and then what is held while all goes wrong.
func (w *world) watchHoldings(ctx context.Context, base *holdings) {
	if base == nil {
		return
	}
	ticker := time.NewTicker(holdEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			w.hold(base, goroutinesPeak)
		}
	}
}

func (w *world) hold(base *holdings, goroutines float64) {
	h := held()
	w.mu.Lock()
	defer w.mu.Unlock()
	n := h.without(base, w.starts)
	if share := float64(n.Heap) / float64(base.Heap); share > heapMost {
		w.brokenLocked(nil, "memory", "%.1f MB, %.1f without faults", float64(n.Heap)/1e6, float64(base.Heap)/1e6)
	} else {
		w.res.Heap = max(w.res.Heap, share)
	}
	if share := float64(n.Goroutines) / float64(base.Goroutines); share > goroutines {
		w.brokenLocked(nil, "goroutines", "%d, %d without faults", n.Goroutines, base.Goroutines)
	} else {
		w.res.Goroutines = max(w.res.Goroutines, share)
	}
}

func (w *world) holdAtEnd(base *holdings) {
	if base != nil {
		w.hold(base, goroutinesMost)
		return
	}
	h := held()
	w.res.Base = &h
	w.res.Base.Remains, w.res.Base.Resting = w.calibrate()
}

// calibrate measures what hosts that are gone leave in the simulator, without any node.
func (w *world) calibrate() (heap, goroutines float64) {
	const sample = 16
	visit := func() {
		i := w.net.Len()
		w.net.AddHost(p2ptest.Link{})
		time.Sleep(time.Second)
		w.net.Forget(i)
	}
	visit() // what is made once
	before := held()
	for range sample {
		visit()
	}
	after := held()
	return max(0, float64(after.Heap-before.Heap)/sample), float64(after.Goroutines-before.Goroutines) / sample
}
