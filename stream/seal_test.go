package stream

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"
)

// sealedPart publishes one part of a period, and returns its header and chunks.
func sealedPart(t testing.TB, s *Sealer, epoch uint64, data []byte) (*SignedHeader, [][]byte) {
	t.Helper()
	p, err := NewPublisher(testKey, "main", epoch)
	if err != nil {
		t.Fatal(err)
	}
	p.Seal(s)
	h, chunks, err := p.Publish(Part{StartsSegment: true, EndsSegment: true, Duration: time.Second, ProgramTime: began, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	var raw [][]byte
	for _, c := range chunks {
		raw = append(raw, c.Data())
	}
	// What others get is what they can read.
	opened, err := OpenHeader(testKey.ID(), h.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return opened, raw
}

func TestSealedPartsOpenWithTheirPeriodsSecretOnly(t *testing.T) {
	data := bytes.Repeat([]byte("plain text "), 10_000)
	kept := slices.Clone(data)
	secret := NewSecret()
	s := NewSealer(testKey.ID(), 7)
	s.Use(3, secret)
	h, chunks := sealedPart(t, s, 7, data)
	if !bytes.Equal(data, kept) {
		t.Error("sealing changed what was to be sealed")
	}
	if h.Period != 3 || h.Size != len(data)+SealOverhead {
		t.Errorf("period %d, %d bytes", h.Period, h.Size)
	}
	if bytes.Contains(slices.Concat(chunks...), []byte("plain")) {
		t.Error("the sealed bytes show what they hold")
	}
	ring := NewKeyring(testKey.ID())
	if _, err := ring.Open(h, chunks); !errors.Is(err, ErrNoKey) {
		t.Errorf("without a key: %v", err)
	}
	if !ring.Add(7, 3, secret) || ring.Add(7, 3, NewSecret()) {
		t.Error("of two secrets for a period the first one stands")
	}
	if got, err := ring.Open(h, chunks); err != nil || !bytes.Equal(got, data) {
		t.Errorf("opened %d bytes, %v", len(got), err)
	}
	for name, change := range map[string]func(*SignedHeader) (epoch, period uint64){
		"another epoch":    func(h *SignedHeader) (uint64, uint64) { h.Epoch = 8; return 8, 3 },
		"another period":   func(h *SignedHeader) (uint64, uint64) { h.Period = 4; return 7, 4 },
		"another segment":  func(h *SignedHeader) (uint64, uint64) { h.Segment++; return 7, 3 },
		"another part":     func(h *SignedHeader) (uint64, uint64) { h.Part++; return 7, 3 },
		"another name":     func(h *SignedHeader) (uint64, uint64) { h.Rendition = "other"; return 7, 3 },
		"another stream":   func(h *SignedHeader) (uint64, uint64) { h.Stream = seededKey(2).ID(); return 7, 3 },
		"another's secret": func(h *SignedHeader) (uint64, uint64) { h.Epoch = 9; return 0, 0 },
	} {
		moved := *h
		ring := NewKeyring(testKey.ID())
		epoch, period := change(&moved)
		if name == "another's secret" {
			moved.Epoch = 7
			ring.Add(7, 3, NewSecret())
		} else {
			ring.Add(epoch, period, secret)
		}
		if _, err := ring.Open(&moved, chunks); !errors.Is(err, ErrSealBroken) {
			t.Errorf("%s: %v, want one that wraps ErrSealBroken", name, err)
		}
	}
	for i := range chunks {
		broken := slices.Clone(chunks)
		broken[i] = slices.Clone(broken[i])
		broken[i][0] ^= 1
		if _, err := ring.Open(h, broken); !errors.Is(err, ErrSealBroken) {
			t.Fatalf("chunk %d changed: %v", i, err)
		}
	}
}

func TestPlainPartsAreAsTheyWere(t *testing.T) {
	h := opened(t, describe(firstPart(), []byte("grapes")))
	if h.Period != 0 || bytes.Contains(h.Bytes(), []byte{fieldPeriod << 3}) && h.marshal()[len(h.marshal())-1] == 0 {
		t.Error("a plain header speaks of a period")
	}
	got, err := NewKeyring(testKey.ID()).Open(h, [][]byte{[]byte("gra"), []byte("pes")})
	if err != nil || string(got) != "grapes" {
		t.Errorf("%q, %v", got, err)
	}
}

// A track's name may be a title, and headers are plain to relays.
func TestHeadersOfSealedPartsHaveNoNamesOfTracks(t *testing.T) {
	media := Media{Kind: KindAudio, Codecs: "mp4a.40.2", Language: "en", Name: "about the third quarter"}
	for _, seal := range []bool{false, true} {
		p, err := NewPublisher(testKey, "audio-en", 7)
		if err != nil {
			t.Fatal(err)
		}
		want := media
		if seal {
			s := NewSealer(testKey.ID(), 7)
			s.Use(1, NewSecret())
			p.Seal(s)
			want.Name = ""
		}
		h, _, err := p.Publish(Part{StartsSegment: true, Duration: time.Second, ProgramTime: began, Media: media, Data: []byte("sound")})
		if err != nil {
			t.Fatal(err)
		}
		if *h.Media != want {
			t.Errorf("sealed %t: %+v", seal, *h.Media)
		}
		if seal && bytes.Contains(h.Bytes(), []byte(media.Name)) {
			t.Error("the header has the name")
		}
	}
}

func TestASealerWantsAPeriodThatRises(t *testing.T) {
	s := NewSealer(testKey.ID(), 7)
	if _, _, err := s.seal("main", Position{Epoch: 7}, []byte("x")); err == nil {
		t.Error("it seals before the first period")
	}
	s.Use(2, NewSecret())
	first, _, err := s.seal("main", Position{Epoch: 7}, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	s.Use(2, NewSecret()) // not the next: the secret in use stays
	if again, _, _ := s.seal("main", Position{Epoch: 7}, []byte("x")); !bytes.Equal(first, again) {
		t.Error("a period got a second secret")
	}
	if _, _, err := s.seal("main", Position{Epoch: 8}, []byte("x")); err == nil {
		t.Error("it seals for another epoch")
	}
}

// A run that repeats an epoch, say from a backup of the home, repeats no key.
func TestNoKeyIsUsedTwice(t *testing.T) {
	seen := make(map[string]bool)
	for range 3 {
		s := NewSealer(testKey.ID(), 7)
		for period := range uint64(3) {
			s.Use(period+1, NewSecret())
			for _, name := range []string{"main", "low"} {
				got, _, err := s.seal(name, Position{Epoch: 7}, make([]byte, 64))
				if err != nil {
					t.Fatal(err)
				}
				// Of zeros a cipher's key stream is left.
				if seen[string(got[:64])] {
					t.Fatal("two parts have the same key stream")
				}
				seen[string(got[:64])] = true
			}
		}
	}
}

func TestAKeyringIsBounded(t *testing.T) {
	k := NewKeyring(testKey.ID())
	for i := range uint64(maxKeys + 10) {
		k.Add(1, i+1, Secret{})
	}
	if k.Len() != maxKeys || k.Has(1, 10) || !k.Has(1, 11) {
		t.Errorf("%d periods; the oldest should have gone", k.Len())
	}
}

func TestAnOpenedStoreShowsWhatIsSealed(t *testing.T) {
	store, ring := NewStore(0), NewKeyring(testKey.ID())
	opened := NewOpenedStore(store, ring)
	secret := NewSecret()
	s := NewSealer(testKey.ID(), 7)
	s.Use(1, secret)
	data := bytes.Repeat([]byte("x"), 9000)
	h, chunks := sealedPart(t, s, 7, data)
	for i, raw := range chunks {
		c, err := OpenChunk(h, i, raw)
		if err != nil {
			t.Fatal(err)
		}
		store.Put(c)
	}
	headers := []*SignedHeader{h}
	if opened.Part(h.ID()) != nil || opened.Lasting(headers, 0) {
		t.Error("it shows a part without a key")
	}
	changed := opened.Changed()
	ring.Add(7, 1, secret)
	opened.Wake()
	select {
	case <-changed:
	default:
		t.Error("a new key wakes nobody")
	}
	got := opened.Part(h.ID())
	if !bytes.Equal(slices.Concat(got...), data) || !opened.Lasting(headers, 0) {
		t.Error("it does not show the part with its key")
	}
	if again := opened.Part(h.ID()); &again[0][0] != &got[0][0] {
		t.Error("the same part is opened twice")
	}
	if sealed := slices.Concat(store.Part(h.ID())...); bytes.Equal(sealed[:len(data)], data) {
		t.Error("the store itself holds the plain part")
	}
	if opened.Broken() != 0 {
		t.Errorf("%d broken parts", opened.Broken())
	}
}

func TestAnOpenedStoreKeepsLittle(t *testing.T) {
	s := NewOpenedStore(NewStore(0), NewKeyring(testKey.ID()))
	for i := range 40 {
		s.keep(PartID{Position: Position{Segment: uint64(i)}}, openedPart{data: make([]byte, 1<<20)})
	}
	if s.bytes > maxOpened || len(s.opened) != len(s.order) || len(s.order) != maxOpened>>20 {
		t.Errorf("%d bytes in %d parts, %d in order", s.bytes, len(s.opened), len(s.order))
	}
}

func BenchmarkSeal(b *testing.B) {
	s := NewSealer(testKey.ID(), 7)
	s.Use(1, NewSecret())
	data := make([]byte, 500_000) // half a second of 8 Mbit/s
	b.SetBytes(int64(len(data)))
	for i := 0; b.Loop(); i++ {
		if _, _, err := s.seal("main", Position{Epoch: 7, Segment: uint64(i)}, data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenSealed(b *testing.B) {
	s, ring := NewSealer(testKey.ID(), 7), NewKeyring(testKey.ID())
	secret := NewSecret()
	s.Use(1, secret)
	ring.Add(7, 1, secret)
	h, chunks := sealedPart(b, s, 7, make([]byte, 500_000))
	b.SetBytes(500_000)
	for b.Loop() {
		if _, err := ring.Open(h, chunks); err != nil {
			b.Fatal(err)
		}
	}
}
