package schedule

import (
	"testing"
	"time"
)

// TestWhatAChildHasNoRoomForIsShownToOthers has a broadcaster promise a stripe to one of two
// neighbours, by a way that is full.
func TestWhatAChildHasNoRoomForIsShownToOthers(t *testing.T) {
	for _, full := range []bool{false, true} {
		x := New(Config{Source: true, Uplink: unlimited(100e6), Seed: 1})
		now := start
		stripe := mask(5)
		publish := func(part uint32) {
			h := header(part)
			h.Own, h.Have = true, whole()
			x.Header(h, now)
		}
		var chunk int
		shown := func(d time.Duration) (out bool) {
			for range d / reviewEvery {
				now = now.Add(reviewEvery)
				actions, _ := x.Step(now)
				for _, a := range metas(actions, 3) {
					out = out || a.Part == at(4) && a.Meta.Have.Get(chunk)
				}
				for id := Peer(2); id < 4; id++ {
					x.Metadata(id, x.newest, Metadata{}, now)
				}
			}
			return out
		}
		for id := Peer(2); id < 4; id++ {
			x.Neighbour(id, true, 20*time.Millisecond)
			x.Metadata(id, at(0), Metadata{State: strong()}, now)
		}
		for part := range uint32(4) {
			publish(part)
			shown(100 * time.Millisecond)
			x.Metadata(2, at(part), Metadata{Standing: &stripe}, now)
			shown(400 * time.Millisecond)
		}
		if !x.peers[2].grants.Has(5) {
			t.Fatal("nobody is fed")
		}
		if full {
			x.peers[2].window, x.peers[2].inflight = 1, 1
		} else {
			x.peers[2].window, x.peers[2].inflight = 1<<20, 0
		}
		for Stripe(at(4), chunk) != 5 {
			chunk++
		}
		publish(4)
		if shown(stuckFor / 2) {
			t.Errorf("full: %t: it is shown at once", full)
		}
		if got := shown(stuckFor); got != full {
			t.Errorf("full: %t: it is shown after %v: %t", full, 3*stuckFor/2, got)
		}
		if !full && !shown(2*Widen) {
			t.Error("what was sent is not shown to others")
		}
	}
}

// TestChunksAreShownToWhoHasRoom has a broadcaster that feeds nobody yet, and some of whose four
// neighbours wait for chunks by ways that are full.
func TestChunksAreShownToWhoHasRoom(t *testing.T) {
	for crowded, want := range [][4]int{
		{8, 8, 8, 8}, // each chunk to two
		{0, 11, 11, 10},
		{0, 0, 16, 16},
		{0, 0, 0, 16},
		{8, 8, 8, 8}, // all the same
	} {
		x := New(Config{Source: true, Uplink: unlimited(100e6), Seed: 1})
		for id := range Peer(4) {
			x.Neighbour(id, true, 20*time.Millisecond)
		}
		h := header(0)
		h.Own, h.Have = true, whole()
		x.Header(h, start)
		p := x.parts[h.Position]
		for id := range Peer(crowded) {
			n := x.peers[id]
			n.parked = []item{{p: p, to: n}}
		}
		var got [4]int
		for id := range got {
			got[id] = x.visible(p, x.peers[Peer(id)], start).Count()
		}
		shown, all := 0, 0
		for id, n := range got {
			if shown, all = shown+n, all+want[id]; n < want[id]-1 || n > want[id]+1 {
				t.Errorf("%d have no room: %v chunks are shown to each, want about %v", crowded, got, want)
			}
		}
		if shown != all {
			t.Errorf("%d have no room: %d chunks are shown in all, want %d", crowded, shown, all)
		}
	}
}
