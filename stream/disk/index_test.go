package disk

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"
	"reflect"
	"testing"

	"github.com/grapevine-live/grapevine/stream"
)

func someRecords() []record {
	return []record{
		{rendition: "main", position: stream.Position{Epoch: 7, Segment: 1, Part: 2}, last: true, offset: 5, size: 70_000, chunkSize: 4096, header: []byte("signed")},
		{rendition: "a", position: stream.Position{Epoch: math.MaxUint64, Segment: math.MaxInt64, Part: stream.MaxPartsPerSegment - 1}, offset: 1 << 40, size: stream.MaxPartSize, chunkSize: stream.MaxChunkSize, header: bytes.Repeat([]byte("h"), stream.MaxHeaderSize)},
		{rendition: "main", position: stream.Position{Epoch: 7, Segment: 2}, end: true, header: []byte(recordMagic)},
	}
}

func indexOf(records []record) (raw []byte, ends []int) {
	for i := range records {
		at := len(raw)
		raw = records[i].append(raw)
		records[i].headerAt = int64(len(raw) - len(records[i].header))
		ends = append(ends, len(raw)-at)
	}
	return raw, ends
}

func TestIndexReadsWhatItWrote(t *testing.T) {
	want := someRecords()
	raw, _ := indexOf(want)
	got, damaged := parseIndex(raw)
	if damaged != 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v with %d places damaged, want %+v", got, damaged, want)
	}
}

// TestIndexLosesNoMoreThanWhatIsDamaged changes each byte.
func TestIndexLosesNoMoreThanWhatIsDamaged(t *testing.T) {
	want := someRecords()
	raw, lengths := indexOf(want)
	which, end := 0, lengths[0]
	for at := range raw {
		if at == end {
			which++
			end += lengths[which]
		}
		raw[at] ^= 0x10
		got, damaged := parseIndex(raw)
		left := append(append([]record(nil), want[:which]...), want[which+1:]...)
		if damaged != 1 || !reflect.DeepEqual(got, left) {
			t.Fatalf("with byte %d of record %d changed: %d records, %d places damaged", at, which, len(got), damaged)
		}
		raw[at] ^= 0x10
	}
}

func TestIndexMayEndAnywhere(t *testing.T) {
	want := someRecords()
	raw, lengths := indexOf(want)
	for n := range raw {
		whole, at := 0, 0
		for at+lengths[whole] <= n {
			at += lengths[whole]
			whole++
		}
		got, damaged := parseIndex(raw[:n])
		if len(got) != whole || (damaged == 1) != (n > at) {
			t.Fatalf("of %d bytes: %d records and %d places damaged, want %d records", n, len(got), damaged, whole)
		}
	}
}

func TestIndexRefusesNumbersThatNoHeaderHas(t *testing.T) {
	for name, change := range map[string]func(*record){
		"part":              func(r *record) { r.position.Part = stream.MaxPartsPerSegment },
		"segment":           func(r *record) { r.position.Segment = math.MaxInt64 + 1 },
		"size":              func(r *record) { r.size = stream.MaxPartSize + 1 },
		"nothing":           func(r *record) { r.size = 0 },
		"chunk size":        func(r *record) { r.chunkSize = stream.MaxChunkSize + 1 },
		"no chunk size":     func(r *record) { r.chunkSize = 0 },
		"too many chunks":   func(r *record) { r.size, r.chunkSize = stream.MaxPartSize, stream.MinChunkSize },
		"offset":            func(r *record) { r.offset = -1 },
		"rendition":         func(r *record) { r.rendition = "../up" },
		"no rendition":      func(r *record) { r.rendition = "" },
		"end with a size":   func(r *record) { r.end = true },
		"offset at the end": func(r *record) { r.offset = math.MaxInt64 },
	} {
		r := someRecords()[0]
		change(&r)
		if got, _ := parseIndex(r.append(nil)); len(got) > 0 {
			t.Errorf("%s: read %+v", name, got)
		}
	}
}

func FuzzIndex(f *testing.F) {
	raw, _ := indexOf(someRecords())
	f.Add(raw)
	f.Add(raw[:len(raw)-1])
	f.Add(append([]byte("junk"), raw...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		checkIndex(t, raw)
		// Nothing that is changed gets past the checksum, so it is put right.
		if len(raw) >= recordFixed {
			copy(raw, recordMagic)
			if n := recordFixed + int(raw[10]) + int(binary.LittleEndian.Uint16(raw[8:])); n <= len(raw) {
				binary.LittleEndian.PutUint32(raw[4:], crc32.Checksum(raw[8:n], castagnoli))
				checkIndex(t, raw)
			}
		}
	})
}

func checkIndex(t *testing.T, raw []byte) {
	records, damaged := parseIndex(raw)
	total := 0
	for _, r := range records {
		if !r.valid() || r.headerAt+int64(len(r.header)) > int64(len(raw)) {
			t.Fatalf("record %+v", r)
		}
		b := r.append(nil)
		total += len(b)
		if end := int(r.headerAt) + len(r.header); !bytes.Equal(b, raw[end-len(b):end]) {
			t.Fatalf("%+v is written in another way", r)
		}
	}
	if damaged == 0 && total != len(raw) {
		t.Fatalf("%d of %d bytes were read, and none counts as damaged", total, len(raw))
	}
}
