package stream

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

func viewers(n int) (keys []*ViewerKey, to []KeyGrant) {
	for range n {
		k := NewViewerSeed().Key(testKey.ID())
		keys, to = append(keys, k), append(to, KeyGrant{Viewer: k.ID()})
	}
	return keys, to
}

// keyBlock writes a key block, and reads it as its viewers do.
func keyBlock(t testing.TB, period uint64, secrets []Secret, title string, to []KeyGrant) *KeyBlock {
	t.Helper()
	raw, err := NewKeyBlock(testKey.ID(), 7, period, secrets, title, to)
	if err != nil {
		t.Fatal(err)
	}
	b, err := OpenKeyBlock(blockHeader(raw, period), [][]byte{raw})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func blockHeader(raw []byte, period uint64) *SignedHeader {
	return &SignedHeader{Header: Header{Stream: testKey.ID(), Rendition: KeysRendition, Position: Position{Epoch: 7, Segment: period - 1}, Size: len(raw)}}
}

func TestEachViewerOpensItsOwnWrap(t *testing.T) {
	secrets := []Secret{NewSecret(), NewSecret()}
	keys, to := viewers(20)
	to[3].Refusal = RefusedRevoked
	title := "Vorstand, nicht öffentlich"
	b := keyBlock(t, 5, secrets, title, to)
	if b.Viewers() != 20 {
		t.Errorf("%d viewers", b.Viewers())
	}
	for i, k := range keys {
		got, ok := b.Open(k)
		switch {
		case !ok:
			t.Errorf("viewer %d finds nothing", i)
		case i == 3 && (got.Refusal != RefusedRevoked || got.Secrets != nil || got.Title != ""):
			t.Errorf("who is refused gets %+v", got)
		case i != 3 && (got.Refusal != 0 || got.Secrets[4] != secrets[0] || got.Secrets[5] != secrets[1] || got.Title != title):
			t.Errorf("viewer %d gets %+v", i, got)
		}
	}
	strangers, _ := viewers(1)
	if got, ok := b.Open(strangers[0]); ok {
		t.Errorf("a stranger gets %+v", got)
	}
	if bytes.Contains(b.marshal(), []byte("Vorstand")) {
		t.Error("the title can be read")
	}
	// A viewer's key for another stream is another key.
	if keys[0].ID() == keys[1].ID() {
		t.Error("two viewers have the same key")
	}
	seed := ViewerSeed{1}
	here, again, elsewhere := seed.Key(testKey.ID()).ID(), seed.Key(testKey.ID()).ID(), seed.Key(seededKey(2).ID()).ID()
	if here != again || here == elsewhere {
		t.Error("a viewer's keys are not one for each stream")
	}
}

// Nobody but the broadcaster sees which wraps of two blocks are of one viewer, who was refused,
// or how long a title is.
func TestKeyBlocksShowTheNumberOfViewersOnly(t *testing.T) {
	secrets := []Secret{NewSecret()}
	_, to := viewers(1)
	refused := []KeyGrant{{to[0].Viewer, RefusedUsed}}
	one, other := keyBlock(t, 1, secrets, "", to), keyBlock(t, 2, secrets, "", to)
	if bytes.Equal(one.wraps[:wrapTag], other.wraps[:wrapTag]) {
		t.Error("a viewer has the same tag in two periods")
	}
	if a, b := len(one.marshal()), len(keyBlock(t, 1, secrets, strings.Repeat("t", MaxTitle), refused).marshal()); a != b {
		t.Errorf("blocks of %d and %d bytes tell a title and a refusal", a, b)
	}
}

func TestAKeyBlockOfAnotherPlaceDoesNotOpen(t *testing.T) {
	keys, to := viewers(1)
	raw, err := NewKeyBlock(testKey.ID(), 7, 5, []Secret{NewSecret()}, "", to)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*SignedHeader){
		"of another epoch":     func(h *SignedHeader) { h.Epoch = 8 },
		"of another stream":    func(h *SignedHeader) { h.Stream = seededKey(2).ID() },
		"of another period":    func(h *SignedHeader) { h.Segment++ },
		"of another rendition": func(h *SignedHeader) { h.Rendition = "main" },
	} {
		h := blockHeader(raw, 5)
		change(h)
		b, err := OpenKeyBlock(h, [][]byte{raw})
		if err != nil {
			if !errors.Is(err, ErrBadKeyBlock) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if got, ok := b.Open(keys[0]); ok {
			t.Errorf("%s: it gives %+v", name, got)
		}
	}
	changed := slices.Clone(raw)
	changed[len(changed)-1] ^= 1
	b, err := OpenKeyBlock(blockHeader(changed, 5), [][]byte{changed})
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := b.Open(keys[0]); ok {
		t.Errorf("a wrap that was changed gives %+v", got)
	}
}

func TestKeyBlocksAreBounded(t *testing.T) {
	_, to := viewers(1)
	many := slices.Repeat(to, MaxViewers+1)
	two := []Secret{{}, {}}
	for name, f := range map[string]func() ([]byte, error){
		"no secret":        func() ([]byte, error) { return NewKeyBlock(testKey.ID(), 7, 1, nil, "", to) },
		"five secrets":     func() ([]byte, error) { return NewKeyBlock(testKey.ID(), 7, 9, make([]Secret, MaxSecrets+1), "", to) },
		"before period 1":  func() ([]byte, error) { return NewKeyBlock(testKey.ID(), 7, 1, two, "", to) },
		"too many viewers": func() ([]byte, error) { return NewKeyBlock(testKey.ID(), 7, 2, two, "", many) },
		"too long a title": func() ([]byte, error) {
			return NewKeyBlock(testKey.ID(), 7, 2, two, strings.Repeat("t", MaxTitle+1), to)
		},
		"a period that is 0": func() ([]byte, error) { return NewKeyBlock(testKey.ID(), 7, 0, two[:1], "", to) },
	} {
		if _, err := f(); err == nil {
			t.Errorf("%s: written", name)
		}
	}
	h := blockHeader(make([]byte, maxKeyBlock+1), 1)
	if _, err := OpenKeyBlock(h, [][]byte{make([]byte, maxKeyBlock+1)}); !errors.Is(err, ErrBadKeyBlock) {
		t.Errorf("%d bytes: %v", maxKeyBlock+1, err)
	}
	largest := MaxViewers*wrapSize(MaxSecrets) + 1024
	if largest > MaxPartSize || largest > maxKeyBlock {
		t.Errorf("the largest key block has %d bytes, more than a part", largest)
	}
}

func FuzzKeyBlock(f *testing.F) {
	keys, to := viewers(2)
	for n, secrets := range [][]Secret{{{1}}, {{1}, {2}}} {
		raw, err := NewKeyBlock(testKey.ID(), 7, uint64(n+1), secrets, "title", to)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
		f.Add(raw[:len(raw)-1])
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := parseKeyBlock(blockHeader(raw, 1), raw)
		if err != nil {
			if !errors.Is(err, ErrBadKeyBlock) {
				t.Fatalf("error %v does not wrap ErrBadKeyBlock", err)
			}
			return
		}
		again, err := parseKeyBlock(blockHeader(raw, 1), b.marshal())
		if err != nil || again.Period != b.Period || !bytes.Equal(again.wraps, b.wraps) {
			t.Fatalf("not stable: %v", err)
		}
		if got, ok := b.Open(keys[0]); ok && got.Refusal == 0 && len(got.Secrets) != b.Secrets {
			t.Fatalf("%d secrets of %d", len(got.Secrets), b.Secrets)
		}
	})
}

// BenchmarkKeyBlock writes the keys of as many viewers as there may be.
func BenchmarkKeyBlock(b *testing.B) {
	_, to := viewers(MaxViewers)
	for b.Loop() {
		raw, err := NewKeyBlock(testKey.ID(), 7, 1, []Secret{NewSecret()}, "title", to)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(raw)), "bytes")
	}
}
