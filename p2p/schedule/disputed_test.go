package schedule

import (
	"math"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// rival is another header for a part, of which there is a chunk.
func rival(part uint32) Part {
	h := header(part)
	h.Size, h.Chunks = 15, 1
	return h
}

// Whoever has the stream's key could have everybody leave all their parents.
func TestParentsAreKeptUntilTheyAreBlamed(t *testing.T) {
	x, now := fed(t)
	x.Header(rival(1), now)
	x.Forged(1, at(1), 0, now)
	if fed := x.Stats().Fed; fed != Stripes {
		t.Errorf("%d stripes are fed before anybody is blamed, want all", fed)
	}
	x.Blame(1, at(1), 0, now)
	if fed := x.Stats().Fed; fed != Stripes-1 {
		t.Errorf("%d stripes are fed by who was blamed for one chunk, want all but one", fed)
	}
}

func TestReplacedPartGoesByWhatNeighboursSaid(t *testing.T) {
	for name, known := range map[string]bool{"they spoke before the header": false, "they spoke after it": true} {
		x, now := fed(t)
		x.Gone(1, now)
		x.Neighbour(2, true, 50*time.Millisecond)
		x.Metadata(2, at(0), Metadata{State: strong()}, now)
		before := x.rate
		if known {
			x.Header(rival(1), now)
		}
		x.Metadata(2, at(1), Metadata{Have: stream.Bitmap{255, 255}}, now)
		if !known {
			x.Header(rival(1), now)
		}
		if !x.Replace(header(1), now) {
			t.Fatal("not replaced")
		}
		if math.Abs(x.rate-before) > before/100 {
			t.Errorf("%s: a stream of %.0f bit/s is taken to have %.0f", name, before, x.rate)
		}
		actions, _ := x.Step(now)
		wanted := 0
		for _, a := range metas(actions, 2) {
			if a.Part == at(1) {
				wanted = a.Meta.Want.Count()
			}
		}
		if wanted != 16 {
			t.Errorf("%s: %d chunks of 16 that a neighbour has are wanted from it", name, wanted)
		}
	}
}

// A neighbour that says of each part that it has it, before anybody can have it, is never asked, as
// parents send everything soon, and never found out.
func TestWhoClaimsWhatNobodyServesIsAsked(t *testing.T) {
	for name, delivers := range map[string]bool{"it sends nothing": false, "it sends what it says": true} {
		x, now := fed(t)
		x.Neighbour(2, false, 50*time.Millisecond)
		suspected := false
		for part := uint32(1); part <= 30; part++ {
			x.Header(rival(part), now)
			x.Metadata(2, at(part), Metadata{State: strong(), Have: stream.Bitmap{1}}, now)
			asked := false
			for range 5 { // less than the patience with a want
				actions, _ := x.Step(now)
				for _, a := range metas(actions, 2) {
					asked = asked || a.Part == at(part) && a.Meta.Want.Count() > 0
				}
				now = now.Add(50 * time.Millisecond)
			}
			if part == 2 && !asked && !delivers {
				t.Errorf("%s: it is not asked, though it claimed chunks of a part that has another header", name)
			}
			x.Disputed(at(part))
			x.Replace(header(part), now)
			for i := range 16 {
				if from := Peer(1); x.Admit(from, at(part), i, false, now) == Accept {
					x.Got(from, at(part), i, 0, false, now)
				}
			}
			if delivers {
				x.Delivered(2, now)
			}
			now = now.Add(100 * time.Millisecond)
			for _, s := range x.Suspects() {
				x.Hears(s.Peer, now)
				suspected = suspected || s.Of == Withholds
				if s.Peer != 2 {
					t.Errorf("%s: %d is a suspect", name, s.Peer)
				}
			}
		}
		if suspected == delivers {
			t.Errorf("%s: it is a suspect: %t", name, suspected)
		}
	}
}

// Who asks for all and acknowledges nothing is a suspect; who is slow is not, nor is one that holds
// to another header.
func TestWhoTakesNothingIsSuspect(t *testing.T) {
	for name, c := range map[string]struct {
		takes    time.Duration // how long after it was sent it says that it has a chunk; 0 for never
		disputed bool
		silent   bool
		want     bool
	}{
		"it takes nothing":             {want: true},
		"it takes chunks after 7 s":    {takes: 7 * time.Second},
		"it takes chunks after 200 ms": {takes: 200 * time.Millisecond},
		"it has another header":        {disputed: true},
		"it says nothing, either":      {silent: true},
	} {
		x := New(Config{Source: true, Uplink: unlimited(100e6), Seed: 1})
		x.Neighbour(2, true, 20*time.Millisecond)
		last := time.Duration(0)
		suspected := 0
		took := make(map[uint32]bool)
		for ms := 0; ms < 20_000; ms += 100 {
			now := start.Add(time.Duration(ms) * time.Millisecond)
			part := uint32(ms / 500)
			if ms%500 == 0 {
				h := header(part)
				h.Own = true
				x.Header(h, now)
				if c.disputed {
					x.Disputed(at(part))
				}
				if !c.silent || part == 0 {
					x.Metadata(2, at(part), Metadata{Want: stream.Bitmap{255, 255}}, now)
				}
			}
			if late := uint32(max(0, ms-int(c.takes.Milliseconds())) / 500); c.takes > 0 && ms >= int(c.takes.Milliseconds()) && !took[late] {
				took[late] = true
				x.Metadata(2, at(late), Metadata{Have: stream.Bitmap{255, 255}, Want: stream.Bitmap{255, 255}}, now)
			}
			x.Step(now)
			for _, s := range x.Suspects() {
				if suspected++; s.Of != Untaken {
					t.Errorf("%s: suspected of something else: %+v", name, s)
				}
				if suspected == 1 {
					last = now.Sub(start)
				}
			}
		}
		if got := suspected > 0; got != c.want || got && last > 9*time.Second {
			t.Errorf("%s: a suspect %d times, at first after %v", name, suspected, last)
		}
	}
}
