package schedule

import (
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// allOf is every chunk of a part of the tests.
func allOf(h Part) stream.Bitmap {
	all := stream.NewBitmap(h.Chunks)
	for i := range h.Chunks {
		all.Set(i)
	}
	return all
}

// after has chunks that are told of due at one time, others at another.
func after(told, others time.Duration) func(stream.Position, int, int, bool, bool) time.Duration {
	return func(_ stream.Position, _, _ int, is, _ bool) time.Duration {
		if is {
			return told
		}
		return others
	}
}

func TestWhatNobodyHasIsOverdueBeforeWhatSomebodyHas(t *testing.T) {
	x := New(Config{Uplink: unlimited(100e6), Seed: 1})
	x.Neighbour(1, true, 50*time.Millisecond)
	x.Header(header(0), start)
	some := stream.NewBitmap(16)
	some.Set(3)
	x.Metadata(1, at(0), Metadata{Have: some}, start)
	due := after(2*time.Second, time.Second)
	for _, c := range []struct {
		at   time.Duration
		want int
	}{{900 * time.Millisecond, 0}, {time.Second, 15}, {2 * time.Second, 16}} {
		chunks := 0
		for _, h := range x.Overdue(8, due, start.Add(c.at)) {
			chunks += h.Want.Count()
		}
		if chunks != c.want {
			t.Errorf("after %v %d chunks are overdue, want %d", c.at, chunks, c.want)
		}
	}
}

func TestAChunkIsWantedFromAnOriginOrFromANeighbour(t *testing.T) {
	x := New(Config{Uplink: unlimited(100e6), Seed: 1})
	x.Neighbour(1, true, 50*time.Millisecond)
	now := start
	h := header(0)
	x.Header(h, now)
	now = now.Add(3 * time.Second)
	holes := x.Overdue(8, after(0, 0), now)
	if len(holes) != 1 || holes[0].Want.Count() != h.Chunks {
		t.Fatalf("overdue: %v, want all of the part", holes)
	}
	x.Divert(holes, now)
	if again := x.Overdue(8, after(0, 0), now); len(again) != 0 {
		t.Errorf("overdue again while under way: %v", again)
	}
	// A neighbour has it now, but the origin has a second.
	x.Metadata(1, at(0), Metadata{Have: allOf(h), State: strong()}, now)
	asked := func() int { return x.parts[at(0)].peers[1].asked.Count() }
	x.Step(now.Add(divertPatience / 2))
	if asked() != 0 {
		t.Errorf("%d chunks are wanted of a neighbour, too", asked())
	}
	now = now.Add(divertPatience + 100*time.Millisecond)
	x.Header(header(1), now) // a live neighbour speaks of what is now
	x.Metadata(1, at(1), Metadata{Have: allOf(h)}, now)
	x.Step(now)
	if asked() == 0 {
		t.Error("the origin is slow, and the neighbour that has it is not asked")
	}
	// While the neighbour has its turn, the origin is left alone.
	for _, o := range x.Overdue(8, after(0, 0), now) {
		if o.Part == at(0) {
			t.Errorf("diverted at once again: %v", o)
		}
	}
}

func TestWhatComesFromAnOriginIsAccepted(t *testing.T) {
	x := New(Config{Uplink: unlimited(100e6), Seed: 1})
	x.Neighbour(1, true, 50*time.Millisecond)
	x.Header(header(0), start)
	x.Metadata(1, at(0), Metadata{State: strong()}, start)
	x.Divert([]Hole{{at(0), allOf(header(0))}}, start)
	now := start.Add(100 * time.Millisecond)
	if v := x.Admit(Origin, at(0), 5, true, now); v != Accept {
		t.Fatalf("verdict %v, want it accepted", v)
	}
	x.Got(Origin, at(0), 5, AgeUnknown, true, now)
	if v := x.Admit(Origin, at(0), 5, true, now); v != Duplicate {
		t.Errorf("verdict %v the second time", v)
	}
	actions, _ := x.Step(now.Add(rareDelay))
	said := metas(actions, 1)
	if len(said) == 0 || !said[0].Meta.Have.Get(5) {
		t.Errorf("said %+v: a neighbour that may lack it, too, does not hear of it", said)
	}
	if len(x.parts[at(0)].peers) != 1 {
		t.Error("an origin is taken for a peer")
	}
}

func TestDivertsInVainAreBounded(t *testing.T) {
	x := New(Config{Uplink: unlimited(100e6), Seed: 1})
	now := start
	x.Header(header(0), now)
	tries := 0
	for range 4 * maxDiverts {
		holes := x.Overdue(8, after(0, 0), now)
		if len(holes) == 0 {
			break
		}
		tries++
		x.Divert(holes, now)
		x.Fetched(Origin, holes, true)
	}
	if tries != maxDiverts {
		t.Errorf("%d tries, want %d", tries, maxDiverts)
	}
	if holes, _, failed := x.Holes(HoleLimits{Bytes: 1 << 20, Parts: 8, Fetches: 1}, now); len(holes) == 0 || len(failed) != 0 {
		t.Errorf("peers are asked for %v, but for %v", holes, failed)
	}
}
