package schedule

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

// limits make the tables' numbers small.
var limits = Limits{MinWait: 100 * time.Millisecond, MaxWait: 400 * time.Millisecond, MaxWanted: 4}

const (
	fresh   = 50 * time.Millisecond  // a want that has not expired
	expired = 500 * time.Millisecond // one that has
)

func missing(holders ...int) Chunk { return Chunk{Holders: holders, Asked: None} }

func asked(of int, since time.Duration, holders ...int) Chunk {
	return Chunk{Holders: holders, Asked: of, Since: since}
}

func failed(c Chunk, peers ...int) Chunk {
	c.Failed = peers
	return c
}

// wanted makes peers from whom so many chunks are wanted.
func wanted(counts ...int) (peers []Peer) {
	for _, n := range counts {
		peers = append(peers, Peer{Wanted: n})
	}
	return peers
}

func counts(peers []Peer) (out []int) {
	for _, p := range peers {
		out = append(out, p.Wanted)
	}
	return out
}

func TestWants(t *testing.T) {
	for _, c := range []struct {
		name   string
		peers  []Peer
		chunks []Chunk
		want   []int
		after  []int // wanted from each peer
	}{
		{"nothing is missing", wanted(1, 2), nil, []int{}, []int{1, 2}},
		{"nobody has it", wanted(0), []Chunk{missing()}, []int{None}, []int{0}},
		{"the only holder", wanted(3, 0), []Chunk{missing(0)}, []int{0}, []int{4, 0}},
		{"from whom least is wanted", wanted(3, 1, 2), []Chunk{missing(0, 1, 2)}, []int{1}, []int{3, 2, 2}},
		{"of those who have it", wanted(3, 0, 2), []Chunk{missing(0, 2)}, []int{2}, []int{3, 0, 3}},
		{"one after the other", wanted(0, 1), []Chunk{missing(0, 1), missing(0, 1), missing(0, 1)}, []int{0, 1, 0}, []int{2, 2}},
		{"the urgent first", wanted(3), []Chunk{missing(0), missing(0)}, []int{0, None}, []int{4}},
		{"equals in turn", wanted(0, 0, 0), []Chunk{missing(0), missing(1), missing(0, 1, 2)}, []int{0, 1, 2}, []int{1, 1, 1}},

		{"full peers are left alone", wanted(4, 4), []Chunk{missing(0, 1)}, []int{None}, []int{4, 4}},
		{"a fuller one that has room", wanted(4, 3), []Chunk{missing(0, 1)}, []int{1}, []int{4, 4}},

		{"a want that has not expired stays", wanted(4, 0), []Chunk{asked(0, fresh, 0, 1)}, []int{0}, []int{4, 0}},
		{"even from one who no longer says that it has it", wanted(1, 0), []Chunk{asked(0, fresh, 1)}, []int{0}, []int{1, 0}},
		{"an expired want goes to another", []Peer{{Wanted: 1, Silent: expired}, {Wanted: 3}}, []Chunk{asked(0, expired, 0, 1)}, []int{1}, []int{0, 4}},
		{"an expired want makes room at once", []Peer{{Wanted: 4, Silent: expired}, {Wanted: 4}},
			[]Chunk{missing(0), asked(0, expired, 0, 1)}, []int{0, None}, []int{4, 4}},
		{"the only holder rests for a round", []Peer{{Wanted: 1, Silent: expired}}, []Chunk{asked(0, expired, 0)}, []int{None}, []int{0}},
		{"and is asked again in the next", wanted(0), []Chunk{failed(missing(0), 0)}, []int{0}, []int{1}},

		{"who failed comes last", wanted(0, 3), []Chunk{failed(missing(0, 1), 0)}, []int{1}, []int{0, 4}},
		{"but comes, if others are full", wanted(3, 4), []Chunk{failed(missing(0, 1), 0)}, []int{0}, []int{4, 4}},
		{"of those who failed, from whom least is wanted", wanted(2, 1), []Chunk{failed(missing(0, 1), 0, 1)}, []int{1}, []int{2, 2}},
		{"who failed one chunk is asked for another", wanted(0, 2), []Chunk{failed(missing(0, 1), 0), missing(0, 1)}, []int{1, 0}, []int{1, 3}},
		{"who failed once and expired again rests", []Peer{{Wanted: 1, Silent: expired}, {Wanted: 0}},
			[]Chunk{failed(asked(0, expired, 0, 1), 1)}, []int{1}, []int{0, 1}},
	} {
		peers := slices.Clone(c.peers)
		got := Wants(peers, c.chunks, limits)
		if !slices.Equal(got, c.want) || !slices.Equal(counts(peers), c.after) {
			t.Errorf("%s: from %v, then %v wanted; want from %v, then %v", c.name, got, counts(peers), c.want, c.after)
		}
	}
}

func TestExpired(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name               string
		rtt, silent, since time.Duration
		want               bool
	}{
		{"just asked", 0, 0, 0, false},
		{"silent for long, just asked", 0, time.Hour, 100 * ms, false},
		{"silent, at the shortest wait", 0, 101 * ms, 100 * ms, false},
		{"silent, after the shortest wait", 0, 101 * ms, 101 * ms, true},
		{"delivers others", 0, 100 * ms, 400 * ms, false},
		{"delivers others, after the longest wait", 0, 0, 401 * ms, true},
		{"far away, silent", 50 * ms, 200 * ms, 201 * ms, false},
		{"far away, silent for four round trips", 50 * ms, 201 * ms, 201 * ms, true},
		{"far away, at four round trips", 50 * ms, 201 * ms, 200 * ms, false},
		{"farther than the longest wait", 200 * ms, 0, 800 * ms, false},
		{"farther than the longest wait, after four round trips", 200 * ms, 0, 801 * ms, true},
	} {
		if got := limits.Expired(Peer{RTT: c.rtt, Silent: c.silent}, c.since); got != c.want {
			t.Errorf("%s: expired is %t, want %t", c.name, got, c.want)
		}
	}
}

// Neighbours who announce everything at once, as after a hole, share the load.
func TestNeighboursWhoHaveEverythingShareTheLoad(t *testing.T) {
	for _, k := range []int{1, 2, 3, 5, 8, 12} {
		for _, n := range []int{1, 2, 7, 12, 64, 100, 400} {
			t.Run(fmt.Sprintf("%d neighbours, %d chunks", k, n), func(t *testing.T) {
				holders := make([]int, k)
				for i := range holders {
					holders[i] = i
				}
				chunks := make([]Chunk, n)
				for i := range chunks {
					chunks[i] = missing(holders...)
				}
				peers := make([]Peer, k)
				l := DefaultLimits
				l.MaxWanted = n
				Wants(peers, chunks, l)
				got := counts(peers)
				if slices.Max(got)-slices.Min(got) > 1 {
					t.Errorf("wanted from each: %v, want counts that differ by at most 1", got)
				}
			})
		}
	}
}

// snapshot makes up peers and chunks as a node may see them.
func snapshot(random *rand.Rand, peers, chunks int, l Limits) ([]Peer, []Chunk) {
	ps := make([]Peer, peers)
	for i := range ps {
		ps[i].RTT = time.Duration(random.IntN(200)) * time.Millisecond
		ps[i].Silent = time.Duration(random.IntN(1000)) * time.Millisecond
	}
	cs := make([]Chunk, chunks)
	for i := range cs {
		c := &cs[i]
		c.Asked = None
		for p := range ps {
			if random.IntN(3) > 0 {
				c.Holders = append(c.Holders, p)
				if random.IntN(4) == 0 {
					c.Failed = append(c.Failed, p)
				}
			}
		}
		if p := random.IntN(peers); random.IntN(2) == 0 && ps[p].Wanted < l.MaxWanted {
			c.Asked, c.Since = p, time.Duration(random.IntN(4000))*time.Millisecond
			ps[p].Wanted++
		}
	}
	return ps, cs
}

func TestWantsKeepsItsRules(t *testing.T) {
	for seed := range uint64(500) {
		random := rand.New(rand.NewPCG(seed, 1))
		l := DefaultLimits
		l.MaxWanted = 1 + random.IntN(20)
		before, chunks := snapshot(random, 1+random.IntN(12), random.IntN(60), l)
		copies := slices.Clone(chunks)

		after := slices.Clone(before)
		got := Wants(after, chunks, l)

		again := slices.Clone(before)
		if other := Wants(again, chunks, l); !slices.Equal(got, other) || !slices.Equal(after, again) {
			t.Fatalf("seed %d: %v, then %v, from the same", seed, got, other)
		}
		if !reflect.DeepEqual(chunks, copies) {
			t.Fatalf("seed %d: the chunks changed", seed)
		}
		count := make([]int, len(before))
		for i, c := range chunks {
			stays := c.Asked != None && !l.Expired(before[c.Asked], c.Since)
			switch p := got[i]; {
			case stays && p != c.Asked:
				t.Fatalf("seed %d: chunk %d went from %d to %d unexpired", seed, i, c.Asked, p)
			case !stays && p != None && p == c.Asked:
				t.Fatalf("seed %d: chunk %d stays with %d, which it has expired with", seed, i, p)
			case !stays && p != None && !slices.Contains(c.Holders, p):
				t.Fatalf("seed %d: chunk %d is wanted from %d, which has it not", seed, i, p)
			case p != None:
				count[p]++
			}
		}
		for p, n := range count {
			if n > l.MaxWanted || n != after[p].Wanted {
				t.Fatalf("seed %d: %d wanted from peer %d, which counts %d; at most %d", seed, n, p, after[p].Wanted, l.MaxWanted)
			}
		}
		// Nothing waits that could be asked for.
		for i, c := range chunks {
			for _, p := range c.Holders {
				if got[i] == None && p != c.Asked && after[p].Wanted < l.MaxWanted {
					t.Fatalf("seed %d: chunk %d waits, though %d has it and room", seed, i, p)
				}
			}
		}
	}
}

func BenchmarkWants(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 1))
	before, chunks := snapshot(random, 12, 400, DefaultLimits)
	peers := make([]Peer, len(before))
	b.ReportAllocs()
	for b.Loop() {
		copy(peers, before)
		Wants(peers, chunks, DefaultLimits)
	}
}
