package stream

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream/wire"
)

// began is when test streams begin.
var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// testKey is the broadcaster of most tests.
var testKey = seededKey(1)

// seededKey makes the key of which every byte of the RFC 8032 seed is b.
func seededKey(b byte) Key {
	return Key{private: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))}
}

// describe fills in a header's size, chunk size and hashes for data, cut as a publisher
// does.
func describe(h Header, data []byte) Header { return describeCut(h, data, ChunkSizeFor(len(data))) }

// describeCut is describe with chunks of chunkSize bytes.
func describeCut(h Header, data []byte, chunkSize int) Header {
	h.Size, h.ChunkSize = len(data), chunkSize
	_, h.Chunks = split(data, chunkSize)
	return h
}

// firstPart is a header that is valid in every field.
func firstPart() Header {
	return describe(Header{
		Stream:      testKey.ID(),
		Rendition:   "main",
		Position:    Position{Epoch: 7},
		Independent: true,
		Duration:    500 * time.Millisecond,
		ProgramTime: began,
		Media:       &Media{Codecs: "avc1.64001f,mp4a.40.2", Width: 1920, Height: 1080, FrameRate: 29.97},
	}, []byte("grapes"))
}

// signBody signs any bytes as a header, valid or not.
func signBody(k Key, body []byte) []byte {
	return marshalSigned(body, ed25519.Sign(k.private, signedMessage(k.ID(), body)), nil)
}

// opened signs a header and opens it.
func opened(t testing.TB, h Header) *SignedHeader {
	t.Helper()
	s, err := OpenHeader(testKey.ID(), signBody(testKey, h.marshal()))
	if err != nil {
		t.Fatalf("open header of %v: %v", h.Position, err)
	}
	return s
}

// held makes a header for timelines, which trust that whoever made it has verified it.
// Signing thousands takes long.
func held(t testing.TB, h Header) *SignedHeader {
	t.Helper()
	if err := h.validate(); err != nil {
		t.Fatalf("header of %v: %v", h.Position, err)
	}
	return &SignedHeader{Header: h, raw: h.marshal()}
}

// at makes the header of a small part: half a second each, four parts a segment, the
// clock running on from epoch to epoch.
func at(t testing.TB, epoch, segment uint64, part uint32) *SignedHeader {
	t.Helper()
	h := firstPart()
	h.Position = Position{epoch, segment, part}
	h.ProgramTime = began.Add(time.Duration(epoch)*time.Hour + time.Duration(segment*4+uint64(part))*500*time.Millisecond)
	h.Last = part == 3
	if part > 0 {
		h.Media, h.Independent = nil, false
	}
	return held(t, h)
}

// end makes the header that ends an epoch.
func end(t testing.TB, epoch, segment uint64) *SignedHeader {
	t.Helper()
	return held(t, Header{
		Stream:      testKey.ID(),
		Rendition:   "main",
		Position:    Position{epoch, segment, 0},
		End:         true,
		ProgramTime: at(t, epoch, segment, 0).ProgramTime,
	})
}

// other makes a header that contradicts h: the same position, other content.
func other(t testing.TB, h *SignedHeader) *SignedHeader {
	t.Helper()
	o := h.Header
	o.Chunks = []Hash{hashOf([]byte("raisin"))}
	return held(t, o)
}

func wantError(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: error %v, want %v", what, got, want)
	}
}

// fields splits a message into its fields, tags included.
func fields(t testing.TB, b []byte) (out [][]byte) {
	t.Helper()
	err := wire.Fields(b, func(n int, v uint64, raw []byte) {
		if raw != nil {
			out = append(out, wire.AppendMessage(nil, n, raw))
		} else {
			out = append(out, wire.AppendUint(nil, n, v))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
