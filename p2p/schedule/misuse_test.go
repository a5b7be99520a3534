package schedule

import (
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// Each comment here tells what went wrong once.

// blocked is an uplink that never has room.
type blocked int

func (blocked) Take(int, time.Time) time.Duration { return time.Second }
func (b blocked) Rate() int                       { return int(b) }

// A neighbour that says "no part after <far ahead>" is fed for ever, and is not
// counted as a child.
func TestStandingFarAheadIsNotFedForEver(t *testing.T) {
	x, now := fed(t)
	x.Neighbour(2, true, 50*time.Millisecond)
	all, none := Mask(1<<Stripes-1), Mask(0)
	x.Metadata(2, at(0), Metadata{Standing: &all}, now)
	x.Step(now)
	if x.children() == 0 {
		t.Fatal("no promise")
	}
	x.Metadata(2, stream.Position{Epoch: 1 << 60}, Metadata{Standing: &none}, now)
	for part := range uint32(20) {
		now = now.Add(500 * time.Millisecond)
		x.Header(header(part+1), now)
		x.Metadata(1, at(part+1), Metadata{}, now)
		x.Metadata(2, at(part+1), Metadata{}, now)
		x.Step(now)
	}
	fed := 0
	for s := range Stripes {
		if x.peers[2].takes(s, at(20)) {
			fed++
		}
	}
	if fed > 0 {
		t.Errorf("10 s later it still gets %d stripes, of which %d are counted", fed, x.children())
	}
}

// A neighbour that promises "all after <far ahead>" stays the parent of all stripes
// without ever sending anything.
func TestGrantFarAheadIsLeft(t *testing.T) {
	for _, pos := range []stream.Position{at(0), {Epoch: 1 << 60}} {
		x := New(Config{Uplink: unlimited(100e6), Seed: 1})
		x.Neighbour(1, true, 50*time.Millisecond)
		now := start
		x.Header(header(0), now)
		x.Metadata(1, at(0), Metadata{State: strong()}, now)
		x.Step(now)
		now = now.Add(50 * time.Millisecond)
		all := Mask(1<<Stripes - 1)
		x.Metadata(1, pos, Metadata{Grants: &all}, now)
		x.Neighbour(2, false, 50*time.Millisecond) // has all, and is no parent
		lost := false
		for part := uint32(1); part < 40; part++ {
			now = now.Add(20 * time.Millisecond)
			x.Header(header(part), now)
			x.Metadata(1, at(part), Metadata{}, now) // it speaks, and claims nothing
			x.Metadata(2, at(part), Metadata{Have: stream.Bitmap{255, 255}}, now)
			for range 24 {
				actions, _ := x.Step(now)
				for _, a := range metas(actions, 2) {
					for i := range 16 {
						if a.Meta.Want.Get(i) && x.Admit(2, a.Part, i, false, now) == Accept {
							x.Got(2, a.Part, i, AgeUnknown, false, now)
						}
					}
				}
				now = now.Add(20 * time.Millisecond)
			}
			lost = lost || x.Stats().Fed < Stripes
		}
		if !lost {
			t.Errorf("promised after %v: sent nothing in 20 s, and is still the parent of %d stripes", pos, x.Stats().Fed)
		}
	}
}

// Grants are told while another stripe's answer is pending; the neighbour takes
// that as a refusal.
func TestNoRefusalWhilePending(t *testing.T) {
	x, now := fed(t)
	x.Neighbour(2, true, 50*time.Millisecond)
	first, second := mask(0), mask(5)
	x.Metadata(2, at(0), Metadata{Standing: &first}, now)
	x.Step(now)
	// It found a better parent of 0, and asks for 5, of part 1, of which there is no header here.
	x.Metadata(2, at(1), Metadata{Standing: &second}, now)
	x.parts[at(0)].dirty = true // any news of part 0
	actions, _ := x.Step(now)
	for _, a := range metas(actions, 2) {
		if a.Meta.Grants != nil && !a.Meta.Grants.Has(5) {
			t.Errorf("said grants %b while stripe 5 is pending: %b", *a.Meta.Grants, x.peers[2].pending)
		}
	}
}

// Neighbours without any uplink hide that room is scarce.
func TestNeighboursWithoutSlotsAreScarcity(t *testing.T) {
	x, now := fed(t)
	s := strong()
	s.Slots, s.Free = 40, 0
	x.Metadata(1, at(0), Metadata{State: s}, now)
	if !x.scarce() {
		t.Fatal("not scarce")
	}
	leech := strong()
	leech.Slots, leech.Free, leech.Room = 0, 0, 0
	x.Neighbour(2, true, 0)
	x.Metadata(2, at(0), Metadata{State: leech}, now)
	if !x.scarce() {
		t.Error("one neighbour that can feed nobody, and there is room")
	}
}

// Free above Slots is believed.
func TestFreeAboveSlots(t *testing.T) {
	x, now := fed(t)
	full := strong()
	full.Slots, full.Free = 100, 0
	x.Metadata(1, at(0), Metadata{State: full}, now)
	x.Neighbour(2, true, 0)
	liar := strong()
	liar.Slots, liar.Free = 1, 255
	x.Metadata(2, at(0), Metadata{State: liar}, now)
	if !x.scarce() {
		t.Error("1 slot, 255 of it free, and there is room")
	}
}

// What was measured of the queue is told for ever after the last child left.
func TestQueueIsForgotten(t *testing.T) {
	x, now := fed(t)
	x.waited = 2 * time.Second // it fell behind, and all children left
	for part := uint32(1); part < 100; part++ {
		now = now.Add(500 * time.Millisecond)
		x.Header(header(part), now)
		x.Step(now)
	}
	if q := x.state().Queue.Duration(); q > 500*time.Millisecond {
		t.Errorf("50 s later it tells that chunks wait %v, and nothing waits", q)
	}
}

// Two users of the uplink whose clocks differ by milliseconds get more than it carries.
func TestBucketCountsTimeOnce(t *testing.T) {
	u := NewUplink(8_000_000) // 930,000 bytes per second for chunks
	sent := 0
	for ms := range 10_000 {
		now := start.Add(time.Duration(ms) * time.Millisecond)
		for _, clock := range []time.Time{now, now.Add(-5 * time.Millisecond)} { // another loop's, that began to step earlier
			if u.Take(1000, clock) == 0 {
				sent += 1000
			}
		}
	}
	if most := 10 * 940_000; sent > most {
		t.Errorf("%d bytes in 10 s, want at most %d", sent, most)
	}
}

// Chunks taken in one sample and sent in the next count as overhead.
func TestChunksAreNoOverhead(t *testing.T) {
	u := NewUplink(8_000_000)
	before := u.Rate()
	var s UplinkSample
	now := start
	u.Observe(s, now)
	for range 100 {
		now = now.Add(200 * time.Millisecond)
		for range 5 {
			u.Take(20_000, now)
			now = now.Add(40 * time.Millisecond)
		}
		u.Observe(s, now)
		now = now.Add(200 * time.Millisecond)
		s.Sent += 98_000 // a connection's window held them back: not a byte more than chunks
		u.Observe(s, now)
	}
	if after := u.Rate(); after < before*97/100 {
		t.Errorf("%d bit/s for chunks although nothing but chunks was sent, was %d", after, before)
	}
}

// twoChildren returns a broadcaster with children 2 and 3 that have all stripes.
func twoChildren(t *testing.T) (*Exchange, time.Time) {
	t.Helper()
	x := New(Config{Source: true, Uplink: unlimited(2_000_000), Seed: 1})
	now := start
	h := header(0)
	h.Own = true
	for id := Peer(2); id < 4; id++ {
		x.Neighbour(id, true, 20*time.Millisecond)
	}
	x.Header(h, now)
	for id := Peer(2); id < 4; id++ {
		s := strong()
		s.Slots, s.Free = 20, 10
		x.Metadata(id, at(0), Metadata{State: s}, now)
	}
	x.Step(now)
	now = now.Add(acquaint + 100*time.Millisecond)
	x.Step(now)
	for id := Peer(2); id < 4; id++ {
		want := mask(0, 1, 2, 3, 4, 5, 6, 7)
		if id == 3 {
			want = ^want
		}
		x.Metadata(id, at(0), Metadata{Standing: &want}, now)
	}
	x.Step(now)
	if x.children() != Stripes {
		t.Fatalf("%d children, want %d", x.children(), Stripes)
	}
	return x, now
}

// A neighbour that says it is strong and wants nothing has the broadcaster take its
// stripes from all others.
func TestShareIsNotKeptForWhoWantsNothing(t *testing.T) {
	x, now := twoChildren(t)
	x.Neighbour(4, true, 20*time.Millisecond)
	s := strong()
	s.Slots, s.Free = 255, 255
	x.Metadata(4, at(0), Metadata{State: s}, now)
	for part := uint32(1); part < 20; part++ {
		for range 10 {
			now = now.Add(50 * time.Millisecond)
			x.Step(now)
		}
		h := header(part)
		h.Own = true
		x.Header(h, now)
		for id := Peer(2); id < 5; id++ {
			x.Metadata(id, at(part), Metadata{}, now)
		}
	}
	if fed := x.children(); fed < Stripes-2 {
		t.Errorf("%d of %d stripes are given away, for the sake of one that never asked", fed, Stripes)
	}
}

// Among many neighbours the share of each is less than a stripe: it is given to as many
// as there are stripes, and nobody has to beg for it.
func TestManyNeighboursShareTheStripes(t *testing.T) {
	for _, neighbours := range []Peer{2, 16, 33, 64} {
		x := New(Config{Source: true, Uplink: unlimited(100e6), Seed: 1})
		now := start
		all := ^Mask(0)
		for id := range neighbours {
			x.Neighbour(2+id, true, 20*time.Millisecond)
			x.Metadata(2+id, at(0), Metadata{State: strong()}, now)
		}
		for part := range uint32(3) {
			h := header(part)
			h.Own = true
			x.Header(h, now)
			for id := range neighbours {
				x.Metadata(2+id, at(part), Metadata{Standing: &all}, now)
			}
			for range 8 {
				now = now.Add(reviewEvery)
				x.Step(now)
			}
		}
		extra := 0
		for _, n := range x.ids {
			extra += n.extra.Count()
		}
		if x.children() != Stripes || extra > 0 {
			t.Errorf("%d neighbours: %d children, %d beyond their share, want %d and none", neighbours, x.children(), extra, Stripes)
		}
	}
}

// For one promise beyond the share that is over, several are taken back.
func TestOneForOneExtra(t *testing.T) {
	x, now := twoChildren(t)
	const s = 0 // of neighbour 2, which passes it on
	x.peers[2].state.Feeds = mask(s)
	for id := Peer(5); id < 7; id++ { // 5 feeds nobody, 6 does
		x.Neighbour(id, false, 0)
		n := x.peers[id]
		n.grants, n.toldGrant, n.want, n.extra, n.extraAt[s] = mask(s), mask(s), mask(s), mask(s), now
	}
	x.peers[6].state.Feeds = mask(s)
	x.peers[5].extraFor = time.Hour
	x.peers[6].extraFor = 6 * reviewEvery
	for range 10 {
		now = now.Add(reviewEvery)
		x.Step(now)
	}
	if x.stats.Revoked != 1 {
		t.Errorf("%d promises were taken back, want 1", x.stats.Revoked)
	}
}

// What was to be promised beyond the share stays marked when the wish is withdrawn.
func TestExtraEndsWithTheWish(t *testing.T) {
	x, now := twoChildren(t)
	for id := Peer(2); id < 4; id++ {
		x.peers[id].state.Free = 0 // scarce
	}
	x.Neighbour(4, false, 0)
	want, none := mask(0), Mask(0)
	x.Metadata(4, at(1), Metadata{Standing: &want}, now) // of a part to come
	if n := x.peers[4]; !n.extra.Has(0) || !n.pending.Has(0) {
		t.Fatalf("extra %b, pending %b", n.extra, n.pending)
	}
	x.Metadata(4, at(1), Metadata{Standing: &none}, now)
	if n := x.peers[4]; n.extra&^(n.grants|n.pending) != 0 {
		t.Errorf("extra %b, of promises %b", n.extra, n.grants|n.pending)
	}
}

// A peer that wants and does not want in turns fills the queue without end.
func TestQueueIsBounded(t *testing.T) {
	x := New(Config{Source: true, Uplink: blocked(1_000_000), Seed: 1})
	x.Neighbour(2, true, 0)
	h := header(0)
	h.Own = true
	x.Header(h, start)
	x.Neighbour(3, true, 0) // what waits for it keeps the others' from being cancelled
	x.Metadata(3, at(0), Metadata{Want: stream.Bitmap{255, 255}}, start)
	for range 1000 {
		x.Metadata(2, at(0), Metadata{Want: stream.Bitmap{255, 255}}, start)
		x.Metadata(2, at(0), Metadata{}, start)
		x.Step(start)
	}
	x.Metadata(2, at(0), Metadata{Want: stream.Bitmap{255, 255}}, start)
	x.Step(start)
	if n := len(x.queue); n > 10*16 {
		t.Errorf("%d items wait for one peer and 16 chunks", n)
	}
}

// Few peers use up the parts that may be known before their headers.
func TestUnknownPartsAreSharedOut(t *testing.T) {
	x, now := fed(t)
	for id := Peer(2); id < 6; id++ { // p2p lets each open 32 groups
		x.Neighbour(id, false, 0)
		for k := range uint32(32) {
			x.Metadata(id, stream.Position{Epoch: 9, Segment: uint64(id), Part: k}, Metadata{}, now)
		}
	}
	if v := x.Admit(1, at(1), 0, false, now); v != Early {
		t.Errorf("a parent's chunk that outran its header: verdict %v, want Early", v)
	}
}

// The age that a parent claims is believed though the header came long before.
func TestAgeIsNoLessThanSinceTheHeader(t *testing.T) {
	x, now := fed(t)
	x.Header(header(1), now)
	now = now.Add(2 * time.Second)
	if x.Admit(1, at(1), 0, false, now) != Accept {
		t.Fatal("not accepted")
	}
	x.Got(1, at(1), 0, 0, false, now)
	if age := x.parts[at(1)].age[0]; age < 2*time.Second {
		t.Errorf("a chunk that came 2 s after its header is taken for %v old", age)
	}
}

// A stream that ended or pauses keeps its promises' share of the uplink from others.
func TestSilentStreamReservesNothing(t *testing.T) {
	x, now := fed(t)
	x.Neighbour(2, true, 50*time.Millisecond)
	all := Mask(1<<Stripes - 1)
	x.Metadata(2, at(0), Metadata{Standing: &all}, now)
	for range 100 {
		now = now.Add(time.Minute)
		x.Metadata(2, at(0), Metadata{}, now)
		x.Step(now)
	}
	if bits := x.Promised(); bits != 0 {
		t.Errorf("%d bit/s are promised of a stream without a part for 100 minutes", bits)
	}
}
