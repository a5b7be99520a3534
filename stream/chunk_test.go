package stream

import (
	"bytes"
	"fmt"
	"testing"
)

// pattern returns n bytes, of which no two chunks are alike.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7) ^ byte(i/MinChunkSize) ^ byte(i/MinChunkSize>>8*31)
	}
	return b
}

func TestPublishersChunksAreSmallAndFew(t *testing.T) {
	for _, c := range []struct{ size, chunkSize, chunks int }{
		{1, 4 << 10, 1},
		{16_000, 4 << 10, 4}, // half a second of 256 kbit/s
		{128 << 10, 4 << 10, 32},
		{128<<10 + 1, 8 << 10, 17},
		{250_000, 8 << 10, 31}, // of 4 Mbit/s
		{256 << 10, 8 << 10, 32},
		{256<<10 + 1, 16 << 10, 17},
		{512<<10 + 1, 32 << 10, 17},
		{1 << 20, 32 << 10, 32},
		{1<<20 + 1, 32 << 10, 33}, // none are larger
		{MaxPartSize, 32 << 10, MaxChunks},
	} {
		n := ChunkSizeFor(c.size)
		if chunks, _ := split(make([]byte, c.size), n); n != c.chunkSize || len(chunks) != c.chunks {
			t.Errorf("%d bytes: %d chunks of %d, want %d of %d", c.size, len(chunks), n, c.chunks, c.chunkSize)
		}
	}
	// Whatever the constants: headers are valid.
	for size := 1; size <= MaxPartSize; size += 1 + size/3 {
		h := describe(firstPart(), make([]byte, size))
		if err := h.validate(); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestHashesAreTheFirstHalfOfSHA256(t *testing.T) {
	// FIPS 180-2, appendix B.1.
	if got := fmt.Sprintf("%x", hashOf([]byte("abc"))); got != "ba7816bf8f01cfea414140de5dae2223" {
		t.Errorf("hash of abc is %s", got)
	}
}

func TestSplitCutsEvenlyButForTheLast(t *testing.T) {
	for n := MinChunkSize; n <= MaxChunkSize; n *= 2 {
		for _, c := range []struct{ size, chunks, last int }{
			{0, 0, 0},
			{1, 1, 1},
			{n - 1, 1, n - 1},
			{n, 1, n},
			{n + 1, 2, 1},
			{5*n - 1, 5, n - 1},
			{MaxChunks * n, MaxChunks, n},
		} {
			data := pattern(c.size)
			chunks, hashes := split(data, n)
			if len(chunks) != c.chunks || len(hashes) != c.chunks {
				t.Errorf("%d bytes by %d: %d chunks, %d hashes, want %d", c.size, n, len(chunks), len(hashes), c.chunks)
				continue
			}
			if !bytes.Equal(bytes.Join(chunks, nil), data) {
				t.Errorf("%d bytes by %d: chunks joined are not the part", c.size, n)
			}
			h := Header{Size: c.size, ChunkSize: n, Chunks: hashes}
			for i, chunk := range chunks {
				if len(chunk) != h.ChunkLen(i) || cap(chunk) != len(chunk) {
					t.Errorf("%d bytes by %d: chunk %d has %d bytes of %d, want %d", c.size, n, i, len(chunk), cap(chunk), h.ChunkLen(i))
				}
			}
			if c.chunks > 0 && len(chunks[c.chunks-1]) != c.last {
				t.Errorf("%d bytes by %d: last chunk has %d bytes, want %d", c.size, n, len(chunks[c.chunks-1]), c.last)
			}
		}
	}
}

func TestOpenChunkTakesOnlyTheChunkThatTheHeaderDescribes(t *testing.T) {
	const n = 2 << 10 // not what a publisher chooses
	data := pattern(2*n + 100)
	h := opened(t, describeCut(firstPart(), data, n))
	first, second, last := data[:n], data[n:2*n], data[2*n:]
	changed := bytes.Clone(second)
	changed[17] ^= 1

	for _, c := range []struct {
		name  string
		index int
		data  []byte
		want  error
	}{
		{"the first", 0, first, nil},
		{"the second", 1, second, nil},
		{"the last", 2, last, nil},
		{"another's place", 0, second, ErrBadChunk},
		{"index -1", -1, first, ErrBadChunk},
		{"an index too high", 3, last, ErrBadChunk},
		{"a bit changed", 1, changed, ErrBadChunk},
		{"nothing", 1, nil, ErrBadChunk},
		{"cut short", 1, second[:n-1], ErrBadChunk},
		{"a byte too long", 1, data[n : 2*n+1], ErrBadChunk},
		{"the last cut short", 2, last[:99], ErrBadChunk},
		{"the last filled up", 2, append(bytes.Clone(last), make([]byte, n-100)...), ErrBadChunk},
	} {
		chunk, err := OpenChunk(h, c.index, c.data)
		wantError(t, c.name, err, c.want)
		if err != nil {
			if chunk.Header() != nil || chunk.Data() != nil {
				t.Errorf("%s: refused, but a chunk was returned", c.name)
			}
			continue
		}
		if chunk.Header() != h || chunk.Index() != c.index || !bytes.Equal(chunk.Data(), c.data) {
			t.Errorf("%s: chunk %d of %v with %d bytes", c.name, chunk.Index(), chunk.Header().Position, len(chunk.Data()))
		}
	}
}

func TestAnEndHasNoChunks(t *testing.T) {
	_, err := OpenChunk(end(t, 1, 5), 0, nil)
	wantError(t, "chunk 0 of an end", err, ErrBadChunk)
}
