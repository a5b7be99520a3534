package schedule

import (
	"slices"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// whole returns a bitmap of all chunks of a part of the tests.
func whole() stream.Bitmap {
	b := stream.NewBitmap(16)
	for i := range 16 {
		b.Set(i)
	}
	return b
}

// TestWindowFollowsWhatTheWayCarries has a peer of a stream of 256 kbit/s want ten seconds of it at
// once, and acknowledge it sooner or later.
func TestWindowFollowsWhatTheWayCarries(t *testing.T) {
	const rtt = 50 * time.Millisecond
	for _, c := range []struct {
		name        string
		took        time.Duration // from sending to each acknowledgement
		first, then int           // chunks sent at first, and after the third acknowledgement
	}{
		{"at once", rtt + newsDelay, 32, 32 * 5 / 4 * 5 / 4 * 5 / 4},
		{"a little late", rtt + ackPrompt + 100*time.Millisecond, 32, 32},
		{"late", rtt + ackLate + 100*time.Millisecond, 32, worthLeast / 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, now := New(Config{Uplink: unlimited(100e6), Seed: 1}), start
			for part := range uint32(20) {
				h := header(part)
				h.Have = whole()
				x.Header(h, now)
			}
			x.Neighbour(1, true, rtt)
			for part := range uint32(20) {
				x.Metadata(1, at(part), Metadata{Want: whole()}, now)
			}
			got := make(map[uint32]stream.Bitmap)
			step := func() (sent int) {
				actions, _ := x.Step(now)
				for _, a := range actions {
					for _, s := range a.Chunks {
						if got[a.Part.Part] == nil {
							got[a.Part.Part] = stream.NewBitmap(16)
						}
						got[a.Part.Part].Set(s.Index)
						sent++
					}
				}
				return sent
			}
			if sent := step(); sent != c.first {
				t.Errorf("%d chunks sent at first, want %d", sent, c.first)
			}
			sent := 0
			for range 3 {
				now = now.Add(c.took)
				for part, have := range got {
					want := whole()
					for i := range 16 {
						if have.Get(i) {
							want.Clear(i)
						}
					}
					x.Metadata(1, at(part), Metadata{Have: have.Clone(), Want: want}, now)
				}
				sent = step()
			}
			if sent < c.then-1 || sent > c.then+1 {
				t.Errorf("%d chunks sent after the third acknowledgement, want about %d", sent, c.then)
			}
		})
	}
}

// TestWantOfTheBroadcasterMovesToWhoGotIt has a peer send other chunks than the one wanted of it, while
// another comes to have that.
func TestWantOfTheBroadcasterMovesToWhoGotIt(t *testing.T) {
	for _, c := range []struct {
		name        string
		broadcaster bool          // the one of which it is wanted
		after       time.Duration // that the other has it, and is looked at
		rtt         time.Duration // of the other
		delivers    bool          // the other has sent a chunk before
		free        uint8         // children that the other's uplink has room for
		from        Peer          // of which it is wanted then
	}{
		{"of the broadcaster", true, time.Second, 50 * time.Millisecond, true, 100, 2},
		{"of the broadcaster, and it has had no time", true, slowAfter - 2*missingPoll, 50 * time.Millisecond, true, 100, 1},
		{"of the broadcaster, and the other is far", true, time.Second, 900 * time.Millisecond, true, 100, 1},
		{"of the broadcaster, and the other only says so", true, time.Second, 50 * time.Millisecond, false, 100, 1},
		{"of the broadcaster, and the other has no room", true, time.Second, 50 * time.Millisecond, true, 0, 1},
		{"of another", false, time.Second, 50 * time.Millisecond, true, 100, 1},
	} {
		x, now := New(Config{Uplink: unlimited(100e6), Seed: 1}), start
		x.Neighbour(1, true, 50*time.Millisecond)
		x.Neighbour(2, true, c.rtt)
		x.Header(header(0), now)
		state := strong()
		if c.broadcaster {
			clear(state.Hops[:])
		}
		other := strong()
		other.Free = c.free
		x.Metadata(2, at(0), Metadata{State: other}, now)
		if c.delivers {
			x.Delivered(2, now)
		}
		x.Metadata(1, at(0), Metadata{Have: whole(), State: state}, now)
		x.Step(now)
		p := x.parts[at(0)]
		if from := p.asks[15].from; from != 1 {
			t.Fatalf("%s: wanted of %d at first", c.name, from)
		}
		for i := 0; now.Sub(start) < c.after; i++ {
			now = now.Add(50 * time.Millisecond)
			x.Metadata(2, at(0), Metadata{}, now)
			if i < 15 {
				x.Admit(1, at(0), i, false, now)
				x.Got(1, at(0), i, AgeUnknown, false, now)
			}
			x.Step(now)
		}
		last := stream.NewBitmap(16)
		last.Set(15)
		x.Metadata(2, at(0), Metadata{Have: last}, now)
		x.Step(now.Add(missingPoll))
		if from := p.asks[15].from; from != c.from {
			t.Errorf("%s: wanted of %d, want %d", c.name, from, c.from)
		}
		if v := x.Admit(1, at(0), 15, false, now); v != Accept {
			t.Errorf("%s: verdict %v on what comes of whom it was wanted first", c.name, v)
		}
	}
}

// TestWhatNobodyHasGoesBeforeWhatWasGivenAwayMeanwhile has chunks wait for a child by a way that is full.
func TestWhatNobodyHasGoesBeforeWhatWasGivenAwayMeanwhile(t *testing.T) {
	for _, away := range []bool{false, true} {
		x := New(Config{Source: true, Uplink: unlimited(100e6), Seed: 1})
		now := start
		for id := Peer(2); id < 4; id++ {
			x.Neighbour(id, true, 20*time.Millisecond)
		}
		publish := func(part uint32) {
			h := header(part)
			h.Own, h.Have = true, whole()
			x.Header(h, now)
			stripe := mask(5)
			x.Metadata(2, at(part), Metadata{State: strong(), Standing: &stripe}, now)
			x.Step(now)
			now = now.Add(100 * time.Millisecond)
		}
		for part := range uint32(8) {
			publish(part)
		}
		child := x.peers[2]
		child.window, child.inflight = 1, 1
		publish(8)
		if away {
			x.Metadata(3, at(8), Metadata{Want: whole()}, now)
			x.Step(now)
		}
		publish(9)
		if len(child.parked) != 2 {
			t.Fatalf("%d chunks wait, want 2", len(child.parked))
		}
		child.window, child.inflight = 1000, 0
		x.unpark(child, now)
		actions, _ := x.Step(now)
		var sent []stream.Position
		for _, a := range actions {
			if a.To == 2 && len(a.Chunks) > 0 {
				sent = append(sent, a.Part)
			}
		}
		want := at(8)
		if away {
			want = at(9)
		}
		if !slices.Equal(sent, []stream.Position{want}) {
			t.Errorf("given away: %t: sent of %v, want of %v", away, sent, want)
		}
	}
}
