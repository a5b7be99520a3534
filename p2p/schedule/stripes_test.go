package schedule

import "testing"

func TestStripesAreDealtEvenly(t *testing.T) {
	for _, chunks := range []int{1, 2, 8, 31} {
		var n [Stripes]int
		for segment := range uint64(64) {
			for part := range uint32(4) {
				for i := range chunks {
					n[Stripe(segment, part, i)]++
				}
			}
		}
		least, most := n[0], n[0]
		for _, x := range n {
			least, most = min(least, x), max(most, x)
		}
		if least == 0 || float64(most) > 1.5*float64(least) {
			t.Errorf("parts of %d chunks: stripes get %v", chunks, n)
		}
	}
}

func TestBetterParent(t *testing.T) {
	for _, c := range []struct {
		name       string
		own        int
		candidates []Parent
		want       int
	}{
		{"nobody", Unfed + 1, nil, None},
		{"who is not fed feeds nobody", Unfed + 1, []Parent{{Depth: Unfed}}, None},
		{"the nearest to the broadcaster", Unfed + 1, []Parent{{Depth: 3}, {Depth: 1}, {Depth: 2}}, 1},
		{"of equals the least loaded", Unfed + 1, []Parent{{Depth: 1, Load: 4}, {Depth: 1, Load: 2}, {Depth: 1, Load: 3}}, 1},
		{"not the own depth's", 3, []Parent{{Depth: 3}}, None},
		{"not for nothing", 3, []Parent{{Depth: 2}}, None},
		{"for a hop", 3, []Parent{{Depth: 1}}, 0},
		{"not a loop's end", Unfed + 1, []Parent{{Depth: Unfed - 1}}, None},
	} {
		if got := Better(c.own, c.candidates, 0); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	equal := []Parent{{Depth: 1}, {Depth: 1}, {Depth: 1}}
	seen := map[int]bool{}
	for turn := range 3 {
		seen[Better(9, equal, turn)] = true
	}
	if len(seen) != 3 {
		t.Errorf("of three equals only %v are ever taken", seen)
	}
}

func TestGrantStaysWithinItsLimits(t *testing.T) {
	l := GrantLimits{PerStripe: 2, PerPeer: 3, Total: 4}
	for _, c := range []struct {
		children, peer, total int
		want                  bool
	}{{0, 0, 0, true}, {1, 2, 3, true}, {2, 0, 0, false}, {0, 3, 0, false}, {0, 0, 4, false}} {
		if got := Grant(c.children, c.peer, c.total, l); got != c.want {
			t.Errorf("Grant(%d, %d, %d) = %t", c.children, c.peer, c.total, got)
		}
	}
}
