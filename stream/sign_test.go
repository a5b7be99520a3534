package stream

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/grapevine-live/grapevine/stream/wire"
)

func TestEveryByteOfASignedHeaderCounts(t *testing.T) {
	h := firstPart()
	h.Part, h.Media = 3, nil
	id, raw := testKey.ID(), opened(t, h).Bytes()
	refused := func(what string, b []byte) {
		t.Helper()
		if _, err := OpenHeader(id, b); !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrForged) {
			t.Errorf("%s: error %v, want ErrMalformed or ErrForged", what, err)
		}
	}
	for i := range raw {
		for _, bit := range []byte{1, 0x80} {
			b := bytes.Clone(raw)
			b[i] ^= bit
			refused("a bit changed", b)
		}
		refused("cut short", raw[:i])
	}
	refused("a byte more", append(bytes.Clone(raw), 0))
	// Fields that no version knows may follow only where the signature covers them.
	refused("an unknown field more", wire.AppendUint(bytes.Clone(raw), 3, 1))
	refused("an unknown field before", append(wire.AppendUint(nil, 3, 1), raw...))
}

func TestOpenHeaderBoundsTheSize(t *testing.T) {
	body := firstPart()
	raw := signBody(testKey, wire.AppendBytes(body.marshal(), 20, make([]byte, MaxHeaderSize)))
	_, err := OpenHeader(testKey.ID(), raw)
	wantError(t, "oversized header", err, ErrMalformed)

	h := firstPart()
	h.Media.Codecs = string(bytes.Repeat([]byte("a"), maxCodecs))
	h.Media.Language = string(bytes.Repeat([]byte("a"), maxLanguage))
	h.Media.Name = string(bytes.Repeat([]byte("a"), maxMediaName))
	h.Rendition = string(bytes.Repeat([]byte("a"), MaxRenditionName))
	h = describe(h, make([]byte, MaxPartSize))
	s, err := testKey.sign(h)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Bytes()) > MaxHeaderSize {
		t.Errorf("the largest header has %d bytes, MaxHeaderSize is %d", len(s.Bytes()), MaxHeaderSize)
	}
}

func TestOpenHeaderKeepsTheBytes(t *testing.T) {
	raw := opened(t, firstPart()).Bytes()
	h, err := OpenHeader(testKey.ID(), raw)
	if err != nil {
		t.Fatal(err)
	}
	if &h.Bytes()[0] != &raw[0] || len(h.Bytes()) != len(raw) {
		t.Error("Bytes are a copy, want the bytes that were opened")
	}
}

func FuzzOpenHeader(f *testing.F) {
	file := readVectors(f)
	for _, v := range file.Valid {
		f.Add(unhex(f, v.Signed))
	}
	for _, v := range file.Invalid {
		f.Add(unhex(f, v.Signed))
	}
	id := file.Stream
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, err := OpenHeader(id, raw)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrForged) {
				t.Errorf("error %v wraps neither ErrMalformed nor ErrForged", err)
			}
			return
		}
		again, err := OpenHeader(id, signBody(testKey, h.marshal()))
		if err != nil || !reflect.DeepEqual(again.Header, h.Header) {
			t.Errorf("%+v\nreads back as\n%+v, %v", h.Header, again, err)
		}
	})
}

// FuzzParseHeader reaches what OpenHeader reads only if it is signed.
func FuzzParseHeader(f *testing.F) {
	file := readVectors(f)
	var signed []string
	for _, v := range file.Valid {
		signed = append(signed, v.Signed)
	}
	for _, v := range file.Invalid {
		signed = append(signed, v.Signed)
	}
	for _, s := range signed {
		// Of those cut short, what can be read.
		_ = wire.Fields(unhex(f, s), func(n int, _ uint64, body []byte) {
			if n == fieldSignedHeader {
				f.Add(body)
			}
		})
	}
	id := file.Stream
	f.Fuzz(func(t *testing.T, body []byte) {
		h, err := parseHeader(id, body)
		if err != nil {
			wantError(t, "parse", err, ErrMalformed)
			return
		}
		if err := h.validate(); err != nil {
			t.Errorf("it parsed, but %v", err)
		}
		again, err := parseHeader(id, h.marshal())
		if err != nil || !reflect.DeepEqual(again, h) {
			t.Errorf("%+v\nreads back as\n%+v, %v", h, again, err)
		}
		size := 0
		for i := range h.Chunks {
			n := h.ChunkLen(i)
			if n <= 0 || n > MaxChunkSize || i < len(h.Chunks)-1 && n != h.ChunkSize {
				t.Errorf("%+v: chunk %d has %d bytes", h, i, n)
			}
			size += n
		}
		if size != h.Size {
			t.Errorf("%+v: chunks have %d bytes", h, size)
		}
		// Its bytes may be unlike, but what signs and what opens agree on them.
		if s, err := testKey.sign(*h); err != nil || !reflect.DeepEqual(s.Header, *h) {
			t.Errorf("%+v\nsigns as\n%+v, %v", h, s, err)
		}
	})
}
