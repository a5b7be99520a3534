package bench

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestPlayersStallUntilASegmentIsWhole has six segments, of which one comes late, and maybe
// another one never.
func TestPlayersStallUntilASegmentIsWhole(t *testing.T) {
	const parts = 6 * partsPerSegment
	for name, c := range map[string]struct {
		late  int // part
		delay time.Duration
		lost  int // part, -1 for none
		want  []time.Duration
	}{
		"all in time":        {1, 4 * time.Second, -1, nil},
		"one late":           {partsPerSegment, 6 * time.Second, -1, []time.Duration{500 * time.Millisecond}},
		"one late, one lost": {partsPerSegment, 6 * time.Second, 3*partsPerSegment - 1, []time.Duration{500 * time.Millisecond, never}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newArrivals(0, parts, time.Second)
				a.addNode()
				for i := range parts {
					a.publish(i)
					a.chunks(i, 1)
					delay := 100 * time.Millisecond
					if i == c.late {
						delay = c.delay
					}
					if i != c.lost {
						time.AfterFunc(delay, func() { a.receive(0, i, 1) })
					}
					time.Sleep(partDuration)
				}
				time.Sleep(10 * time.Second)
				if got := a.stalls(0); !slices.Equal(got, c.want) {
					t.Errorf("stalls %v, want %v", got, c.want)
				}
			})
		})
	}
}
