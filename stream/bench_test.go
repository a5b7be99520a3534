package stream

import (
	"fmt"
	"testing"
	"time"
)

func BenchmarkOpenHeader(b *testing.B) {
	for _, chunks := range []int{8, 64} {
		b.Run(fmt.Sprintf("chunks=%d", chunks), func(b *testing.B) {
			raw := opened(b, describe(firstPart(), pattern(chunks*ChunkSize))).Bytes()
			id := testKey.ID()
			for b.Loop() {
				if _, err := OpenHeader(id, raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpenChunk(b *testing.B) {
	data := pattern(ChunkSize)
	h := opened(b, describe(firstPart(), data))
	b.SetBytes(ChunkSize)
	for b.Loop() {
		if _, err := OpenChunk(h, 0, data); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPublish publishes half a second of 4 Mbit/s.
func BenchmarkPublish(b *testing.B) {
	p := newPublisher(b, 1)
	part := piece("se")
	part.ProgramTime, part.Data = began, pattern(250_000)
	b.SetBytes(int64(len(part.Data)))
	for b.Loop() {
		if _, _, err := p.Publish(part); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStorePut fills a full store.
func BenchmarkStorePut(b *testing.B) {
	const chunks, limit = 8, 512 * ChunkSize
	data := pattern(ChunkSize)
	_, hashes := split(pattern(chunks * ChunkSize))
	s := NewStore(limit)
	h := firstPart()
	h.Size, h.Chunks = chunks*ChunkSize, hashes
	b.SetBytes(ChunkSize)
	n := 0
	var signed *SignedHeader
	for b.Loop() {
		if n%chunks == 0 {
			h.Segment++
			signed = &SignedHeader{h, nil}
		}
		s.Put(Chunk{signed, n % chunks, data})
		n++
	}
}

func BenchmarkTimelineAdd(b *testing.B) {
	tl := NewTimeline(testKey.ID(), "main")
	h := firstPart()
	for b.Loop() {
		h.Segment++
		h.ProgramTime = h.ProgramTime.Add(500 * time.Millisecond)
		signed := &SignedHeader{h, nil}
		if err := tl.Fresh(signed, h.ProgramTime); err != nil {
			b.Fatal(err)
		}
		if err := tl.Add(signed, h.ProgramTime); err != nil {
			b.Fatal(err)
		}
	}
}
