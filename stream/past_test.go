package stream

import (
	"slices"
	"testing"
)

// pastStore has room for 16 parts of pastSize bytes, of which two may be of the past.
const pastSize = 4096

func newPastStore() *Store { return NewStore(16 * pastSize) }

func headersOf(parts ...[]Chunk) (out []*SignedHeader) {
	for _, p := range parts {
		out = append(out, p[0].Header())
	}
	return out
}

func TestWhatIsFetchedOfThePastPushesNothingElseOut(t *testing.T) {
	s := newPastStore()
	var live, past [][]Chunk
	for i := range 14 {
		live = append(live, storePart(t, testKey, 100+i, pastSize))
		putAll(s, live[i])
	}
	for i := range 10 {
		past = append(past, storePart(t, testKey, i, pastSize))
		for _, c := range past[i] {
			if !s.PutPast(c) {
				t.Fatal("a chunk of the past is not kept")
			}
		}
	}
	wantParts(t, s, slices.Concat(live, past[8:])...)
	// In a store full of live parts the past has its eighth all the same.
	for i := range 4 {
		live = append(live, storePart(t, testKey, 200+i, pastSize))
		putAll(s, live[14+i])
	}
	wantParts(t, s, slices.Concat(live[4:], past[8:])...)
}

func TestThePastMayUseRoomThatNobodyNeeds(t *testing.T) {
	s := newPastStore()
	var past [][]Chunk
	for i := range 10 {
		past = append(past, storePart(t, testKey, i, pastSize))
		for _, c := range past[i] {
			s.PutPast(c)
		}
	}
	wantParts(t, s, past...)
	var live [][]Chunk
	for i := range 10 {
		live = append(live, storePart(t, testKey, 100+i, pastSize))
		putAll(s, live[i])
	}
	wantParts(t, s, slices.Concat(past[4:], live)...)
	s.Drop(testKey.ID())
	if n := s.Stats().Bytes; n != 0 {
		t.Errorf("%d bytes are left of a stream that was dropped", n)
	}
}

func TestLastingIsWhatStaysWhenMoreComes(t *testing.T) {
	s := newPastStore()
	var parts [][]Chunk
	for i := range 12 {
		parts = append(parts, storePart(t, testKey, i, pastSize))
		putAll(s, parts[i])
	}
	if !s.Lasting(headersOf(parts...), 4.0/16) {
		t.Error("what there is room for does not last")
	}
	for room := range 16 {
		for i := range parts {
			want := i >= room-4 // the oldest go first
			if got := s.Lasting(headersOf(parts[i]), float64(room)/16); got != want {
				t.Errorf("part %d lasts: %t, when %d more come to 12 of 16; want %t", i, got, room, want)
			}
		}
	}
	// It is as it was told.
	for i := range 9 {
		putAll(s, storePart(t, testKey, 100+i, pastSize))
	}
	for i, p := range parts {
		if got := s.Whole(p[0].Header().ID()); got != (i >= 5) {
			t.Errorf("part %d is there: %t", i, got)
		}
	}
	if s.Lasting(headersOf(parts[0]), 0) || s.Lasting(headersOf(parts[4], parts[5]), 0) || !s.Lasting(headersOf(parts[5]), 0) {
		t.Error("what went out lasts, or what did not does not")
	}
	torn := storePart(t, testKey, 200, 2*pastSize)
	s.Put(torn[0])
	if s.Lasting(headersOf(torn), 0) {
		t.Error("half a part lasts")
	}
	old := storePart(t, testKey, 300, pastSize)
	s.PutPast(old[0])
	if !s.Lasting(headersOf(old), 0) || s.Lasting(headersOf(old), 1.0/16) {
		t.Error("a part of the past is there, but lasts in no full store")
	}
}

func TestHeldSpans(t *testing.T) {
	s := newPastStore()
	tl := NewTimeline(testKey.ID(), firstPart().Rendition)
	add := func(h *SignedHeader, chunks []Chunk) {
		if err := tl.Add(h, began); err != nil {
			t.Fatal(err)
		}
		putAll(s, chunks)
	}
	for i := range 10 { // each a segment of one part
		c := storePart(t, testKey, i, pastSize)
		h := c[0].Header()
		h.Last = i != 9 // the last one still grows
		if i == 4 {
			c = nil
		}
		add(h, c)
	}
	epoch := firstPart().Epoch
	if got, want := tl.Held(s, 0), []Span{{epoch, 0, 3}, {epoch, 5, 8}}; !slices.Equal(got, want) {
		t.Errorf("held %v, want %v", got, want)
	}
	if got, want := tl.Held(s, 9.0/16), []Span{{epoch, 2, 3}, {epoch, 5, 8}}; !slices.Equal(got, want) {
		t.Errorf("held for long %v, want %v", got, want)
	}
	span := Span{Epoch: 3, First: 5, Last: 7}
	for _, c := range []struct {
		epoch, segment uint64
		want           bool
	}{{3, 4, false}, {3, 5, true}, {3, 7, true}, {3, 8, false}, {2, 6, false}, {4, 6, false}} {
		if span.Contains(c.epoch, c.segment) != c.want {
			t.Errorf("%v contains %d/%d: %t", span, c.epoch, c.segment, !c.want)
		}
	}
}

func TestHeadersBeforeAPosition(t *testing.T) {
	tl := NewTimeline(testKey.ID(), firstPart().Rendition)
	var all []*SignedHeader
	for i := range 10 {
		h := storePart(t, testKey, i, pastSize)[0].Header()
		if err := tl.Add(h, began); err != nil {
			t.Fatal(err)
		}
		all = append(all, h)
	}
	beyond := Position{Epoch: all[9].Epoch + 1}
	for _, c := range []struct {
		before, from Position
		n            int
		want         []*SignedHeader
	}{
		{beyond, Position{}, 100, all},
		{beyond, Position{}, 3, all[7:]},
		{all[6].Position, Position{}, 2, all[4:6]},
		{all[6].Position, all[3].Position, 100, all[3:6]},
		{all[6].Position, all[6].Position, 100, nil},
		{all[3].Position, all[6].Position, 100, nil},
		{Position{}, Position{}, 100, nil},
		{beyond, beyond, 100, nil},
		{all[6].Position, Position{}, 0, nil},
	} {
		if got := tl.Before(c.before, c.from, c.n); !slices.Equal(got, c.want) {
			t.Errorf("%d before %v from %v, want %d", len(got), c.before, c.from, len(c.want))
		}
	}
}
