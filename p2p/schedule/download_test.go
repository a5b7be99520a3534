package schedule

import (
	"testing"
	"time"
)

// TestNoMoreIsAskedForThanMayBeReceived has neighbours offer the last two segments, to be wanted of
// them, and one before that, to be fetched, to a node that may receive 64 kbit/s.
func TestNoMoreIsAskedForThanMayBeReceived(t *testing.T) {
	const bits, rtt = 64_000, 50 * time.Millisecond
	now := start
	offered := func(bits int) *Exchange {
		x := New(Config{Uplink: unlimited(100e6), Seed: 1})
		x.Download(bits)
		for id := range Peer(4) {
			x.Neighbour(id, true, rtt)
		}
		tellLate(x, 3, now, 0, 1, 2, 3)
		x.Step(now)
		return x
	}
	asked := func(x *Exchange) (bytes int) {
		for _, p := range x.order {
			for i := range p.asks {
				if p.asks[i].from != None {
					bytes += p.chunkLen(i)
				}
			}
		}
		return bytes
	}
	limits := HoleLimits{Bytes: 1 << 20, Parts: 64, Fetches: 8}
	free, bound := offered(0), offered(bits)
	chunk := of(0).ChunkSize
	most := int(bits/8*(askedAhead+rtt).Seconds()) + chunk
	if all, some := asked(free), asked(bound); some > most || all <= most {
		t.Errorf("%d bytes are asked for, %d with no bound; want at most %d, and more", some, all, most)
	}
	if holes, _, _ := bound.Holes(limits, now); len(holes) > 0 {
		t.Errorf("%v are to be fetched beside what was asked for", holes)
	}
	if holes, _, _ := free.Holes(limits, now); len(holes) == 0 {
		t.Error("nothing is to be fetched where nothing is bound")
	}
	if holes, _, _ := bound.Holes(limits, now.Add(askedFor)); len(holes) == 0 {
		t.Error("nothing is to be fetched as long as those who were asked are silent")
	}
	// What came makes room, for fetches as well.
	var came int
	for _, p := range bound.order {
		for i := range p.asks {
			if p.asks[i].from != None {
				bound.Got(p.asks[i].from, p.pos, i, AgeUnknown, false, now)
				came++
			}
		}
	}
	holes, _, _ := bound.Holes(limits, now)
	bound.Fetching(1, holes, now)
	if got := asked(bound); came == 0 || got == 0 || got > most {
		t.Errorf("after %d chunks came, %d bytes are fetched; want some, and at most %d", came, got, most)
	}
}
