package stream

import (
	"bytes"
	"testing"
)

// pattern returns n bytes, of which no two chunks are alike.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7) ^ byte(i/ChunkSize)
	}
	return b
}

func TestSplitCutsEvenlyButForTheLast(t *testing.T) {
	for _, c := range []struct{ size, chunks, last int }{
		{0, 0, 0},
		{1, 1, 1},
		{ChunkSize - 1, 1, ChunkSize - 1},
		{ChunkSize, 1, ChunkSize},
		{ChunkSize + 1, 2, 1},
		{5*ChunkSize - 1, 5, ChunkSize - 1},
		{MaxPartSize, MaxChunks, ChunkSize},
	} {
		data := pattern(c.size)
		chunks, hashes := split(data)
		if len(chunks) != c.chunks || len(hashes) != c.chunks {
			t.Errorf("%d bytes: %d chunks, %d hashes, want %d", c.size, len(chunks), len(hashes), c.chunks)
			continue
		}
		if !bytes.Equal(bytes.Join(chunks, nil), data) {
			t.Errorf("%d bytes: chunks joined are not the part", c.size)
		}
		h := Header{Size: c.size, Chunks: hashes}
		for i, chunk := range chunks {
			if len(chunk) != h.ChunkLen(i) || cap(chunk) != len(chunk) {
				t.Errorf("%d bytes: chunk %d has %d bytes of %d, want %d", c.size, i, len(chunk), cap(chunk), h.ChunkLen(i))
			}
		}
		if c.chunks > 0 && len(chunks[c.chunks-1]) != c.last {
			t.Errorf("%d bytes: last chunk has %d bytes, want %d", c.size, len(chunks[c.chunks-1]), c.last)
		}
	}
}

func TestOpenChunkTakesOnlyTheChunkThatTheHeaderDescribes(t *testing.T) {
	data := pattern(2*ChunkSize + 100)
	h := opened(t, describe(firstPart(), data))
	first, second, last := data[:ChunkSize], data[ChunkSize:2*ChunkSize], data[2*ChunkSize:]
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
		{"cut short", 1, second[:ChunkSize-1], ErrBadChunk},
		{"a byte too long", 1, data[ChunkSize : 2*ChunkSize+1], ErrBadChunk},
		{"the last cut short", 2, last[:99], ErrBadChunk},
		{"the last filled up", 2, append(bytes.Clone(last), make([]byte, ChunkSize-100)...), ErrBadChunk},
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
