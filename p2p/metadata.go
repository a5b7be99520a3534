package p2p

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

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
)

// metadata is what a node tells a neighbour of one part: the chunks that it has and
// those that it wants from this neighbour. Each want replaces the one before it; what
// was had once is never taken back.
//
//	message PartsMetadata {
//	  bytes have = 1;
//	  bytes want = 2;
//	  bytes standing = 3;  // stripes wanted unasked from now on, if it changed: 16 bits, least first
//	  bytes grants   = 4;  // of those that the receiver wants, the ones that it will get
//	  bytes depths   = 5;  // hops from the broadcaster to the sender by stripe, if they changed: 16 times 4 bits
//	}
type metadata struct {
	have, want  stream.Bitmap
	standing    mask // stripes wanted unasked from the receiver
	hasStanding bool
	grants      mask // stripes that the sender promises the receiver
	hasGrants   bool
	depths      *depths // of the sender, nil if they did not change
}

func (m metadata) marshal() []byte {
	// Never empty, so that pubsub sends it even when both bitmaps are.
	b := wire.AppendMessage(nil, 1, m.have)
	if m.want.Count() > 0 {
		b = wire.AppendBytes(b, 2, m.want)
	}
	if m.hasStanding {
		b = wire.AppendBytes(b, 3, []byte{byte(m.standing), byte(m.standing >> 8)})
	}
	if m.hasGrants {
		b = wire.AppendBytes(b, 4, []byte{byte(m.grants), byte(m.grants >> 8)})
	}
	if d := m.depths; d != nil {
		var packed [len(d) / 2]byte
		for s := range packed {
			packed[s] = d[2*s] | d[2*s+1]<<4
		}
		b = wire.AppendBytes(b, 5, packed[:])
	}
	return b
}

func parseMetadata(b []byte) (metadata, error) {
	var m metadata
	if len(b) > maxMetadata {
		return m, fmt.Errorf("%w: metadata of %d bytes", errWire, len(b))
	}
	err := wire.Fields(b, func(field int, _ uint64, raw []byte) {
		switch field {
		case 1:
			m.have = raw
		case 2:
			m.want = raw
		case 3:
			if len(raw) == 2 {
				m.standing, m.hasStanding = mask(raw[0])|mask(raw[1])<<8, true
			}
		case 5:
			var d depths
			if len(raw) == len(d)/2 {
				for s := range d {
					d[s] = raw[s/2] >> (4 * (s % 2)) & 15
				}
				m.depths = &d
			}
		case 4:
			if len(raw) == 2 {
				m.grants, m.hasGrants = mask(raw[0])|mask(raw[1])<<8, true
			}
		}
	})
	if err != nil {
		return m, fmt.Errorf("%w: metadata: %w", errWire, err)
	}
	if len(m.have) > maxBitmap || len(m.want) > maxBitmap {
		return m, fmt.Errorf("%w: a bitmap of more than %d bytes", errWire, maxBitmap)
	}
	return m, nil
}

// A partial message is one chunk: its index as a varint, then its bytes.

func marshalChunk(i int, data []byte) []byte {
	b := make([]byte, 0, binary.MaxVarintLen16+len(data))
	return append(binary.AppendUvarint(b, uint64(i)), data...)
}

func parseChunk(b []byte) (i int, data []byte, err error) {
	v, n := binary.Uvarint(b)
	if n <= 0 || v >= stream.MaxChunks || len(b)-n > stream.MaxChunkSize {
		return 0, nil, fmt.Errorf("%w: chunk", errWire)
	}
	return int(v), b[n:], nil
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
