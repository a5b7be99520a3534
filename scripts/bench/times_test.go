package bench

import (
	"math"
	"testing"
	"time"
)

// never is the delay of what did not come.
const never = time.Duration(math.MaxInt64)

// maxTime bounds what times tells apart.
const maxTime = 10 * time.Minute

// times is a distribution of durations, to the millisecond. Its size does not grow with
// what it counts.
type times struct {
	Bins  []int `json:"bins"` // by whole milliseconds
	Never int   `json:"never"`
}

func (t *times) add(d time.Duration) {
	if d == never {
		t.Never++
		return
	}
	ms := int(min(max(0, d), maxTime) / time.Millisecond)
	for len(t.Bins) <= ms {
		t.Bins = append(t.Bins, 0)
	}
	t.Bins[ms]++
}

func (t *times) merge(o times) {
	for len(t.Bins) < len(o.Bins) {
		t.Bins = append(t.Bins, 0)
	}
	for ms, n := range o.Bins {
		t.Bins[ms] += n
	}
	t.Never += o.Never
}

// came counts what is not never.
func (t *times) came() (n int) {
	for _, k := range t.Bins {
		n += k
	}
	return n
}

func (t *times) count() int { return t.came() + t.Never }

// percentile returns the least time within which a share of all came, or never. Of
// nothing it is 0.
func (t *times) percentile(share float64) time.Duration {
	n := t.count()
	if n == 0 {
		return 0
	}
	rank := max(1, int(math.Ceil(share*float64(n))))
	for ms, k := range t.Bins {
		if rank -= k; rank <= 0 {
			return time.Duration(ms) * time.Millisecond
		}
	}
	return never
}

func TestPercentilesCountWhatNeverCame(t *testing.T) {
	var all times
	for ms := range 98 {
		all.add(time.Duration(ms+1) * time.Millisecond)
	}
	var rest times
	rest.add(never)
	rest.add(never)
	all.merge(rest)
	for share, want := range map[float64]time.Duration{
		0: time.Millisecond, .5: 50 * time.Millisecond, .98: 98 * time.Millisecond, .99: never, 1: never,
	} {
		if got := all.percentile(share); got != want {
			t.Errorf("percentile %v is %v, want %v", share, got, want)
		}
	}
	if all.came() != 98 || all.count() != 100 {
		t.Errorf("%d of %d came", all.came(), all.count())
	}
}
