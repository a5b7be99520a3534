package stream

import (
	"runtime"
	"slices"
	"testing"
	"time"
)

// pastHeader makes part i of parts of half a second, four to a segment, unsigned.
func pastHeader(i int) *SignedHeader {
	h := firstPart()
	h.Stream, h.Epoch, h.Segment, h.Part = testKey.ID(), 1, uint64(i/4), uint32(i%4)
	h.Last = i%4 == 3
	h.ProgramTime = began.Add(time.Duration(i) * 500 * time.Millisecond)
	return &SignedHeader{Header: h, raw: []byte{byte(i), byte(i >> 8), byte(i >> 16)}}
}

func addPart(t *testing.T, tl *Timeline, i int) {
	t.Helper()
	if err := tl.Add(pastHeader(i), began); err != nil {
		t.Fatalf("part %d: %v", i, err)
	}
}

func pastHeaders(from, to int) (out []*SignedHeader) {
	for i := from; i < to; i++ {
		out = append(out, pastHeader(i))
	}
	return out
}

func TestTimelineRetainsSoMuchTime(t *testing.T) {
	const hour = 7200 // parts
	tl := NewTimeline(testKey.ID(), firstPart().Rendition)
	tl.Retain(time.Hour, nil)
	for i := range 2 * hour {
		addPart(t, tl, i)
	}
	if n, first := tl.Len(), tl.From(Position{})[0]; n != hour || first.Position != pastHeader(hour).Position {
		t.Errorf("%d headers from %v on, want %d", n, first.Position, hour)
	}
	if err := tl.Add(pastHeader(hour-1), began); err == nil {
		t.Error("a header from before the hour was taken")
	}
}

func TestTimelineRetainsWhatTheStoreHolds(t *testing.T) {
	store := NewStore(0)
	tl := NewTimeline(testKey.ID(), firstPart().Rendition)
	tl.Retain(0, store)
	// Something of the first part is held, until it goes.
	held := pastHeader(0)
	held.Header = describe(held.Header, []byte("grapes"))
	store.Put(Chunk{held, 0, []byte("grapes")})
	if err := tl.Add(held, began); err != nil {
		t.Fatal(err)
	}
	for i := 1; i < MaxTimeline+100; i++ {
		addPart(t, tl, i)
	}
	if tl.Len() != MaxTimeline+100 {
		t.Errorf("%d headers, want all %d since the one that is held", tl.Len(), MaxTimeline+100)
	}
	store.Drop(testKey.ID())
	addPart(t, tl, MaxTimeline+100)
	if tl.Len() != MaxTimeline {
		t.Errorf("%d headers when nothing is held any more, want %d", tl.Len(), MaxTimeline)
	}
}

func TestTimelineRetainsWithinItsBounds(t *testing.T) {
	tl := NewTimeline(testKey.ID(), firstPart().Rendition)
	tl.Retain(1000*time.Hour, nil)
	for i := range MaxHistory + 100 {
		addPart(t, tl, i)
	}
	if tl.Len() != MaxHistory {
		t.Errorf("%d headers, want %d at most", tl.Len(), MaxHistory)
	}
	// The largest headers there are.
	tl = NewTimeline(testKey.ID(), firstPart().Rendition)
	tl.Retain(1000*time.Hour, nil)
	for i := range 6000 {
		h := pastHeader(i)
		h.raw, h.Chunks = make([]byte, MaxHeaderSize), make([]Hash, MaxChunks)
		if err := tl.Add(h, began); err != nil {
			t.Fatal(err)
		}
	}
	if size := tl.Len() * (MaxHeaderSize + MaxChunks*HashSize); size > MaxHistoryBytes || size < MaxHistoryBytes*9/10 {
		t.Errorf("%d headers of the largest size take %d bytes, want at most %d", tl.Len(), size, MaxHistoryBytes)
	}
}

// TestMemoryOfAHistory measures what four hours of headers take at 4 Mbit/s.
func TestMemoryOfAHistory(t *testing.T) {
	const parts = 4 * 7200
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	data := pattern(250_000)
	h := describe(firstPart(), data)
	signed, err := testKey.sign(h)
	if err != nil {
		t.Fatal(err)
	}
	before := heap()
	tl := NewTimeline(testKey.ID(), h.Rendition)
	tl.Retain(5*time.Hour, nil)
	for i := range parts {
		// As OpenHeader makes them, without the cost of verifying.
		read, err := parseHeader(testKey.ID(), h.marshal())
		if err != nil {
			t.Fatal(err)
		}
		read.Segment, read.Part = uint64(i/4), uint32(i%4)
		if i%4 > 0 {
			read.Media = nil
		}
		if err := tl.Add(&SignedHeader{Header: *read, raw: slices.Clone(signed.raw)}, began); err != nil {
			t.Fatal(err)
		}
	}
	took := int(heap() - before)
	t.Logf("%d headers of %d bytes take %.1f MB, %d bytes each; %d were reckoned", tl.Len(), len(signed.raw), float64(took)/1e6, took/parts, tl.bytes/parts)
	if tl.Len() != parts {
		t.Errorf("%d headers are kept, want all %d", tl.Len(), parts)
	}
	if took > tl.bytes*5/4 || took < tl.bytes/2 {
		t.Errorf("they take %d bytes, of which %d were reckoned", took, tl.bytes)
	}
}

func TestAddPast(t *testing.T) {
	tl := NewTimeline(testKey.ID(), firstPart().Rendition)
	if added, _ := tl.AddPast(pastHeaders(0, 4)); added != 0 {
		t.Error("an empty timeline has a past")
	}
	for i := 20; i < 24; i++ {
		addPart(t, tl, i)
	}
	changed := tl.Changed()
	twice := pastHeader(21)
	twice.raw = []byte("another")
	foreign := pastHeader(3)
	foreign.Rendition = "other"
	headers := slices.Concat(pastHeaders(10, 20), pastHeaders(10, 12), []*SignedHeader{twice, foreign}, pastHeaders(22, 30))
	slices.Reverse(headers)
	added, equivocations := tl.AddPast(headers)
	if added != 10 || equivocations != 1 || !fired(changed) {
		t.Errorf("%d added and %d equivocations, woken: %t; want 10 and 1, and woken", added, equivocations, fired(changed))
	}
	for i, h := range tl.From(Position{}) {
		if h.Position != pastHeader(10+i).Position {
			t.Fatalf("header %d is %v", i, h.Position)
		}
	}
	if tl.Len() != 14 {
		t.Errorf("%d headers, want 14", tl.Len())
	}
	changed = tl.Changed()
	if added, _ := tl.AddPast(pastHeaders(10, 14)); added != 0 || fired(changed) {
		t.Error("known headers are news")
	}
}

func TestThePastTakesNoRoomFromThePresent(t *testing.T) {
	tl := NewTimeline(testKey.ID(), firstPart().Rendition)
	for i := 8000; i < 8000+MaxTimeline-10; i++ {
		addPart(t, tl, i)
	}
	if added, _ := tl.AddPast(pastHeaders(7000, 8000)); added != 10 || tl.From(Position{})[0].Position != pastHeader(7990).Position {
		t.Errorf("%d headers of the past were taken, from %v on, want the 10 newest", added, tl.From(Position{})[0].Position)
	}
	addPart(t, tl, 8000+MaxTimeline-10)
	if tl.Len() != MaxTimeline {
		t.Errorf("%d headers", tl.Len())
	}
}

func TestSegmentIsWholeOrNil(t *testing.T) {
	tl := NewTimeline(testKey.ID(), firstPart().Rendition)
	for i := range 12 {
		if i != 6 && i != 11 {
			addPart(t, tl, i)
		}
	}
	for number, want := range map[uint64]int{0: 4, 1: 0, 2: 0, 3: 0} {
		if got := tl.Segment(1, number); len(got) != want {
			t.Errorf("segment %d: %d headers, want %d", number, len(got), want)
		}
	}
	if tl.Segment(2, 0) != nil {
		t.Error("a segment of an epoch that is not known")
	}
}
