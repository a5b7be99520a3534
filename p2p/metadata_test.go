package p2p

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/wire"
)

// bitmap makes a bitmap of n bits, of which some are set.
func bitmap(n int, set ...int) stream.Bitmap {
	b := stream.NewBitmap(n)
	for _, i := range set {
		b.Set(i)
	}
	return b
}

func TestMetadataReadsBack(t *testing.T) {
	for _, m := range []metadata{
		{},
		{have: bitmap(3)},
		{have: bitmap(3, 0, 2)},
		{have: bitmap(9, 8), want: bitmap(9, 0)},
		{want: bitmap(1, 0)},
		{have: bitmap(stream.MaxChunks, 0, stream.MaxChunks-1), want: bitmap(stream.MaxChunks, 7)},
	} {
		raw := m.marshal()
		if len(raw) == 0 {
			t.Errorf("%v is written as nothing, which pubsub would not send", m)
		}
		got, err := parseMetadata(raw)
		if err != nil || !got.have.Equal(m.have) || !got.want.Equal(m.want) {
			t.Errorf("%v reads back as %v, %v", m, got, err)
		}
	}
}

func TestMetadataLeavesOutWhatIsNotWanted(t *testing.T) {
	with, without := metadata{have: bitmap(64, 3), want: bitmap(64)}, metadata{have: bitmap(64, 3)}
	if !bytes.Equal(with.marshal(), without.marshal()) {
		t.Errorf("wanting nothing is written as %x, want %x", with.marshal(), without.marshal())
	}
}

func TestMetadataHasTheWireFormatOfItsDocumentation(t *testing.T) {
	got := metadata{have: bitmap(9, 0, 8), want: bitmap(9, 1)}.marshal()
	if want := []byte{0x0a, 2, 0x01, 0x01, 0x12, 2, 0x02, 0x00}; !bytes.Equal(got, want) {
		t.Errorf("written as %x, want %x", got, want)
	}
}

func TestMetadataIsBounded(t *testing.T) {
	for name, raw := range map[string][]byte{
		"have of 65 bytes": wire.AppendBytes(nil, 1, make([]byte, maxBitmap+1)),
		"want of 65 bytes": wire.AppendBytes(nil, 2, make([]byte, maxBitmap+1)),
		"2 KiB, unknown":   wire.AppendBytes(nil, 9, make([]byte, 2<<10)),
		"cut short":        {0x0a, 2, 0x01},
	} {
		if _, err := parseMetadata(raw); !errors.Is(err, errWire) {
			t.Errorf("%s: error %v, want one that wraps errWire", name, err)
		}
	}
}

func FuzzParseMetadata(f *testing.F) {
	f.Add(metadata{have: bitmap(9, 0, 8), want: bitmap(9, 1)}.marshal())
	f.Add(metadata{}.marshal())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := parseMetadata(raw)
		if err != nil {
			if !errors.Is(err, errWire) {
				t.Errorf("error %v does not wrap errWire", err)
			}
			return
		}
		if len(m.have) > maxBitmap || len(m.want) > maxBitmap {
			t.Errorf("bitmaps of %d and %d bytes, want at most %d", len(m.have), len(m.want), maxBitmap)
		}
		got, err := parseMetadata(m.marshal())
		if m.want.Count() == 0 {
			m.want = nil
		}
		if err != nil || !got.have.Equal(m.have) || !got.want.Equal(m.want) {
			t.Errorf("%v reads back as %v, %v", m, got, err)
		}
	})
}

func TestChunksReadBack(t *testing.T) {
	for _, i := range []int{0, 1, 127, 128, stream.MaxChunks - 1} {
		for _, n := range []int{0, 1, stream.MaxChunkSize} {
			data := bytes.Repeat([]byte{7}, n)
			gotIndex, got, err := parseChunk(marshalChunk(i, data))
			if err != nil || gotIndex != i || !bytes.Equal(got, data) {
				t.Errorf("chunk %d of %d bytes reads back as %d of %d, %v", i, n, gotIndex, len(got), err)
			}
		}
	}
}

func TestChunksAreBounded(t *testing.T) {
	for name, raw := range map[string][]byte{
		"nothing":            nil,
		"an index cut short": {0x80},
		"index 512":          marshalChunk(stream.MaxChunks, nil),
		"an index of 2^64":   {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2},
		"a byte too many":    marshalChunk(0, make([]byte, stream.MaxChunkSize+1)),
	} {
		if _, _, err := parseChunk(raw); !errors.Is(err, errWire) {
			t.Errorf("%s: error %v, want one that wraps errWire", name, err)
		}
	}
}

func FuzzParseChunk(f *testing.F) {
	f.Add(marshalChunk(300, []byte("grapes")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		i, data, err := parseChunk(raw)
		if err != nil {
			if !errors.Is(err, errWire) {
				t.Errorf("error %v does not wrap errWire", err)
			}
			return
		}
		if i < 0 || i >= stream.MaxChunks || len(data) > stream.MaxChunkSize {
			t.Errorf("chunk %d of %d bytes is out of bounds", i, len(data))
		}
		if !bytes.HasSuffix(raw, data) {
			t.Error("the chunk's bytes are not those of the message")
		}
	})
}

func TestPositionsReadBack(t *testing.T) {
	for _, p := range []stream.Position{
		{},
		{Epoch: 1, Segment: 2, Part: 3},
		{Epoch: 127, Segment: 128, Part: 127},
		{Epoch: math.MaxUint64, Segment: math.MaxUint64, Part: stream.MaxPartsPerSegment - 1},
	} {
		if got, err := parsePosition(marshalPosition(p)); err != nil || got != p {
			t.Errorf("%v reads back as %v, %v", p, got, err)
		}
	}
}

func TestAPositionHasOneGroupID(t *testing.T) {
	good := marshalPosition(stream.Position{Epoch: 1, Segment: 2, Part: 3})
	for name, raw := range map[string][]byte{
		"nothing":          nil,
		"two numbers":      good[:2],
		"four numbers":     append(bytes.Clone(good), 0),
		"a number at full": {0x81, 0x00, 2, 3},
		"a number cut":     {1, 2, 0x83},
		"a number of 2^64": {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2, 2, 3},
		"part 1024":        binary.AppendUvarint([]byte{1, 2}, stream.MaxPartsPerSegment),
		"part 2^32+3":      binary.AppendUvarint([]byte{1, 2}, 1<<32+3),
	} {
		if p, err := parsePosition(raw); !errors.Is(err, errWire) {
			t.Errorf("%s: %v, error %v, want one that wraps errWire", name, p, err)
		}
	}
}

func FuzzParsePosition(f *testing.F) {
	f.Add(marshalPosition(stream.Position{Epoch: 1, Segment: 300, Part: 3}))
	f.Add([]byte{0x81, 0x00, 2, 3})
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := parsePosition(raw)
		if err != nil {
			if !errors.Is(err, errWire) {
				t.Errorf("error %v does not wrap errWire", err)
			}
			return
		}
		if got := marshalPosition(p); !bytes.Equal(got, raw) {
			t.Errorf("%x is %v, which is written %x", raw, p, got)
		}
	})
}
