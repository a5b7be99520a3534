package p2p

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/grapevine-live/grapevine/p2p/schedule"
	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/wire"
)

// errWire is wrapped by errors about bytes from peers that are no message of ours.
var errWire = errors.New("malformed message")

const (
	// maxBitmap is the bytes of the largest bitmap.
	maxBitmap = stream.MaxChunks / 8
	// maxMetadata bounds a PartsMetadata, with room for fields of later versions: many
	// may wait in an inbox.
	maxMetadata = 1 << 10
	// stateSize is the bytes of a state.
	stateSize = schedule.Stripes/2 + schedule.Stripes + 1 + 2 + 1 + 1 + 2
)

// A PartsMetadata is what a node tells a neighbour with respect to one part.
//
//	message PartsMetadata {
//	  bytes have = 1;      // chunks of the part that the sender has
//	  bytes want = 2;      // chunks that it wants from the receiver; replaces the last one of this part
//	  bytes standing = 3;  // stripes that it wants unasked of all later parts, if that changed: 16 bits, least first
//	  bytes grants   = 4;  // of the stripes that the receiver wants, those that it gets of all later parts, if that changed
//	  bytes state    = 5;  // the sender's, if it changed; see marshalState
//	}
func marshalMetadata(m *schedule.Metadata) []byte {
	// Never empty, so that pubsub sends it even when both bitmaps are.
	b := wire.AppendMessage(nil, 1, m.Have)
	if m.Want.Count() > 0 {
		b = wire.AppendBytes(b, 2, m.Want)
	}
	if m.Standing != nil {
		b = wire.AppendBytes(b, 3, binary.LittleEndian.AppendUint16(nil, uint16(*m.Standing)))
	}
	if m.Grants != nil {
		b = wire.AppendBytes(b, 4, binary.LittleEndian.AppendUint16(nil, uint16(*m.Grants)))
	}
	if m.State != nil {
		b = wire.AppendBytes(b, 5, marshalState(m.State))
	}
	return b
}

func parseMetadata(b []byte) (schedule.Metadata, error) {
	var m schedule.Metadata
	if len(b) > maxMetadata {
		return m, fmt.Errorf("%w: metadata of %d bytes", errWire, len(b))
	}
	mask := func(raw []byte) *schedule.Mask {
		if len(raw) != 2 {
			return nil
		}
		m := schedule.Mask(binary.LittleEndian.Uint16(raw))
		return &m
	}
	err := wire.Fields(b, func(field int, _ uint64, raw []byte) {
		switch field {
		case 1:
			m.Have = raw
		case 2:
			m.Want = raw
		case 3:
			m.Standing = mask(raw)
		case 4:
			m.Grants = mask(raw)
		case 5:
			m.State = parseState(raw)
		}
	})
	if err != nil {
		return m, fmt.Errorf("%w: metadata: %w", errWire, err)
	}
	if len(m.Have) > maxBitmap || len(m.Want) > maxBitmap {
		return m, fmt.Errorf("%w: a bitmap of more than %d bytes", errWire, maxBitmap)
	}
	return m, nil
}

// marshalState writes, without field numbers as it is written often: the hops of each
// stripe in 4 bits, the delay of each in a byte (units of 4 ms), the delay of the
// queue in a byte, the stripes that the node feeds in 16 bits, its slots and of those
// the free ones in a byte each, the stripes with room in 16 bits.
func marshalState(s *schedule.State) []byte {
	b := make([]byte, 0, stateSize)
	for i := 0; i < schedule.Stripes; i += 2 {
		b = append(b, s.Hops[i]&15|s.Hops[i+1]<<4)
	}
	for _, d := range s.Delays {
		b = append(b, byte(d))
	}
	b = append(b, byte(s.Queue))
	b = binary.LittleEndian.AppendUint16(b, uint16(s.Feeds))
	b = append(b, s.Slots, s.Free)
	return binary.LittleEndian.AppendUint16(b, uint16(s.Room))
}

// parseState reads what marshalState writes, and what later versions append to it. It
// returns nil for less.
func parseState(b []byte) *schedule.State {
	if len(b) < stateSize {
		return nil
	}
	var s schedule.State
	for i := range s.Hops {
		s.Hops[i] = b[i/2] >> (4 * (i % 2)) & 15
	}
	b = b[schedule.Stripes/2:]
	for i := range s.Delays {
		s.Delays[i] = schedule.Delay(b[i])
	}
	b = b[schedule.Stripes:]
	s.Queue = schedule.Delay(b[0])
	s.Feeds = schedule.Mask(binary.LittleEndian.Uint16(b[1:]))
	s.Slots, s.Free = b[3], b[4]
	s.Room = schedule.Mask(binary.LittleEndian.Uint16(b[5:]))
	return &s
}

// maxAge is what a chunk's age is cut to: nobody plays what is older.
const maxAge = time.Minute

// chunkMessage is one chunk on its way.
type chunkMessage struct {
	index int
	age   time.Duration // since its publication, whole milliseconds
	data  []byte
}

// A partial message holds one or more chunks of a part. Of each it has the index, the
// age in milliseconds and the length as varints, then its bytes.

func appendChunk(b []byte, c chunkMessage) []byte {
	b = binary.AppendUvarint(b, uint64(c.index))
	b = binary.AppendUvarint(b, uint64(min(max(c.age, 0), maxAge).Milliseconds()))
	b = binary.AppendUvarint(b, uint64(len(c.data)))
	return append(b, c.data...)
}

func parseChunks(b []byte) (out []chunkMessage, err error) {
	bad := fmt.Errorf("%w: chunks", errWire)
	for len(b) > 0 {
		var v [3]uint64
		for i := range v {
			x, n := binary.Uvarint(b)
			if n <= 0 {
				return nil, bad
			}
			v[i], b = x, b[n:]
		}
		if v[0] >= stream.MaxChunks || v[2] > stream.MaxChunkSize || v[2] > uint64(len(b)) || len(out) == stream.MaxChunks {
			return nil, bad
		}
		age := min(time.Duration(min(v[1], uint64(maxAge.Milliseconds())))*time.Millisecond, maxAge)
		out = append(out, chunkMessage{int(v[0]), age, b[:v[2]]})
		b = b[v[2]:]
	}
	return out, nil
}

// A group ID is a part's position: epoch, segment and part as varints.

func marshalPosition(p stream.Position) []byte {
	b := binary.AppendUvarint(nil, p.Epoch)
	b = binary.AppendUvarint(b, p.Segment)
	return binary.AppendUvarint(b, uint64(p.Part))
}

func parsePosition(b []byte) (stream.Position, error) {
	var v [3]uint64
	whole := b
	for i := range v {
		x, n := binary.Uvarint(b)
		if n <= 0 {
			return stream.Position{}, fmt.Errorf("%w: position", errWire)
		}
		v[i], b = x, b[n:]
	}
	if len(b) > 0 || v[2] >= stream.MaxPartsPerSegment {
		return stream.Position{}, fmt.Errorf("%w: position", errWire)
	}
	p := stream.Position{Epoch: v[0], Segment: v[1], Part: uint32(v[2])}
	if !bytes.Equal(marshalPosition(p), whole) {
		return p, fmt.Errorf("%w: position written at length", errWire) // else one part had many group IDs
	}
	return p, nil
}
