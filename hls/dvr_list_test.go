package hls

import (
	"testing"
	"time"
)

// dvrEntries makes entries of 2 s and 100 bytes from a segment on.
func dvrEntries(at time.Time, epoch, from uint64, n int) (out []*entry) {
	for i := range n {
		out = append(out, &entry{
			key:         key{epoch, from + uint64(i)},
			duration:    2 * time.Second,
			programTime: at.Add(time.Duration(i) * 2 * time.Second),
			size:        100,
		})
	}
	return out
}

func TestDVRListTrims(t *testing.T) {
	for name, c := range map[string]struct {
		list dvrList
		keep uint64
		want int // segments that stay of 100
	}{
		"no bound":            {dvrList{}, 94, 100},
		"by duration":         {dvrList{most: time.Minute}, 94, 30},
		"by odd duration":     {dvrList{most: 61 * time.Second}, 94, 31},
		"by size":             {dvrList{mostSize: 2000}, 94, 20},
		"to the live window":  {dvrList{mostSize: 100}, 94, 6},
		"of what is not live": {dvrList{most: time.Second}, 40, 60},
	} {
		l := c.list
		l.begin(dvrEntries(epoch0, 1, 0, 100), 2, epoch0.Add(time.Hour))
		if removed := l.trim(key{1, c.keep}); len(l.entries) != c.want || removed != 100-c.want || l.size != int64(100*c.want) {
			t.Errorf("%s: %d segments of %d bytes stay, %d were removed; want %d", name, len(l.entries), l.size, removed, c.want)
		}
	}
}

func TestDVRListNumbersFollowFromTheFirstSegmentsTime(t *testing.T) {
	first := epoch0.Add(1000 * time.Second)
	for name, c := range map[string]struct {
		now  time.Time
		want uint64
	}{
		"a stream that began a while ago": {first.Add(time.Hour), 1000},
		"a day later":                     {first.Add(24 * time.Hour), 1000},
		"a broadcaster ahead of the time": {first.Add(-100 * time.Second), 900},
		"a clock before there are any":    {epoch0.Add(-time.Hour), 0},
	} {
		var l dvrList
		l.begin(dvrEntries(first, 1, 0, 5), 2, c.now)
		if got := l.entries[0].sequence; got != c.want || l.sequence != c.want+5 {
			t.Errorf("%s: numbers from %d to %d, want from %d", name, got, l.sequence, c.want)
		}
	}
}

func TestDVRListCountsMarksAndRaisesItsTarget(t *testing.T) {
	var l dvrList
	l.begin(append(dvrEntries(epoch0, 1, 0, 3), dvrEntries(epoch0, 1, 5, 3)...), 1, epoch0)
	for _, e := range dvrEntries(epoch0, 2, 0, 3) {
		l.append(e)
	}
	var marks []uint64
	for _, e := range l.entries {
		if e.discontinuity {
			marks = append(marks, e.sequence)
		}
	}
	if len(marks) != 2 || marks[0] != 3 || marks[1] != 6 {
		t.Errorf("marks before %v, want before 3 and 6", marks)
	}
	if l.remove(4); l.discontinuity != 1 || l.entries[0].sequence != 4 {
		t.Errorf("discontinuity sequence %d, from %d on", l.discontinuity, l.entries[0].sequence)
	}
	if l.target != 2 || l.raised != 0 {
		t.Errorf("target duration %d, raised %d times", l.target, l.raised)
	}
	long := dvrEntries(epoch0, 2, 3, 1)[0]
	long.duration = 5 * time.Second
	if l.append(long); l.target != 5 || l.raised != 1 {
		t.Errorf("target duration %d, raised %d times, want 5 and 1", l.target, l.raised)
	}
}
