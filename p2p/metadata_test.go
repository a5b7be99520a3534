package p2p

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/p2p/schedule"
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
	stripes, none, state := schedule.Mask(0x8001), schedule.Mask(0), schedule.State{Queue: 3, Feeds: 0x4002, Slots: 200, Free: 7, Room: 0x1001}
	for s := range state.Hops {
		state.Hops[s], state.Delays[s] = uint8(s), schedule.Delay(255-s)
	}
	for _, m := range []schedule.Metadata{
		{},
		{Have: bitmap(3)},
		{Have: bitmap(3, 0, 2)},
		{Have: bitmap(9, 8), Want: bitmap(9, 0)},
		{Want: bitmap(1, 0)},
		{Have: bitmap(stream.MaxChunks, 0, stream.MaxChunks-1), Want: bitmap(stream.MaxChunks, 7)},
		{Standing: &stripes, Grants: &none},
		{Standing: &none, Grants: &stripes, State: &state},
	} {
		raw := marshalMetadata(&m)
		if len(raw) == 0 {
			t.Errorf("%v is written as nothing, which pubsub would not send", m)
		}
		got, err := parseMetadata(raw)
		if err != nil || !same(got, m) {
			t.Errorf("%v reads back as %v, %v", m, got, err)
		}
	}
}

func same(a, b schedule.Metadata) bool {
	return a.Have.Equal(b.Have) && a.Want.Equal(b.Want) && reflect.DeepEqual(a.Standing, b.Standing) &&
		reflect.DeepEqual(a.Grants, b.Grants) && reflect.DeepEqual(a.State, b.State)
}

func TestMetadataLeavesOutWhatIsNotWanted(t *testing.T) {
	with := marshalMetadata(&schedule.Metadata{Have: bitmap(64, 3), Want: bitmap(64)})
	if without := marshalMetadata(&schedule.Metadata{Have: bitmap(64, 3)}); !bytes.Equal(with, without) {
		t.Errorf("wanting nothing is written as %x, want %x", with, without)
	}
}

func TestMetadataHasTheWireFormatOfItsDocumentation(t *testing.T) {
	stripes := schedule.Mask(1<<0 | 1<<15)
	state := schedule.State{Queue: 3, Feeds: 2, Slots: 5, Free: 4, Room: 1 << 15}
	state.Hops[1], state.Delays[15] = schedule.Unfed, 9
	got := marshalMetadata(&schedule.Metadata{Have: bitmap(9, 0, 8), Want: bitmap(9, 1), Standing: &stripes, Grants: &stripes, State: &state})
	want := []byte{0x0a, 2, 0x01, 0x01, 0x12, 2, 0x02, 0x00, 0x1a, 2, 0x01, 0x80, 0x22, 2, 0x01, 0x80,
		0x2a, 31, 0xf0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 3, 2, 0, 5, 4, 0, 0x80}
	if !bytes.Equal(got, want) {
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
	f.Add(marshalMetadata(&schedule.Metadata{Have: bitmap(9, 0, 8), Want: bitmap(9, 1), State: &schedule.State{}}))
	f.Add(marshalMetadata(&schedule.Metadata{}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := parseMetadata(raw)
		if err != nil {
			if !errors.Is(err, errWire) {
				t.Errorf("error %v does not wrap errWire", err)
			}
			return
		}
		if len(m.Have) > maxBitmap || len(m.Want) > maxBitmap {
			t.Errorf("bitmaps of %d and %d bytes, want at most %d", len(m.Have), len(m.Want), maxBitmap)
		}
		got, err := parseMetadata(marshalMetadata(&m))
		if m.Want.Count() == 0 {
			m.Want = nil
		}
		if err != nil || !same(got, m) {
			t.Errorf("%v reads back as %v, %v", m, got, err)
		}
	})
}

func TestChunksReadBack(t *testing.T) {
	var sent []chunkMessage
	var raw []byte
	for _, i := range []int{0, 1, 127, 128, stream.MaxChunks - 1} {
		for _, n := range []int{0, 1, stream.MaxChunkSize} {
			c := chunkMessage{i, time.Duration(i) * 7 * time.Millisecond, bytes.Repeat([]byte{7}, n)}
			sent = append(sent, c)
			raw = appendChunk(raw, c)
			if got, err := parseChunks(appendChunk(nil, c)); err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], c) {
				t.Errorf("chunk %d of %d bytes reads back as %d chunks, %v", i, n, len(got), err)
			}
		}
	}
	if got, err := parseChunks(raw); err != nil || !reflect.DeepEqual(got, sent) {
		t.Errorf("%d chunks read back as %d, %v", len(sent), len(got), err)
	}
}

func TestAgesAreCut(t *testing.T) {
	for age, want := range map[time.Duration]time.Duration{-time.Second: 0, time.Hour: maxAge, 1500 * time.Microsecond: time.Millisecond} {
		got, err := parseChunks(appendChunk(nil, chunkMessage{0, age, nil}))
		if err != nil || got[0].age != want {
			t.Errorf("an age of %v reads back as %v, %v; want %v", age, got, err, want)
		}
	}
	huge := append(binary.AppendUvarint([]byte{0}, math.MaxUint64), 0)
	if got, err := parseChunks(huge); err != nil || got[0].age != maxAge {
		t.Errorf("an age of 2^64-1 ms reads as %v, %v; want %v", got, err, maxAge)
	}
}

func TestChunksAreBounded(t *testing.T) {
	for name, raw := range map[string][]byte{
		"an index cut short": {0x80},
		"nothing but index":  {1},
		"no length":          {1, 0},
		"bytes cut short":    {1, 0, 3, 7, 7},
		"index 512":          appendChunk(nil, chunkMessage{index: stream.MaxChunks}),
		"an index of 2^64":   {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2, 0, 0},
		"a byte too many":    appendChunk(nil, chunkMessage{data: make([]byte, stream.MaxChunkSize+1)}),
		"513 chunks":         bytes.Repeat([]byte{1, 0, 0}, stream.MaxChunks+1),
	} {
		if _, err := parseChunks(raw); !errors.Is(err, errWire) {
			t.Errorf("%s: error %v, want one that wraps errWire", name, err)
		}
	}
}

func FuzzParseChunks(f *testing.F) {
	f.Add(appendChunk(appendChunk(nil, chunkMessage{300, time.Second, []byte("grapes")}), chunkMessage{1, 0, nil}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		chunks, err := parseChunks(raw)
		if err != nil {
			if !errors.Is(err, errWire) {
				t.Errorf("error %v does not wrap errWire", err)
			}
			return
		}
		var again []byte
		for _, c := range chunks {
			if c.index < 0 || c.index >= stream.MaxChunks || len(c.data) > stream.MaxChunkSize || c.age < 0 || c.age > maxAge {
				t.Errorf("chunk %d of %d bytes, age %v, is out of bounds", c.index, len(c.data), c.age)
			}
			again = appendChunk(again, c)
		}
		if got, err := parseChunks(again); err != nil || len(got) != len(chunks) {
			t.Errorf("%d chunks read back as %d, %v", len(chunks), len(got), err)
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
