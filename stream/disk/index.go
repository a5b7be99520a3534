package disk

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"

	"github.com/grapevine-live/grapevine/stream"
)

// Of a record of the index; the package's documentation has its fields.
const (
	recordMagic = "gvp1"
	recordFixed = 48 // bytes before the rendition's name
	maxRecord   = recordFixed + stream.MaxRenditionName + stream.MaxHeaderSize

	flagLast = 1
	flagEnd  = 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// record is what the index has of a part. Only its header is signed: all else says where to
// look.
type record struct {
	rendition string
	position  stream.Position
	last, end bool
	offset    int64 // of the chunks, in the parts' file
	size      int   // bytes of all chunks
	chunkSize int
	header    []byte // signed

	headerAt int64 // where the header is in the index
}

// append writes the record behind b.
func (r *record) append(b []byte) []byte {
	start := len(b)
	var flags byte
	if r.last {
		flags |= flagLast
	}
	if r.end {
		flags |= flagEnd
	}
	b = append(b, recordMagic...)
	b = append(b, 0, 0, 0, 0) // the checksum
	b = binary.LittleEndian.AppendUint16(b, uint16(len(r.header)))
	b = append(b, byte(len(r.rendition)), flags)
	b = binary.LittleEndian.AppendUint32(b, r.position.Part)
	b = binary.LittleEndian.AppendUint64(b, r.position.Epoch)
	b = binary.LittleEndian.AppendUint64(b, r.position.Segment)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.offset))
	b = binary.LittleEndian.AppendUint32(b, uint32(r.size))
	b = binary.LittleEndian.AppendUint32(b, uint32(r.chunkSize))
	b = append(b, r.rendition...)
	b = append(b, r.header...)
	binary.LittleEndian.PutUint32(b[start+4:], crc32.Checksum(b[start+8:], castagnoli))
	return b
}

// parseRecord reads the record that b begins with, and returns how long it is.
func parseRecord(b []byte) (r record, n int, ok bool) {
	if len(b) < recordFixed || string(b[:4]) != recordMagic {
		return record{}, 0, false
	}
	name, header := int(b[10]), int(binary.LittleEndian.Uint16(b[8:]))
	n = recordFixed + name + header
	if n > len(b) || n > maxRecord || binary.LittleEndian.Uint32(b[4:]) != crc32.Checksum(b[8:n], castagnoli) {
		return record{}, 0, false
	}
	offset := binary.LittleEndian.Uint64(b[32:])
	r = record{
		rendition: string(b[recordFixed : recordFixed+name]),
		position: stream.Position{
			Part:    binary.LittleEndian.Uint32(b[12:]),
			Epoch:   binary.LittleEndian.Uint64(b[16:]),
			Segment: binary.LittleEndian.Uint64(b[24:]),
		},
		last:      b[11]&flagLast != 0,
		end:       b[11]&flagEnd != 0,
		offset:    int64(offset),
		size:      int(binary.LittleEndian.Uint32(b[40:])),
		chunkSize: int(binary.LittleEndian.Uint32(b[44:])),
		header:    b[recordFixed+name : n],
		headerAt:  int64(recordFixed + name),
	}
	if offset > math.MaxInt64-stream.MaxPartSize || b[11] > flagLast|flagEnd || !r.valid() {
		return record{}, 0, false
	}
	return r, n, true
}

// valid reports whether a header could have these numbers.
func (r *record) valid() bool {
	if !stream.ValidRendition(r.rendition) || r.position.Part >= stream.MaxPartsPerSegment || r.position.Segment > math.MaxInt64 {
		return false
	}
	if r.end {
		return r.size == 0 && r.chunkSize == 0
	}
	return r.size > 0 && r.size <= stream.MaxPartSize && r.chunkSize >= stream.MinChunkSize && r.chunkSize <= stream.MaxChunkSize &&
		(r.size+r.chunkSize-1)/r.chunkSize <= stream.MaxChunks
}

// parseIndex reads an index as far as it is whole, in the order in which it was written, and
// returns how many runs of bytes in it are none of its records.
func parseIndex(b []byte) (records []record, damaged int) {
	for at := 0; at < len(b); {
		r, n, ok := parseRecord(b[at:])
		if ok {
			r.headerAt += int64(at)
			records = append(records, r)
			at += n
			continue
		}
		damaged++
		at = nextRecord(b, at+1)
	}
	return records, damaged
}

// nextRecord returns where the next record begins at a position or after it.
func nextRecord(b []byte, at int) int {
	for at < len(b) {
		i := bytes.Index(b[at:], []byte(recordMagic))
		if i < 0 {
			return len(b)
		}
		at += i
		if _, _, ok := parseRecord(b[at:]); ok {
			return at
		}
		at++
	}
	return at
}
