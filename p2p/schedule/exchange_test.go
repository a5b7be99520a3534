package schedule

import (
	"container/heap"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

var start = time.Unix(1e9, 0)

// unlimited is an uplink without a bound, or with a rate that is never reached.
type unlimited int

func (unlimited) Take(int, time.Time) time.Duration { return 0 }
func (u unlimited) Rate() int                       { return int(u) }

func at(part uint32) stream.Position { return stream.Position{Epoch: 1, Part: part} }

func header(part uint32) Part {
	return Part{Position: at(part), Size: 16 * 1000, ChunkSize: 1000, Chunks: 16, Duration: 500 * time.Millisecond, Wanted: true}
}

func mask(stripes ...int) (m Mask) {
	for _, s := range stripes {
		m |= 1 << s
	}
	return m
}

// strong is the state of a neighbour next to the broadcaster that has room everywhere.
func strong() *State {
	s := State{Slots: 100, Free: 100, Room: 1<<Stripes - 1}
	for i := range s.Hops {
		s.Hops[i] = 1
	}
	return &s
}

// metas returns what was said to a peer.
func metas(actions []Action, to Peer) (out []Action) {
	for _, a := range actions {
		if a.To == to && a.Meta != nil {
			out = append(out, a)
		}
	}
	return out
}

// fed returns an exchange that peer 1 feeds all stripes of the parts after part 0.
func fed(t *testing.T) (*Exchange, time.Time) {
	t.Helper()
	x := New(Config{Uplink: unlimited(100e6), Seed: 1})
	x.Neighbour(1, true, 50*time.Millisecond)
	now := start
	x.Header(header(0), now)
	x.Metadata(1, at(0), Metadata{State: strong()}, now)
	actions, _ := x.Step(now)
	said := metas(actions, 1)
	if len(said) == 0 || said[0].Meta.Standing == nil || *said[0].Meta.Standing != 1<<Stripes-1 {
		t.Fatalf("said %+v, want all stripes wanted", said)
	}
	now = now.Add(50 * time.Millisecond)
	x.Metadata(1, at(0), Metadata{Grants: said[0].Meta.Standing}, now)
	if s := x.Stats(); s.Fed != Stripes {
		t.Fatalf("%d stripes are fed, want all", s.Fed)
	}
	return x, now
}

func TestPromiseBeginsWithThePartAfterTheOneItWasToldWith(t *testing.T) {
	x, now := fed(t)
	x.Neighbour(2, true, 50*time.Millisecond)
	want := mask(Stripe(at(0), 3))
	x.Metadata(2, at(0), Metadata{Standing: &want}, now)
	actions, _ := x.Step(now)
	said := metas(actions, 2)
	if len(said) != 1 || said[0].Meta.Grants == nil || *said[0].Meta.Grants != want || said[0].Part != at(0) {
		t.Fatalf("said %+v, want the promise with part 0", said)
	}
	n := x.peers[2]
	for s := range Stripes {
		if n.takes(s, at(0)) || n.takes(s, at(1)) != want.Has(s) {
			t.Errorf("stripe %d: takes part 0 %v, part 1 %v", s, n.takes(s, at(0)), n.takes(s, at(1)))
		}
	}
	// It says that it wants no part after 1.
	none := Mask(0)
	x.Metadata(2, at(1), Metadata{Standing: &none}, now)
	s := Stripe(at(0), 3)
	if !n.takes(s, at(1)) || n.takes(s, at(2)) {
		t.Errorf("takes part 1 %v, part 2 %v, want the first only", n.takes(s, at(1)), n.takes(s, at(2)))
	}
}

func TestPromiseWaitsForThePartThatIsSpokenOf(t *testing.T) {
	x, now := fed(t)
	x.Neighbour(2, true, 50*time.Millisecond)
	want := mask(0, 5)
	x.Metadata(2, at(1), Metadata{Standing: &want}, now) // of which there is no header here
	actions, _ := x.Step(now)
	for _, a := range metas(actions, 2) {
		if a.Meta.Grants != nil {
			t.Fatalf("promised %v with part %v already", *a.Meta.Grants, a.Part)
		}
	}
	x.Header(header(1), now)
	actions, _ = x.Step(now)
	said := metas(actions, 2)
	if len(said) != 1 || said[0].Part != at(1) || said[0].Meta.Grants == nil || *said[0].Meta.Grants != want {
		t.Fatalf("said %+v, want the promise with part 1", said)
	}
}

func TestNobodyFeedsWhatNobodyFeedsIt(t *testing.T) {
	x := New(Config{Uplink: unlimited(100e6)})
	x.Neighbour(2, true, 0)
	x.Header(header(0), start)
	want := mask(1)
	x.Metadata(2, at(0), Metadata{Standing: &want}, start)
	x.Step(start)
	if x.Promised() != 0 || x.room() != 0 {
		t.Errorf("promised %d bit/s, room for %b", x.Promised(), x.room())
	}
}

func TestPromisesKeepToTheUplink(t *testing.T) {
	for _, c := range []struct{ rate, most int }{{100_000, 6}, {256_000, 16}, {1e9, Stripes * mostFanout}} {
		x, now := fed(t)
		x.cfg.Uplink = unlimited(c.rate)
		all := Mask(1<<Stripes - 1)
		for id := Peer(2); id < 100; id++ {
			x.Neighbour(id, true, 0)
			x.Metadata(id, at(0), Metadata{Standing: &all}, now)
		}
		if got := x.children(); got > c.most {
			t.Errorf("%d bit/s: %d promises, want at most %d", c.rate, got, c.most)
		}
	}
}

func TestLateChunkIsWantedFromAnother(t *testing.T) {
	x, now := fed(t)
	x.Neighbour(2, true, 50*time.Millisecond)
	x.Metadata(2, at(0), Metadata{State: strong()}, now)
	x.Header(header(1), now)
	have := stream.NewBitmap(16)
	have.Set(4)
	x.Metadata(2, at(1), Metadata{Have: have}, now)
	x.Metadata(1, at(1), Metadata{}, now)
	wanted := func() bool { return x.parts[at(1)].asks[4].from == 2 }
	if x.Step(now); wanted() {
		t.Fatal("wanted although its parent has time")
	}
	now = now.Add(firstLag + 10*time.Millisecond)
	if x.Step(now); !wanted() {
		t.Fatal("not wanted although its parent is late")
	}
	if v := x.Admit(2, at(1), 4, false, now); v != Accept {
		t.Fatalf("verdict %v", v)
	}
	x.Got(2, at(1), 4, 0, false, now)
	if v := x.Admit(1, at(1), 4, false, now); v != Duplicate {
		t.Errorf("verdict %v on what the parent sent late", v)
	}
	if v := x.Admit(2, at(1), 5, false, now); v != Unsolicited {
		t.Errorf("verdict %v on what nobody wanted", v)
	}
}

func TestFetchFromTheDeadGivesWayToANeighbour(t *testing.T) {
	for _, c := range []struct {
		name              string
		speaks, announces bool // the peer that it is fetched from speaks; the other neighbour has the chunk
		from              Peer // that the chunk is wanted from in the end
	}{
		{"dead, and another has it", false, true, 2},
		{"dead, and nobody else has it", false, false, 1},
		{"alive", true, true, 1},
	} {
		x := New(Config{Uplink: unlimited(100e6), Seed: 1})
		x.Neighbour(1, true, 50*time.Millisecond)
		x.Neighbour(2, true, 50*time.Millisecond)
		now := start
		x.Header(header(0), now)
		want, have := stream.NewBitmap(16), stream.NewBitmap(16)
		want.Set(4)
		if c.announces {
			have.Set(4)
		}
		x.Metadata(1, at(0), Metadata{}, now)
		x.Fetching(1, []Hole{{at(0), want}}, now)
		for range 20 {
			now = now.Add(50 * time.Millisecond)
			x.Metadata(2, at(0), Metadata{Have: have}, now)
			if c.speaks {
				x.Metadata(1, at(0), Metadata{}, now)
			}
			x.Step(now)
		}
		if a := x.parts[at(0)].asks[4]; a.from != c.from || a.fetch != (c.from == 1) {
			t.Errorf("%s: wanted from %d, fetched %t", c.name, a.from, a.fetch)
		}
		x.Fetched(1, []Hole{{at(0), want}}, true)
		if a := x.parts[at(0)].asks[4]; c.from == 2 && a.from != 2 {
			t.Errorf("%s: wanted from %d when the fetch was over", c.name, a.from)
		}
		if v := x.Admit(1, at(0), 4, true, now); v != Accept {
			t.Errorf("%s: verdict %v on what was fetched", c.name, v)
		}
	}
}

func TestParentThatHadToAskForAllIsLeft(t *testing.T) {
	x, now := fed(t)
	s := Stripe(at(1), 0)
	for part := uint32(1); x.stripes[s].parent == 1; part++ {
		if part > 2*maxPatched {
			t.Fatal("still its child")
		}
		now = now.Add(500 * time.Millisecond)
		x.Header(header(part), now)
		for i := range 16 {
			if Stripe(at(part), i) == s && x.Admit(1, at(part), i, false, now) == Accept {
				x.Got(1, at(part), i, AgeUnknown, false, now)
			}
		}
	}
	if x.Hops()[s] != Unfed {
		t.Errorf("%d hops", x.Hops()[s])
	}
}

func TestAdriftIsSaidAndNobodyFedByItIsAsked(t *testing.T) {
	x, now := fed(t)
	tell := func(id Peer, part uint32, hops uint8) {
		s := strong()
		for i := range s.Hops {
			s.Hops[i] = hops
		}
		x.Metadata(id, at(part), Metadata{State: s}, now)
	}
	for id, hops := range map[Peer]uint8{2: 3, 3: Adrift} {
		x.Neighbour(id, true, 50*time.Millisecond)
		tell(id, 0, hops)
	}
	x.Step(now)
	// The parent lost its own: that is passed on, and it stays the parent.
	x.Header(header(1), now)
	tell(1, 1, Adrift)
	actions, _ := x.Step(now)
	if h := x.Hops()[0]; h != Adrift || x.Parents()[0] != 1 || x.feedable(0) {
		t.Errorf("%d hops, parent %d, may promise %v", h, x.Parents()[0], x.feedable(0))
	}
	if said := metas(actions, 2); len(said) != 1 || said[0].Meta.State == nil || said[0].Meta.State.Hops[0] != Adrift {
		t.Errorf("said %+v, want that it is adrift", said)
	}
	for _, c := range []struct {
		after time.Duration
		next  Peer
	}{{0, None}, {orphaned/2 - time.Millisecond, None}, {orphaned / 2, 2}} {
		now := now.Add(c.after)
		x.Metadata(2, at(1), Metadata{}, now)
		x.Metadata(3, at(1), Metadata{}, now)
		x.chooseAt = time.Time{}
		x.Step(now)
		if got := x.stripes[0].next; got != c.next {
			t.Errorf("after %v: asks %d, want %d", c.after, got, c.next)
		}
	}
	// It found another.
	now = now.Add(orphaned / 2)
	tell(1, 1, 4)
	if h := x.Hops()[0]; h != 5 || !x.feedable(0) {
		t.Errorf("%d hops, may promise %v", h, x.feedable(0))
	}
}

func TestOrphanFirstSeeksAsNearAsItWas(t *testing.T) {
	for _, c := range []struct {
		hops  uint8
		after time.Duration
		asked bool
	}{{2, 0, true}, {3, 0, false}, {3, orphaned / 3, true}, {Adrift, orphaned / 3, false}, {Adrift, 2 * orphaned, false}} {
		x, now := fed(t)
		s := strong()
		for i := range s.Hops {
			s.Hops[i] = c.hops
		}
		x.Neighbour(2, true, 50*time.Millisecond)
		x.Metadata(2, at(0), Metadata{State: s}, now)
		x.Gone(1, now)
		if h := x.Hops()[0]; h != Adrift {
			t.Errorf("%d hops at once", h)
		}
		now = now.Add(c.after)
		x.Metadata(2, at(0), Metadata{}, now)
		x.Step(now)
		if asked := x.stripes[0].next == 2; asked != c.asked {
			t.Errorf("%d hops, after %v: asked %v", c.hops, c.after, asked)
		}
	}
}

func TestForgeryIsSuspect(t *testing.T) {
	x, now := fed(t)
	for i := range maxForged {
		x.Forged(1, at(0), i, now)
		x.Blame(1, at(0), i, now)
	}
	if got := x.Suspects(); len(got) != 1 || got[0] != (Suspect{1, Forges}) {
		t.Errorf("suspects %v", got)
	}
	if got := x.Suspects(); len(got) != 0 {
		t.Errorf("suspects %v once more", got)
	}
}

func TestQueueOrder(t *testing.T) {
	p, next := &part{pos: at(1)}, &part{pos: at(2)}
	want := []item{ // each before the next
		{p: next, seq: 9},
		{p: p, rank: 0, copies: 1, repeat: true},
		{p: p, rank: 1, copies: 0, seq: 1, repeat: true},
		{p: p, rank: 1, copies: 0, seq: 2, repeat: true},
		{p: next, rank: 0, repeat: true},
		{p: p, asked: true, rank: 0, repeat: true},
		{p: p, asked: true, rank: 2, repeat: true},
		{p: next, asked: true, repeat: true},
	}
	var q queue
	for _, k := range rand.New(rand.NewPCG(1, 1)).Perm(len(want)) {
		q.push(want[k])
	}
	for k := range want {
		if got := heap.Pop(&q).(item); got != want[k] {
			t.Errorf("number %d is %+v, want %+v", k, got, want[k])
		}
	}
}

func TestStateIsToldAgain(t *testing.T) {
	base := *strong()
	for _, c := range []struct {
		name   string
		change func(*State)
		after  time.Duration
		want   bool
	}{
		{"nothing changed", func(*State) {}, stateAgain - time.Millisecond, false},
		{"nothing changed for long", func(*State) {}, stateAgain, true},
		{"further away", func(s *State) { s.Hops[3] = 2 }, 0, true},
		{"full", func(s *State) { s.Free = 0 }, 0, true},
		{"less room, at once", func(s *State) { s.Room = 1 }, roomEvery / 2, false},
		{"less room, later", func(s *State) { s.Room = 1 }, roomEvery, true},
		{"slower, at once", func(s *State) { s.Queue = 9 }, stateEvery / 2, false},
		{"slower, later", func(s *State) { s.Queue = 9 }, stateEvery, true},
	} {
		told, s := base, base
		c.change(&s)
		n := &neighbour{toldState: &told, told: start}
		if got := n.stale(&s, start.Add(c.after)); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestDelayIsRounded(t *testing.T) {
	last := time.Duration(-1)
	for d := range 256 {
		v := Delay(d).Duration()
		if v <= last || DelayOf(v) != Delay(d) {
			t.Errorf("%d stands for %v, which is rounded to %d", d, v, DelayOf(v))
		}
		last = v
	}
	for d := time.Duration(0); d < last; d += time.Millisecond {
		unit := delayUnit
		if d >= shortUnits*delayUnit {
			unit = longUnit
		}
		if off := (DelayOf(d).Duration() - d).Abs(); off > unit/2 {
			t.Errorf("%v is off by %v", d, off)
		}
	}
	if DelayOf(time.Hour) != 255 || DelayOf(-time.Second) != 0 {
		t.Errorf("%d and %d", DelayOf(time.Hour), DelayOf(-time.Second))
	}
}

func TestRevealShowsToAllInTime(t *testing.T) {
	for n := 1; n < 20; n++ {
		for turn := range 40 {
			for age := time.Duration(0); age < 10*time.Second; age += Widen {
				shown := 0
				for pos := range n {
					if Reveal(turn, pos, n, age) {
						shown++
					}
				}
				if want := min(n, Copies+int(age/Widen)); shown != want {
					t.Fatalf("n %d turn %d age %v: shown to %d, want %d", n, turn, age, shown, want)
				}
			}
		}
	}
}

// Whatever peers say, nothing breaks, and what is kept of it is bounded.
func FuzzExchange(f *testing.F) {
	f.Add([]byte("grapevine"))
	f.Add([]byte{0, 1, 2, 3, 4, 5, 250, 251, 252, 253, 254, 255})
	long := make([]byte, 4000)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range long {
		long[i] = byte(r.Uint32())
	}
	f.Add(long)
	f.Fuzz(func(t *testing.T, b []byte) {
		next := func() byte {
			if len(b) == 0 {
				return 0
			}
			v := b[0]
			b = b[1:]
			return v
		}
		x := New(Config{Source: next()%4 == 0, Uplink: unlimited(int(next()) * 100_000)})
		now := start
		for len(b) > 0 {
			now = now.Add(time.Duration(next()) * 4 * time.Millisecond)
			peer, pos := Peer(next()%6), stream.Position{Epoch: uint64(next() % 2), Segment: uint64(next() % 40), Part: uint32(next() % 4)}
			switch next() % 8 {
			case 0:
				x.Neighbour(peer, next()%2 == 0, time.Duration(next())*time.Millisecond)
			case 1:
				h := header(0)
				h.Position, h.Own, h.Late = pos, next()%3 == 0, next()%5 == 0
				x.Header(h, now)
			case 2:
				x.Gone(peer, now)
			case 3:
				if i := int(next()); x.Admit(peer, pos, i, next()%4 == 0, now) == Accept {
					x.Got(peer, pos, i, time.Duration(next())*time.Second, false, now)
				}
			case 4:
				i := int(next())
				x.Forged(peer, pos, i, now)
				x.Blame(peer, pos, i, now)
				x.Lost(pos, int(next()%16))
			case 5:
				x.Dropped(peer, pos, now)
				x.Gossip(peer, pos)
			default:
				m := Metadata{Have: stream.Bitmap{next(), next(), next()}, Want: stream.Bitmap{next()}}
				if next()%2 == 0 {
					want, grants := Mask(next())|Mask(next())<<8, Mask(next())|Mask(next())<<8
					m.Standing, m.Grants = &want, &grants
				}
				if next()%2 == 0 {
					s := State{Queue: Delay(next()), Feeds: Mask(next()), Room: Mask(next()), Slots: next(), Free: next()}
					for i := range s.Hops {
						s.Hops[i], s.Delays[i] = next(), Delay(next())
					}
					m.State = &s
				}
				x.Metadata(peer, pos, m, now)
			}
			x.Step(now)
			if x.unknown > maxUnknownParts || x.unknown < 0 || len(x.order) != len(x.parts) {
				t.Fatalf("%d unknown parts, %d of %d in order", x.unknown, len(x.order), len(x.parts))
			}
		}
	})
}

func TestBroadcasterFeedsAnotherSoonAfterAChildDied(t *testing.T) {
	for _, c := range []struct {
		name   string
		silent time.Duration // of child 2, from part 4 on
		all    bool          // neighbour 3, too
		pause  time.Duration // of the stream, after part 3
		fed    Peer          // its stripe in the end
	}{
		{"alive", 0, false, 0, 2},
		{"dead", 2 * time.Second, false, 0, 3},
		{"slow to speak", 300 * time.Millisecond, false, 0, 2},
		{"nobody is heard for a while", 600 * time.Millisecond, true, 0, 2},
		{"the stream pauses", 0, false, time.Second, 2},
		{"a part is late", 0, false, 700 * time.Millisecond, 2},
	} {
		x := New(Config{Source: true, Uplink: unlimited(100e6), Seed: 1})
		now := start
		stripe := mask(5)
		publish := func(part uint32) {
			h := header(part)
			h.Own = true
			x.Header(h, now)
		}
		step := func(d time.Duration) {
			for range d / reviewEvery {
				now = now.Add(reviewEvery)
				x.Step(now)
			}
		}
		speak := func(part uint32) {
			x.Metadata(2, at(part), Metadata{Standing: &stripe}, now)
			x.Metadata(3, at(part), Metadata{}, now)
		}
		for id := Peer(2); id < 4; id++ {
			x.Neighbour(id, true, 20*time.Millisecond)
			x.Metadata(id, at(0), Metadata{State: strong()}, now)
		}
		for part := range uint32(4) {
			publish(part)
			step(100 * time.Millisecond)
			speak(part)
			step(400 * time.Millisecond)
		}
		if !x.peers[2].grants.Has(5) {
			t.Fatalf("%s: it was not fed", c.name)
		}
		step(c.pause)
		silentUntil := now.Add(c.silent)
		for part := range uint32(2) {
			publish(4 + part)
			for range 10 {
				step(reviewEvery)
				// The other one was fed by the child, and asks for the stripe if nobody gets it.
				if now.After(silentUntil) || !c.all {
					x.Metadata(3, at(4+part), Metadata{}, now)
					if x.room().Has(5) {
						x.Metadata(3, at(4+part), Metadata{Standing: &stripe}, now)
					}
				}
				if now.After(silentUntil) {
					x.Metadata(2, at(4+part), Metadata{Standing: &stripe}, now)
				}
			}
		}
		for id := Peer(2); id < 4; id++ {
			if fed := x.peers[id].grants.Has(5); fed != (id == c.fed) {
				t.Errorf("%s: neighbour %d is fed: %t", c.name, id, fed)
			}
		}
	}
}
