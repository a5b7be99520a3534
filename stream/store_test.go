package stream

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// storePart makes the chunks of part number i of a stream, of size bytes.
func storePart(t testing.TB, key Key, i, size int) []Chunk {
	t.Helper()
	h := firstPart()
	h.Stream, h.Segment = key.ID(), uint64(i)
	data := pattern(size)
	h = describe(h, data)
	s, err := key.sign(h)
	if err != nil {
		t.Fatal(err)
	}
	pieces, _ := split(data, h.ChunkSize)
	chunks := make([]Chunk, len(pieces))
	for i, p := range pieces {
		if chunks[i], err = OpenChunk(s, i, p); err != nil {
			t.Fatal(err)
		}
	}
	return chunks
}

func putAll(s *Store, chunks []Chunk) {
	for _, c := range chunks {
		s.Put(c)
	}
}

func fired(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func wantParts(t *testing.T, s *Store, want ...[]Chunk) {
	t.Helper()
	var bytes int64
	for _, chunks := range want {
		id := chunks[0].Header().ID()
		if s.Have(id).Count() != len(chunks) {
			t.Errorf("part %v: %d chunks are held, want %d", id.Position, s.Have(id).Count(), len(chunks))
		}
		for _, c := range chunks {
			bytes += int64(len(c.Data()))
		}
	}
	if got := s.Stats().Bytes; got != bytes {
		t.Errorf("the store holds %d bytes, want %d", got, bytes)
	}
}

func TestStoreGivesAPartOnlyWhenItIsWhole(t *testing.T) {
	chunks := storePart(t, testKey, 0, 2*smallestChunk+9)
	id := chunks[0].Header().ID()
	s := NewStore(0)
	if s.Have(id) != nil || s.Chunk(id, 0) != nil || s.Part(id) != nil || s.Whole(id) {
		t.Error("an empty store has something of a part")
	}
	for n, i := range []int{2, 0, 1} {
		if s.Whole(id) || s.Part(id) != nil {
			t.Errorf("with %d of 3 chunks the part counts as whole", n)
		}
		if !s.Put(chunks[i]) {
			t.Errorf("chunk %d was not new", i)
		}
		if s.Put(chunks[i]) {
			t.Errorf("chunk %d was new twice", i)
		}
		if have := s.Have(id); !have.Get(i) || have.Count() != n+1 {
			t.Errorf("have %08b after %d chunks", have, n+1)
		}
		if !bytes.Equal(s.Chunk(id, i), chunks[i].Data()) {
			t.Errorf("chunk %d is another", i)
		}
	}
	if !s.Whole(id) || !bytes.Equal(bytes.Join(s.Part(id), nil), pattern(2*smallestChunk+9)) {
		t.Error("the part is not what was put")
	}
	for _, i := range []int{-1, 3} {
		if s.Chunk(id, i) != nil {
			t.Errorf("chunk %d of 3 is there", i)
		}
	}
	if got, want := s.Stats(), (StoreStats{Bytes: 2*smallestChunk + 9, Limit: DefaultStoreSize}); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
}

func TestStoreLetsTheOldestPartGoWhole(t *testing.T) {
	const size = 2 * smallestChunk
	a, b, c := storePart(t, testKey, 3, size), storePart(t, testKey, 2, size), storePart(t, seededKey(2), 1, size)
	s := NewStore(2*size + smallestChunk)
	putAll(s, a)
	putAll(s, b)
	held := s.Part(a[0].Header().ID())
	s.Put(c[0])
	wantParts(t, s, a, b, c[:1])
	s.Put(c[1])
	wantParts(t, s, b, c) // a came first, whatever its number
	if s.Have(a[0].Header().ID()) != nil {
		t.Error("something is left of the oldest part")
	}
	if got := s.Stats().Evicted; got != size {
		t.Errorf("%d bytes evicted, want %d", got, size)
	}
	if !bytes.Equal(bytes.Join(held, nil), pattern(size)) {
		t.Error("a part that was handed out changed when the store let it go")
	}
	if !s.Put(a[0]) {
		t.Error("a chunk that was let go is not new")
	}
}

func TestStoreKeepsThePartThatIsBeingReceived(t *testing.T) {
	s := NewStore(smallestChunk)
	big := storePart(t, testKey, 0, 3*smallestChunk)
	small := storePart(t, testKey, 1, 100)
	putAll(s, small)
	putAll(s, big)
	wantParts(t, s, big)
	putAll(s, small)
	wantParts(t, s, small)

	s = NewStore(3*smallestChunk + 200)
	s.Put(big[0])
	putAll(s, small)
	later := storePart(t, testKey, 2, smallestChunk)
	putAll(s, later)
	s.Put(big[1])
	s.Put(big[2])
	wantParts(t, s, big) // oldest, but it is the one that grows
}

func TestStoreStaysWithinItsBound(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var all []Chunk
	largest := 0
	for i := range 40 {
		size := 1 + random.IntN(5*smallestChunk)
		largest = max(largest, size)
		all = append(all, storePart(t, testKey, i, size)...)
	}
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	const limit = 20 * smallestChunk
	s := NewStore(limit)
	var put int64
	for _, c := range slices.Concat(all, all, all) {
		if s.Put(c) {
			put += int64(len(c.Data()))
		}
		if !s.Have(c.Header().ID()).Get(c.Index()) {
			t.Fatalf("chunk %d of %v went out as it came in", c.Index(), c.Header().Position)
		}
		if st := s.Stats(); st.Bytes > limit || st.Bytes+st.Evicted != put {
			t.Fatalf("%+v after %d bytes: want at most %d held, and all accounted for", st, put, limit)
		}
	}
	if s.Stats().Evicted == 0 {
		t.Error("nothing went out, want a test of the bound")
	}
}

func TestStoreWakesOnWholePartsOnly(t *testing.T) {
	s := NewStore(0)
	chunks := storePart(t, testKey, 0, 2*smallestChunk)
	changed := s.Changed()
	s.Put(chunks[1])
	s.Put(chunks[1])
	if fired(changed) {
		t.Error("woken by half a part")
	}
	s.Put(chunks[0])
	if !fired(changed) {
		t.Error("not woken by a whole part")
	}
	changed = s.Changed()
	s.Put(chunks[0])
	if fired(changed) {
		t.Error("woken by a chunk that was known")
	}
	if other := s.Changed(); other != changed {
		t.Error("two who wait for the same change got two channels")
	}
}

func TestStoreNeverMixesTwoHeadersOfOnePart(t *testing.T) {
	s := NewStore(0)
	first := storePart(t, testKey, 0, 2*smallestChunk)
	second := storePart(t, testKey, 0, 3*smallestChunk) // an equivocation
	s.Put(first[0])
	for _, c := range second {
		if s.Put(c) {
			t.Errorf("chunk %d of another header joined the part", c.Index())
		}
	}
	// The same header, opened once more, is the same.
	again, err := OpenHeader(testKey.ID(), first[1].Header().Bytes())
	if err != nil {
		t.Fatal(err)
	}
	c, err := OpenChunk(again, 1, bytes.Clone(first[1].Data()))
	if err != nil {
		t.Fatal(err)
	}
	if !s.Put(c) || !bytes.Equal(bytes.Join(s.Part(again.ID()), nil), pattern(2*smallestChunk)) {
		t.Error("the first header's part is not whole")
	}
}

func TestStoreDropsAStream(t *testing.T) {
	s := NewStore(0)
	mine, others := storePart(t, testKey, 0, smallestChunk), storePart(t, seededKey(2), 0, 100)
	putAll(s, mine)
	putAll(s, others)
	putAll(s, storePart(t, testKey, 1, 50))
	s.Drop(testKey.ID())
	wantParts(t, s, others)
	if got := s.Stats().Evicted; got != 0 {
		t.Errorf("%d bytes count as evicted, want 0: they were not in the way", got)
	}
	if !s.Put(mine[0]) {
		t.Error("a dropped chunk is not new")
	}
}

func TestStoreServesManyAtOnce(t *testing.T) {
	const parts, limit = 24, 12 * smallestChunk
	var all [][]Chunk
	for i := range parts {
		all = append(all, storePart(t, seededKey(byte(i%3)), i, 2*smallestChunk+i))
	}
	s := NewStore(limit)
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 0))
			for range 200 {
				chunks := all[random.IntN(parts)]
				id := chunks[0].Header().ID()
				changed := s.Changed()
				s.Put(chunks[random.IntN(len(chunks))])
				fired(changed)
				if part := s.Part(id); part != nil && len(part) != len(chunks) {
					t.Errorf("part of %d chunks, want %d", len(part), len(chunks))
				}
				s.Have(id)
				s.Whole(id)
				s.Chunk(id, 0)
				if random.IntN(50) == 0 {
					s.Drop(id.Stream)
				}
			}
		})
	}
	wg.Wait()
	var held int64
	for _, chunks := range all {
		have := s.Have(chunks[0].Header().ID())
		for _, c := range chunks {
			if have.Get(c.Index()) {
				held += int64(len(c.Data()))
			}
		}
	}
	if st := s.Stats(); st.Bytes != held || st.Bytes > limit {
		t.Errorf("%+v, want %d bytes held, at most %d", st, held, limit)
	}
}

func TestOneOfManyWhoPutAChunkHasPutIt(t *testing.T) {
	s := NewStore(0)
	c := storePart(t, testKey, 0, 100)[0]
	added := make(chan bool, 8)
	for range cap(added) {
		go func() { added <- s.Put(c) }()
	}
	n := 0
	for range cap(added) {
		select {
		case ok := <-added:
			if ok {
				n++
			}
		case <-time.After(10 * time.Second):
			t.Fatal("Put hangs")
		}
	}
	if n != 1 {
		t.Errorf("%d found the chunk new, want 1", n)
	}
}
