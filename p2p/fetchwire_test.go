package p2p

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/wire"
)

var testStream = stream.ID{1, 2, 3}

// request is valid, and asks for something of everything.
func request() fetchRequest {
	return fetchRequest{
		stream:   testStream,
		timeline: &timelineRequest{rendition: "main", segments: 3, from: stream.Position{Epoch: 1, Segment: 2, Part: 3}},
		past:     &pastRequest{rendition: "main", from: stream.Position{Epoch: 1}, before: stream.Position{Epoch: 1, Segment: 2}, headers: maxPastHeaders},
		parts: []partRequest{
			{"main", stream.Position{Epoch: 1, Segment: 2}, bitmap(9, 0, 8)},
			{"audio-de", stream.Position{Epoch: 1, Segment: 2, Part: 1023}, bitmap(stream.MaxChunks, 511)},
		},
		revocations: []byte{0x22, 1, 2, 3},
	}
}

func TestFetchRequestsReadBack(t *testing.T) {
	full := request()
	most := fetchRequest{stream: testStream}
	for i := range maxFetchParts {
		all := make(stream.Bitmap, maxBitmap)
		for j := range all {
			all[j] = 0xff
		}
		most.parts = append(most.parts, partRequest{strings.Repeat("a", stream.MaxRenditionName), stream.Position{Epoch: 1 << 63, Segment: 1 << 62, Part: uint32(i)}, all})
	}
	for name, r := range map[string]fetchRequest{
		"everything":        full,
		"nothing":           {stream: testStream},
		"a timeline":        {stream: testStream, timeline: full.timeline},
		"all of a timeline": {stream: testStream, timeline: &timelineRequest{}},
		"parts":             {stream: testStream, parts: full.parts},
		"the past":          {stream: testStream, past: full.past},
		"what is held":      {stream: testStream, past: &pastRequest{rendition: "main"}},
		"most":              most,
	} {
		raw := r.marshal()
		if len(raw) > maxRequestSize {
			t.Errorf("%s: %d bytes, a server reads %d", name, len(raw), maxRequestSize)
		}
		if got, err := parseFetchRequest(raw); err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%s: %+v reads back as %+v, %v", name, r, got, err)
		}
	}
}

func TestFetchRequestsAreBounded(t *testing.T) {
	id := wire.AppendBytes(nil, 1, testStream[:])
	add := func(field int, raw []byte) []byte { return wire.AppendMessage(bytes.Clone(id), field, raw) }
	position := marshalPosition(stream.Position{Epoch: 1})
	part := func(rendition string, position []byte, want int) []byte {
		b := wire.AppendBytes(nil, 1, []byte(rendition))
		b = wire.AppendBytes(b, 2, position)
		return wire.AppendBytes(b, 3, make([]byte, want))
	}
	tooMany := bytes.Clone(id)
	for range maxFetchParts + 1 {
		tooMany = wire.AppendMessage(tooMany, 3, part("main", position, 1))
	}
	if _, err := parseFetchRequest(add(3, part("main", position, maxBitmap))); err != nil {
		t.Errorf("a bitmap of %d bytes: %v", maxBitmap, err)
	}
	for name, raw := range map[string][]byte{
		"nothing":                  nil,
		"cut short":                id[:10],
		"a stream of 31 bytes":     wire.AppendBytes(nil, 1, testStream[:31]),
		"a stream of 33 bytes":     wire.AppendBytes(nil, 1, append(testStream[:], 0)),
		"no stream":                wire.AppendMessage(nil, 2, nil),
		"a timeline in capitals":   add(2, wire.AppendBytes(nil, 1, []byte("Main"))),
		"a timeline from nowhere":  add(2, wire.AppendBytes(nil, 3, position[:2])),
		"a timeline cut short":     add(2, []byte{0x0a, 5}),
		"too many parts":           tooMany,
		"a part of no rendition":   add(3, part("", position, 1)),
		"a part in capitals":       add(3, part("Main", position, 1)),
		"a part without position":  add(3, part("main", nil, 1)),
		"a part cut short":         add(3, []byte{0x0a, 5}),
		"a bitmap of 65 bytes":     add(3, part("main", position, maxBitmap+1)),
		"the past in capitals":     add(4, wire.AppendBytes(wire.AppendBytes(wire.AppendBytes(nil, 1, []byte("Main")), 2, position), 3, position)),
		"the past of nothing":      add(4, nil),
		"the past from nowhere":    add(4, wire.AppendBytes(wire.AppendBytes(nil, 1, []byte("main")), 3, position)),
		"the past before nothing":  add(4, wire.AppendBytes(wire.AppendBytes(nil, 1, []byte("main")), 2, position)),
		"long revocations":         add(5, make([]byte, stream.MaxRevocationsSize+1)),
		"the past cut short":       add(4, []byte{0x0a, 5}),
		"a bad part before a good": wire.AppendMessage(add(3, part("", position, 1)), 3, part("main", position, 1)),
	} {
		if r, err := parseFetchRequest(raw); !errors.Is(err, errWire) {
			t.Errorf("%s: %+v, error %v, want one that wraps errWire", name, r, err)
		}
	}
}

func TestARequestForThePastAsksForNoMoreThanAnAnswerHolds(t *testing.T) {
	for asked, want := range map[int]int{0: 0, 1: 1, maxPastHeaders: maxPastHeaders, maxPastHeaders + 1: maxPastHeaders, 1 << 62: maxPastHeaders} {
		r, err := parsePastRequest(pastRequest{rendition: "main", headers: asked}.marshal())
		if err != nil || r.headers != want {
			t.Errorf("%d headers read as %+v, %v, want %d", asked, r, err, want)
		}
	}
}

func TestATimelineRequestAsksForNoMoreThanATimelineHolds(t *testing.T) {
	for asked, want := range map[uint64]int{0: 0, 1: 1, stream.MaxTimeline: stream.MaxTimeline, stream.MaxTimeline + 1: stream.MaxTimeline, 1 << 63: stream.MaxTimeline} {
		r, err := parseTimelineRequest(wire.AppendUint(nil, 2, asked))
		if err != nil || r.segments != want {
			t.Errorf("%d segments read as %+v, %v, want %d", asked, r, err, want)
		}
	}
}

func FuzzParseFetchRequest(f *testing.F) {
	f.Add(request().marshal())
	f.Add(fetchRequest{timeline: &timelineRequest{}}.marshal())
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := parseFetchRequest(raw)
		if err != nil {
			if !errors.Is(err, errWire) {
				t.Errorf("error %v does not wrap errWire", err)
			}
			return
		}
		if len(r.parts) > maxFetchParts {
			t.Errorf("%d parts, want at most %d", len(r.parts), maxFetchParts)
		}
		for _, p := range r.parts {
			if !stream.ValidRendition(p.rendition) || len(p.want) > maxBitmap || p.position.Part >= stream.MaxPartsPerSegment {
				t.Errorf("part %+v is out of bounds", p)
			}
		}
		if q := r.past; q != nil && (q.headers < 0 || q.headers > maxPastHeaders || !stream.ValidRendition(q.rendition)) {
			t.Errorf("past %+v is out of bounds", q)
		}
		if q := r.timeline; q != nil {
			if q.segments < 0 || q.segments > stream.MaxTimeline || q.rendition != "" && !stream.ValidRendition(q.rendition) {
				t.Errorf("timeline %+v is out of bounds", q)
			}
		}
		once := r.marshal()
		again, err := parseFetchRequest(once)
		if err != nil || !bytes.Equal(again.marshal(), once) {
			t.Errorf("%+v reads back as %+v, %v", r, again, err)
		}
	})
}

func TestFetchResponsesReadBack(t *testing.T) {
	for name, r := range map[string]fetchResponse{
		"a header":          {header: []byte("signed")},
		"the first chunk":   {chunk: &fetchedChunk{0, 0, []byte("grapes")}},
		"the largest chunk": {chunk: &fetchedChunk{maxFetchParts - 1, stream.MaxChunks - 1, make([]byte, stream.MaxChunkSize)}},
		"a peer record":     {peerRecord: []byte("envelope")},
		"a span":            {span: &stream.Span{Epoch: 1 << 63, First: 2, Last: 1 << 63}},
		"the first span":    {span: &stream.Span{}},
		"the largest header": {
			header: make([]byte, stream.MaxHeaderSize),
		},
	} {
		raw := r.marshal()
		if len(raw) > maxResponseSize {
			t.Errorf("%s: %d bytes, a client reads %d", name, len(raw), maxResponseSize)
		}
		if got, err := parseFetchResponse(raw); err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%s reads back as %+v, %v", name, got, err)
		}
	}
}

func TestFetchResponsesAreBounded(t *testing.T) {
	chunk := func(part, index uint64, size int) []byte {
		b := wire.AppendUint(nil, 1, part)
		b = wire.AppendUint(b, 2, index)
		return wire.AppendMessage(nil, 2, wire.AppendBytes(b, 3, make([]byte, size)))
	}
	for name, raw := range map[string][]byte{
		"cut short":              {0x0a, 5},
		"a chunk cut short":      {0x12, 2, 0x1a, 5},
		"part 64":                chunk(maxFetchParts, 0, 1),
		"part 2^64-1":            chunk(1<<64-1, 0, 1),
		"chunk 512":              chunk(0, stream.MaxChunks, 1),
		"chunk 2^64-1":           chunk(0, 1<<64-1, 1),
		"a chunk too large":      chunk(0, 0, stream.MaxChunkSize+1),
		"a span cut short":       {0x22, 2, 0x08},
		"a span backwards":       wire.AppendMessage(nil, 4, wire.AppendUint(nil, 2, 1)),
		"two answers in one":     append(fetchResponse{span: &stream.Span{}}.marshal(), fetchResponse{header: []byte("x")}.marshal()...),
		"a peer record too long": wire.AppendBytes(nil, 3, make([]byte, maxPeerRecord+1)),
	} {
		if r, err := parseFetchResponse(raw); !errors.Is(err, errWire) {
			t.Errorf("%s: %+v, error %v, want one that wraps errWire", name, r, err)
		}
	}
}

func FuzzParseFetchResponse(f *testing.F) {
	f.Add(fetchResponse{header: []byte("signed")}.marshal())
	f.Add(fetchResponse{chunk: &fetchedChunk{1, 2, []byte("grapes")}}.marshal())
	f.Add(fetchResponse{peerRecord: []byte("envelope")}.marshal())
	f.Add(fetchResponse{span: &stream.Span{Epoch: 1, Last: 9}}.marshal())
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := parseFetchResponse(raw)
		if err != nil {
			if !errors.Is(err, errWire) {
				t.Errorf("error %v does not wrap errWire", err)
			}
			return
		}
		if len(r.peerRecord) > maxPeerRecord {
			t.Errorf("peer record of %d bytes, want at most %d", len(r.peerRecord), maxPeerRecord)
		}
		if c := r.chunk; c != nil {
			if c.part < 0 || c.part >= maxFetchParts || c.index < 0 || c.index >= stream.MaxChunks || len(c.data) > stream.MaxChunkSize {
				t.Errorf("chunk %d of part %d with %d bytes is out of bounds", c.index, c.part, len(c.data))
			}
		}
		once := r.marshal()
		again, err := parseFetchResponse(once)
		if err != nil || !bytes.Equal(again.marshal(), once) {
			t.Errorf("%+v reads back as %+v, %v", r, again, err)
		}
	})
}

func TestFramesReadBack(t *testing.T) {
	var buf bytes.Buffer
	w := bufio.NewWriter(&buf)
	frames := []string{"", "a", strings.Repeat("b", 127), strings.Repeat("c", 128), strings.Repeat("d", 1000)}
	for _, s := range frames {
		if err := writeFrame(w, []byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(&buf)
	for _, want := range frames {
		if got, err := readFrame(r, 1000); err != nil || string(got) != want {
			t.Fatalf("frame %q, %v, want %q", got, err, want)
		}
	}
	if _, err := readFrame(r, 1000); err != io.EOF {
		t.Errorf("after the last frame: error %v, want io.EOF", err)
	}
}

func TestReadFrameIsBounded(t *testing.T) {
	frame := func(size uint64, content int) []byte {
		return append(binary.AppendUvarint(nil, size), make([]byte, content)...)
	}
	for _, c := range []struct {
		name string
		raw  []byte
		want error // nil if the frame is read
	}{
		{"as large as may be", frame(1000, 1000), nil},
		{"a byte larger", frame(1001, 1001), errWire},
		{"as large as can be", frame(1<<64-1, 10), errWire},
		{"cut inside", frame(1000, 999), io.ErrUnexpectedEOF},
		{"cut after its length", frame(1000, 0), io.ErrUnexpectedEOF},
		{"cut in its length", frame(1000, 0)[:1], io.ErrUnexpectedEOF},
	} {
		b, err := readFrame(bufio.NewReader(bytes.NewReader(c.raw)), 1000)
		if !errors.Is(err, c.want) || err == nil && len(b) != 1000 {
			t.Errorf("%s: %d bytes, error %v, want %v", c.name, len(b), err, c.want)
		}
	}
	// A varint of more than 64 bits is none.
	if _, err := readFrame(bufio.NewReader(bytes.NewReader(bytes.Repeat([]byte{0x80}, 11))), 1000); err == nil {
		t.Error("a length without end was read")
	}
}
