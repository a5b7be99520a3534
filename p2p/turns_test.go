package p2p

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/stream"
)

// contest is what live sending and some answers with chunks got of an uplink.
type contest struct {
	live, fetched float64 // bits per second
	silence       time.Duration
}

// compete lets live sending, of which there is so much and so much was promised, and as
// many answers as the uplink allows send chunks of a size for a while.
func compete(t *testing.T, bits, demand, promised, size int, past bool) contest {
	t.Helper()
	const took = 20 * time.Second
	var c contest
	synctest.Test(t, func(t *testing.T) {
		l := newUplink(bits)
		l.promise(promised)
		end := time.Now().Add(took)
		ctx, cancel := context.WithDeadline(context.Background(), end)
		defer cancel()
		var mu sync.Mutex
		var live, fetched int
		var wg sync.WaitGroup
		wg.Go(func() {
			start := time.Now()
			for ctx.Err() == nil {
				if demand > 0 {
					time.Sleep(time.Until(start.Add(time.Duration(float64(8*live) / float64(demand) * float64(time.Second)))))
				}
				if wait := l.take(size, time.Now()); wait > 0 {
					time.Sleep(wait)
				} else if live += size; demand == 0 {
					return // one, and nothing more
				}
			}
		})
		if err := l.wait(ctx, size, past); err != nil { // which shows the size
			t.Error(err)
		}
		for range l.answers() {
			wg.Go(func() {
				last := time.Now()
				for l.wait(ctx, size, past) == nil {
					mu.Lock()
					c.silence = max(c.silence, time.Since(last))
					fetched += size
					mu.Unlock()
					last = time.Now()
				}
			})
		}
		wg.Wait()
		c.live, c.fetched = 8*float64(live)/took.Seconds(), 8*float64(fetched)/took.Seconds()
	})
	return c
}

func TestFetchesGetWhatLiveChunksLeave(t *testing.T) {
	for _, c := range []struct {
		name                   string
		bits, demand, promised int
		size                   int
		past                   bool
		fetched, live          float64 // at least, as parts of what chunks may fill
	}{
		{"nothing is live", 8_000_000, 0, 0, 8 << 10, true, 0.95, 0},
		{"half is live", 8_000_000, 4_000_000 * 93 / 100, 0, 8 << 10, true, 0.45, 0.48},
		{"more is live than there is room for", 8_000_000, 16_000_000, 0, 8 << 10, true, 0.095, 0.85},
		{"the same on a fast uplink", 100_000_000, 200_000_000, 0, 32 << 10, true, 0.09, 0.85},
		{"the same on a slow uplink", 1_000_000, 2_000_000, 0, 4 << 10, true, 0.095, 0.8},
		{"the same on a slower one", 300_000, 2_000_000, 0, 4 << 10, true, 0.095, 0.45},
		{"large chunks on a slow uplink", 1_000_000, 2_000_000, 0, 32 << 10, true, 0.15, 0.45},
		{"joiners where nothing is promised", 8_000_000, 16_000_000, 0, 8 << 10, false, 0.48, 0.45},
		{"joiners where half is promised", 8_000_000, 16_000_000, 4_000_000 * 93 / 100, 8 << 10, false, 0.23, 0.7},
		{"joiners where all is promised", 8_000_000, 16_000_000, 8_000_000, 8 << 10, false, 0.095, 0.85},
	} {
		got := compete(t, c.bits, c.demand, c.promised, c.size, c.past)
		room := float64(c.bits) * 0.93
		t.Logf("%s: live %.1f%%, fetched %.1f%%, silent for %v at most", c.name, 100*got.live/room, 100*got.fetched/room, got.silence)
		if got.fetched < c.fetched*room || got.live < c.live*room {
			t.Errorf("%s: want at least %.1f%% and %.1f%%", c.name, 100*c.live, 100*c.fetched)
		}
		if got.live+got.fetched > 1.02*room {
			t.Errorf("%s: more than there is room for", c.name)
		}
		if got.silence > fetchPatience {
			t.Errorf("%s: who fetches gives up after %v", c.name, fetchSilence)
		}
	}
}

func TestFetchesOfThePastWaitForThoseOfTheLastSegments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newUplink(1_000_000)
		var mu sync.Mutex
		var order []bool // past
		var wg sync.WaitGroup
		for _, past := range []bool{true, true, false, true, false} {
			wg.Go(func() {
				if err := l.wait(t.Context(), 32<<10, past); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				order = append(order, past)
			})
			synctest.Wait()
		}
		wg.Wait()
		if want := []bool{true, false, false, true, true}; !slices.Equal(order, want) {
			t.Errorf("of the past: %v, want %v; there was room for the first", order, want)
		}
	})
}

func TestFetchDoesNotWaitForeverForTheUplink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newUplink(8)
		l.take(1<<10, time.Now()) // for 17 minutes
		ctx, cancel := context.WithTimeoutCause(context.Background(), time.Second, errFetchBusy)
		defer cancel()
		if err := l.wait(ctx, 1<<10, false); !errors.Is(err, errFetchBusy) {
			t.Errorf("waited for a turn: %v", err)
		}
		if len(l.waiting) > 0 {
			t.Error("the turn of who gave up is still there")
		}
	})
}

func TestUnknownUplinkWithoutABoundLetsFetchesPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newUplink(0)
		start := time.Now()
		for range 1000 {
			l.take(32<<10, time.Now())
			if err := l.wait(context.Background(), 32<<10, false); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("waited %v", took)
		}
		if n := l.answers(); n != maxServing {
			t.Errorf("%d answers at a time, want %d", n, maxServing)
		}
	})
}

func TestRepeatsOfAPeerAreBounded(t *testing.T) {
	f := newFetchServer(nil)
	const have = 8
	a, b := peer.ID("a"), peer.ID("b")
	part := stream.PartID{Rendition: "main", Position: stream.Position{Epoch: 1}}
	now := time.Unix(1e9, 0)
	count := func(id peer.ID, part stream.PartID, now time.Time) (n int) {
		for !f.again(id, part, have, now) {
			n++
		}
		return n
	}
	if n := count(a, part, now); n != maxFetchRepeats*have {
		t.Errorf("a peer gets %d chunks of a part of %d", n, have)
	}
	if n := count(b, part, now); n != maxFetchRepeats*have {
		t.Errorf("then another gets %d", n)
	}
	other := part
	other.Segment++
	if n := count(a, other, now); n != maxFetchRepeats*have {
		t.Errorf("of another part it gets %d", n)
	}
	if n := count(a, part, now.Add(fetchRepeatsFor)); n != 0 {
		t.Errorf("a minute later it gets %d", n)
	}
	if n := count(a, part, now.Add(fetchRepeatsFor+1)); n != maxFetchRepeats*have {
		t.Errorf("after that it gets %d", n)
	}
	for i := range 3 * maxServed {
		part.Segment = uint64(i)
		f.again(a, part, have, now)
	}
	if len(f.served) != maxServed || len(f.oldest) != maxServed {
		t.Errorf("%d and %d parts are remembered, want %d", len(f.served), len(f.oldest), maxServed)
	}
}
