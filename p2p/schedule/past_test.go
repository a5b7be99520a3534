package schedule

import (
	"slices"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// of returns the header of the first part of a segment.
func of(segment uint64) Part {
	h := header(0)
	h.Position = stream.Position{Epoch: 1, Segment: segment}
	return h
}

// tellLate tells the headers of some segments' first parts, late, and that peers have all of these.
func tellLate(x *Exchange, segments uint64, now time.Time, peers ...Peer) {
	for segment := range segments {
		h := of(segment)
		h.Late = true
		x.Header(h, now)
		for _, id := range peers {
			x.Metadata(id, h.Position, Metadata{Have: whole(), State: strong()}, now)
		}
	}
}

// few is an uplink that has room for so many chunks.
type few int

func (f *few) Take(int, time.Time) time.Duration {
	if *f == 0 {
		return time.Second
	}
	*f--
	return 0
}
func (*few) Rate() int { return 100e6 }

func TestWhatIsPlayedNowIsSentBeforeThePast(t *testing.T) {
	room := few(2)
	x := New(Config{Uplink: &room, Seed: 1})
	x.Neighbour(1, false, 50*time.Millisecond)
	now := start
	for segment := range uint64(4) {
		h := of(segment)
		h.Have = stream.NewBitmap(h.Chunks)
		for i := range h.Chunks {
			h.Have.Set(i)
		}
		x.Header(h, now)
	}
	var sent []uint64
	for segment := range uint64(4) {
		want := stream.NewBitmap(16)
		want.Set(3)
		x.Metadata(1, of(segment).Position, Metadata{Want: want}, now)
	}
	actions, _ := x.Step(now)
	for _, a := range actions {
		if len(a.Chunks) > 0 {
			sent = append(sent, a.Part.Segment)
		}
	}
	if want := []uint64{2, 3}; !slices.Equal(sent, want) {
		t.Errorf("sent of the segments %v first, want %v", sent, want)
	}
}

// TestWhatIsPlayedNowIsSentBeforeWhatWasPromisedLongAgo has a broadcaster's way to its only child be
// full for five segments.
func TestWhatIsPlayedNowIsSentBeforeWhatWasPromisedLongAgo(t *testing.T) {
	x := New(Config{Source: true, Uplink: unlimited(100e6), Seed: 1})
	now := start
	x.Neighbour(2, true, 20*time.Millisecond)
	child := x.peers[2]
	publish := func(segment uint64) (sent []uint64) {
		h := of(segment)
		h.Own, h.Have = true, whole()
		x.Header(h, now)
		stripe := mask(5)
		x.Metadata(2, h.Position, Metadata{State: strong(), Standing: &stripe}, now)
		actions, _ := x.Step(now)
		for _, a := range actions {
			for range a.Chunks {
				sent = append(sent, a.Part.Segment)
			}
		}
		now = now.Add(500 * time.Millisecond)
		return sent
	}
	publish(0)
	publish(1)
	child.window, child.inflight = 1, 1
	for segment := range uint64(5) {
		if sent := publish(2 + segment); len(sent) > 0 {
			t.Fatalf("sent of %v, and there is no room", sent)
		}
	}
	child.window, child.inflight = 3*of(0).ChunkSize, 0
	x.unpark(child, now)
	sent := publish(7)
	slices.Sort(sent)
	if want := []uint64{3, 6, 7}; !slices.Equal(sent, want) {
		t.Errorf("sent of the segments %v first, want %v", sent, want)
	}
}

func TestThePastIsFetchedOfWhoHasIt(t *testing.T) {
	x := New(Config{Uplink: unlimited(100e6), Seed: 1})
	x.Neighbour(1, true, 50*time.Millisecond)
	x.Neighbour(2, true, 50*time.Millisecond)
	now := start
	tellLate(x, 4, now, 2)
	x.Step(now)
	asked := func(segment uint64) bool {
		pp := x.parts[of(segment).Position].peers[2]
		return pp.asked.Count() > 0
	}
	if asked(0) || asked(1) {
		t.Error("the past was wanted of a neighbour")
	}
	if !asked(2) && !asked(3) {
		t.Error("nothing of the last segments was wanted of the neighbour that has it")
	}
	limits := HoleLimits{Bytes: 1 << 20, Parts: 64, Fetches: 8}
	holes, has, _ := x.Holes(limits, now)
	if len(holes) == 0 || holes[0].Part.Segment != 0 || !slices.Equal(has, []Peer{2}) {
		t.Errorf("holes %v, which %v have, want those of segment 0, which peer 2 has", holes, has)
	}
	// What cannot be fetched is wanted all the same.
	for range vainFetches {
		holes, _, _ = x.Holes(limits, now)
		x.Fetching(1, holes, now)
		x.Fetched(1, holes, true)
	}
	x.Step(now)
	if !asked(0) {
		t.Error("what was fetched in vain is not wanted of the neighbour that has it")
	}
}

// TestThePastLeavesRoomForWhatOutrunsItsHeader has a parent speak of many parts of which the headers
// never come, as this node was away when they were told, and then send a chunk a moment before its
// part's header.
func TestThePastLeavesRoomForWhatOutrunsItsHeader(t *testing.T) {
	x, now := fed(t)
	have := stream.NewBitmap(16)
	have.Set(0)
	for part := range uint32(3 * maxOpened) {
		x.Metadata(1, at(part+1), Metadata{Have: have}, now)
	}
	next := at(3*maxOpened + 1)
	if v := x.Admit(1, next, 0, false, now); v != Early {
		t.Errorf("the verdict is %v, want to keep the chunk until its header is here", v)
	}
	if n := x.peers[1]; n.opened != maxOpened || x.unknown != maxOpened || len(x.order) != maxOpened+1 {
		t.Errorf("%d parts are unknown, %d of them opened by a neighbour, %d kept; want %d and the known one", x.unknown, n.opened, len(x.order), maxOpened)
	}
	if v := x.Admit(1, at(1), 0, false, now); v == Early {
		t.Error("an old part took the place of a newer one")
	}
}

func TestThePastCanWaitForLateLiveParts(t *testing.T) {
	x := New(Config{Uplink: unlimited(100e6), Seed: 1})
	now := start
	for segment := range uint64(6) {
		h := of(segment)
		h.Late = segment < 5
		x.Header(h, now)
	}
	if x.Pressed(now.Add(pressedAfter)) || !x.Pressed(now.Add(pressedAfter+1)) {
		t.Errorf("live parts are not late after %v", pressedAfter)
	}
	limits := HoleLimits{Bytes: 1 << 20, Parts: 64, Fetches: 8, NoPast: true}
	holes, _, _ := x.Holes(limits, now.Add(time.Second))
	for _, h := range holes {
		if x.Past(h.Part) {
			t.Errorf("segment %d is among the holes of the last two", h.Part.Segment)
		}
	}
	if len(holes) == 0 {
		t.Error("the last segments are not among the holes")
	}
	for i := range 16 {
		x.Got(None, of(5).Position, i, 0, true, now)
	}
	if x.Pressed(now.Add(time.Minute)) {
		t.Error("live parts are late that are there")
	}
}
