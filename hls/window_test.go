package hls

import (
	"testing"
	"time"
)

func TestWindow(t *testing.T) {
	const s = time.Second
	for _, test := range []struct {
		name      string
		durations []time.Duration
		marked    int // which is marked as discontinuous, -1 for none
		listed    int
		target    int
		raised    int
		discSeq   uint64
	}{
		{"even", repeat(2*s, 10), -1, 6, 2, 0, 0},
		{"fewer than the window", repeat(2*s, 4), -1, 4, 2, 0, 0},
		{"one a bit longer", append(repeat(2*s, 8), 2499*time.Millisecond), -1, 6, 2, 0, 0},
		{"one too long", append(repeat(2*s, 8), 2500*time.Millisecond), -1, 6, 3, 1, 0},
		{"a long one needs more of the short", append(append(repeat(s, 20), 8*s), repeat(s, 12)...), -1, 17, 8, 1, 0},
		{"stretched to its bound", append(append(repeat(s/10, 20), 8*s), repeat(s/10, 40)...), -1, 24, 8, 1, 0},
		{"a mark slid out", repeat(2*s, 10), 3, 6, 2, 0, 1},
		{"a mark is listed", repeat(2*s, 10), 4, 6, 2, 0, 0},
		{"the very first is never marked", repeat(2*s, 10), 0, 6, 2, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := &window{size: 6}
			w.start(test.durations[0], 0, epoch0.Add(1000*s))
			for i, d := range test.durations {
				before := w.entries
				removed := w.add(&entry{key: key{1, uint64(i)}, duration: d, discontinuity: i == test.marked, body: &body{size: 1000}})
				for j, e := range removed {
					if j < len(before) && e != before[j] {
						t.Fatalf("removed %v, want the oldest", e.key)
					}
				}
			}
			if len(w.entries) != test.listed || w.target != test.target || w.raised != test.raised || w.discontinuity != test.discSeq {
				t.Errorf("lists %d, target %d, raised %d, discontinuity sequence %d; want %d, %d, %d, %d",
					len(w.entries), w.target, w.raised, w.discontinuity, test.listed, test.target, test.raised, test.discSeq)
			}
			for i, e := range w.entries {
				if want := 1000 + uint64(len(test.durations)-len(w.entries)+i); e.sequence != want {
					t.Errorf("segment %d has sequence %d, want %d", e.number, e.sequence, want)
				}
			}
		})
	}
}

func repeat(d time.Duration, n int) []time.Duration {
	list := make([]time.Duration, n)
	for i := range list {
		list[i] = d
	}
	return list
}

func TestWindowFor(t *testing.T) {
	for target, want := range map[int]int{1: 6, 2: 5, 3: 5, 4: 5, 11: 5} {
		if got := windowFor(target); got != want {
			t.Errorf("target duration %d: %d segments, want %d", target, got, want)
		}
	}
}

func TestTargetDuration(t *testing.T) {
	for _, test := range []struct {
		longest time.Duration
		want    int
	}{
		{500 * time.Millisecond, 1},
		{time.Second, 1},
		{2 * time.Second, 2},
		{2080 * time.Millisecond, 2},
		{2400 * time.Millisecond, 3},
		{4 * time.Second, 4},
		{10 * time.Second, 11},
	} {
		w := &window{}
		if w.start(test.longest, 0, time.Now()); w.target != test.want {
			t.Errorf("segments of %v get target duration %d, want %d", test.longest, w.target, test.want)
		}
	}
}
