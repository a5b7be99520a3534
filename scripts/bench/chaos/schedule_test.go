package chaos

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"
)

// kind is a kind of fault.
type kind string

const (
	kill     kind = "kill"
	stop     kind = "stop"
	pause    kind = "pause"
	cut      kind = "cut"
	deaf     kind = "deaf"
	mute     kind = "mute"
	divide   kind = "divide"
	loss     kind = "loss"
	disorder kind = "disorder"
	late     kind = "late"
	clock    kind = "clock"
)

// kinds are all there are, with how often each comes in so many faults, and for how long.
var kinds = []struct {
	kind
	weight    int
	from, to  time.Duration
	disrupts  bool // streams may have to find other ways
	oneAtOnce bool // it is of the whole network
}{
	{kill, 3, 2 * time.Second, 30 * time.Second, true, false},
	{stop, 2, 2 * time.Second, 30 * time.Second, true, false},
	{pause, 3, 500 * time.Millisecond, 20 * time.Second, true, false},
	{cut, 3, time.Second, 30 * time.Second, true, false},
	{deaf, 2, time.Second, 20 * time.Second, true, false},
	{mute, 2, 5 * time.Second, 40 * time.Second, true, false},
	{divide, 2, 2 * time.Second, 40 * time.Second, true, true},
	{loss, 2, 10 * time.Second, 60 * time.Second, false, true},
	{disorder, 2, 10 * time.Second, 60 * time.Second, false, true},
	{late, 3, 10 * time.Second, 60 * time.Second, false, false},
	{clock, 3, 0, 0, false, false},
}

const (
	// warmUp is how long nothing goes wrong at first, calm at last.
	warmUp = 15 * time.Second
	calm   = 15 * time.Second
	// faultEvery is the mean time from a fault to the next.
	faultEvery = 4 * time.Second
	// lateMost and clockMost bound what is drawn.
	lateMost  = 150 * time.Millisecond
	clockMost = 10 * time.Minute
)

// fault is something that goes wrong.
type fault struct {
	kind
	at, lasts time.Duration
	hosts     []int           // to whom; of mute from and to; of divide the one half
	by        []time.Duration // of late up and down, of clock how far it is off then
	disrupts  bool
}

func (f fault) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%8.3fs %-8s", f.at.Seconds(), f.kind)
	if f.lasts > 0 {
		fmt.Fprintf(&s, " for %6.3fs", f.lasts.Seconds())
	}
	if len(f.hosts) > 0 {
		fmt.Fprintf(&s, " %v", f.hosts)
	}
	if len(f.by) > 0 {
		fmt.Fprintf(&s, " by %v", f.by)
	}
	return s.String()
}

// draw returns what goes wrong with a seed, in order.
func draw(seed int64, length time.Duration) (all []fault) {
	r := rand.New(rand.NewSource(seed))
	sum := 0
	for _, k := range kinds {
		sum += k.weight
	}
	busy := make(map[string]time.Duration) // until when
	for at := warmUp; ; {
		at += time.Duration(r.ExpFloat64() * float64(faultEvery))
		if at > length-calm {
			return all
		}
		n := r.Intn(sum)
		i := 0
		for n >= kinds[i].weight {
			n -= kinds[i].weight
			i++
		}
		k := kinds[i]
		f := fault{kind: k.kind, at: at.Truncate(time.Millisecond), disrupts: k.disrupts}
		if k.to > 0 {
			// Short ones are as frequent as long ones.
			f.lasts = k.from + time.Duration(r.Float64()*r.Float64()*float64(k.to-k.from)).Truncate(time.Millisecond)
		}
		f.lasts = min(f.lasts, length-calm-f.at)
		place := string(k.kind)
		switch k.kind {
		case mute:
			a := r.Intn(hosts)
			f.hosts = []int{a, (a + 1 + r.Intn(hosts-1)) % hosts}
			place = fmt.Sprint(k.kind, f.hosts)
		case divide:
			f.hosts = r.Perm(hosts)[:1+r.Intn(hosts-1)]
			slices.Sort(f.hosts)
		case late:
			f.hosts = []int{r.Intn(hosts)}
			f.by = []time.Duration{time.Duration(r.Int63n(int64(lateMost))), time.Duration(r.Int63n(int64(lateMost)))}
			place = fmt.Sprint(k.kind, f.hosts)
		case clock:
			f.hosts = []int{r.Intn(hosts)}
			f.by = []time.Duration{(time.Duration(r.Int63n(int64(2*clockMost))) - clockMost).Truncate(time.Second)}
			place = ""
		case loss, disorder:
		default:
			f.hosts = []int{r.Intn(hosts)}
			place = fmt.Sprint(f.hosts)
		}
		if place != "" && busy[place] > f.at {
			continue
		}
		// Who was killed needs a moment to end before it can be started again.
		busy[place] = f.at + f.lasts + time.Second
		all = append(all, f)
	}
}

func TestSchedulesKeepTheirBounds(t *testing.T) {
	const length = 10 * time.Minute
	seen := make(map[kind]int)
	for seed := range int64(50) {
		until := make(map[int]time.Duration) // by host, of faults that it can have one of at a time
		var last time.Duration
		for _, f := range draw(seed, length) {
			seen[f.kind]++
			if f.at < last || f.at < warmUp || f.at+f.lasts > length-calm {
				t.Fatalf("seed %d: %v is out of order or bounds", seed, f)
			}
			last = f.at
			switch f.kind {
			case kill, stop, pause, cut, deaf:
				if h := f.hosts[0]; f.at < until[h] {
					t.Fatalf("seed %d: %v while host %d has another", seed, f, h)
				}
				until[f.hosts[0]] = f.at + f.lasts
			}
		}
		if again := draw(seed, length); len(again) == 0 || again[len(again)-1].String() != draw(seed, length)[len(again)-1].String() {
			t.Fatalf("seed %d gives something else each time", seed)
		}
	}
	for _, k := range kinds {
		if seen[k.kind] < 50 {
			t.Errorf("%s came %d times with 50 seeds", k.kind, seen[k.kind])
		}
	}
}
