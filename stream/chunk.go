package stream

import (
	"crypto/sha256"
	"errors"
	"fmt"
)

// How a [Publisher] chooses the size of a part's chunks. A hop through the swarm takes
// at least one chunk's time on an uplink, so smaller chunks arrive sooner; but each
// costs its hash in a header that every node gets from several neighbours, a message
// with its envelope, and neighbours' words about it.
const (
	// targetChunks is the most chunks that a part is cut into while larger ones are
	// allowed: half a second of 4 Mbit/s is 31 chunks of 8 KiB under a header of 600
	// bytes. A part of more than 1 MiB has more chunks than this.
	targetChunks = 32
	// smallestChunk is four packets. Below that, what is said of a chunk weighs more than
	// the time that is saved.
	smallestChunk = 4 << 10
)

// ChunkSizeFor returns the chunk size that a [Publisher] chooses for a part of size
// bytes. Others' headers may say another.
func ChunkSizeFor(size int) int {
	n := smallestChunk
	for n < MaxChunkSize && size > targetChunks*n {
		n *= 2
	}
	return n
}

// HashSize is the bytes of a [Hash]. Finding other content for a hash takes 2^128
// tries; the package's documentation says why collisions do not matter.
const HashSize = 16

// Hash is the first half of the SHA-256 of a chunk (FIPS 180-4).
type Hash [HashSize]byte

func hashOf(data []byte) Hash {
	sum := sha256.Sum256(data)
	return Hash(sum[:HashSize])
}

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
	case hashOf(data) != h.Chunks[i]:
		return Chunk{}, fmt.Errorf("%w: chunk %d of part %v has another hash", ErrBadChunk, i, h.Position)
	}
	return Chunk{h, i, data}, nil
}

// split cuts data into chunks of size bytes, the last of what remains, and returns
// their hashes. The chunks share data.
func split(data []byte, size int) (chunks [][]byte, hashes []Hash) {
	for len(data) > 0 {
		n := min(size, len(data))
		chunks = append(chunks, data[:n:n])
		hashes = append(hashes, hashOf(data[:n]))
		data = data[n:]
	}
	return chunks, hashes
}
