package stream

import (
	"fmt"
	"testing"
	"time"
)

func BenchmarkOpenHeader(b *testing.B) {
	for _, chunks := range []int{8, 32, 512} {
		b.Run(fmt.Sprintf("chunks=%d", chunks), func(b *testing.B) {
			raw := opened(b, describeCut(firstPart(), pattern(chunks*MinChunkSize), MinChunkSize)).Bytes()
			id := testKey.ID()
			for b.Loop() {
				if _, err := OpenHeader(id, raw); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(raw)), "bytes")
		})
	}
}

// BenchmarkOpenDelegatedHeader opens a header of a delegate, whose delegation is known.
func BenchmarkOpenDelegatedHeader(b *testing.B) {
	signed, err := delegate(b, 2).sign(describeCut(firstPart(), pattern(32*MinChunkSize), MinChunkSize))
	if err != nil {
		b.Fatal(err)
	}
	roles := NewRoles(testKey.ID())
	for b.Loop() {
		if _, err := roles.OpenHeader(signed.Bytes()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(signed.Bytes())), "bytes")
}

func BenchmarkOpenChunk(b *testing.B) {
	for _, n := range []int{4 << 10, 8 << 10, 32 << 10} {
		b.Run(fmt.Sprintf("bytes=%d", n), func(b *testing.B) {
			data := pattern(n)
			h := opened(b, describeCut(firstPart(), data, n))
			b.SetBytes(int64(n))
			for b.Loop() {
				if _, err := OpenChunk(h, 0, data); err != nil {
					b.Fatal(err)
				}
			}
		})
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
	const chunks, size = 32, 8 << 10
	data := pattern(size)
	s := NewStore(64 * chunks * size)
	h := describeCut(firstPart(), pattern(chunks*size), size)
	b.SetBytes(size)
	n := 0
	var signed *SignedHeader
	for b.Loop() {
		if n%chunks == 0 {
			h.Segment++
			signed = &SignedHeader{Header: h}
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
		signed := &SignedHeader{Header: h}
		if err := tl.Fresh(signed, h.ProgramTime); err != nil {
			b.Fatal(err)
		}
		if err := tl.Add(signed, h.ProgramTime); err != nil {
			b.Fatal(err)
		}
	}
}
