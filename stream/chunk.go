package stream

import (
	"crypto/sha256"
	"errors"
	"fmt"
)

// HashSize is the bytes of a [Hash].
const HashSize = sha256.Size

// Hash is the SHA-256 of a chunk (FIPS 180-4).
type Hash [HashSize]byte

// ErrBadChunk is wrapped by errors about bytes that are not the chunk that the
// header describes.
var ErrBadChunk = errors.New("chunk does not match its header")

// Chunk is a slice of a part whose hash was checked against the part's header.
type Chunk struct {
	header *SignedHeader
	index  int
	data   []byte
}

// Header returns the header of the chunk's part.
func (c Chunk) Header() *SignedHeader { return c.header }

// Index returns the chunk's place in its part, from 0.
func (c Chunk) Index() int { return c.index }

// Data returns the chunk's bytes. They must not be changed.
func (c Chunk) Data() []byte { return c.data }

// OpenChunk checks that data is chunk i of the part that h describes. It keeps
// data. Errors wrap [ErrBadChunk].
func OpenChunk(h *SignedHeader, i int, data []byte) (Chunk, error) {
	switch {
	case i < 0 || i >= len(h.Chunks):
		return Chunk{}, fmt.Errorf("%w: chunk %d of %d", ErrBadChunk, i, len(h.Chunks))
	case len(data) != h.ChunkLen(i):
		return Chunk{}, fmt.Errorf("%w: chunk %d has %d bytes, want %d", ErrBadChunk, i, len(data), h.ChunkLen(i))
	case sha256.Sum256(data) != h.Chunks[i]:
		return Chunk{}, fmt.Errorf("%w: chunk %d of part %v has another hash", ErrBadChunk, i, h.Position)
	}
	return Chunk{h, i, data}, nil
}

// split cuts data into chunks and returns their hashes. The chunks share data.
func split(data []byte) (chunks [][]byte, hashes []Hash) {
	for len(data) > 0 {
		n := min(ChunkSize, len(data))
		chunks = append(chunks, data[:n:n])
		hashes = append(hashes, sha256.Sum256(data[:n]))
		data = data[n:]
	}
	return chunks, hashes
}
