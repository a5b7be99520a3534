//go:build linux

package main

import (
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

func TestAPartCountsWhenItIsWholeInTime(t *testing.T) {
	from := time.Unix(1000, 0)
	header := func(published time.Duration) *stream.SignedHeader {
		h, _, err := publish(from.Add(published - partDuration))
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	first, second, later := header(0), header(partDuration), header(2*partDuration)
	first.Position.Part, second.Position.Part, later.Position.Part = 0, 1, 2
	var a arrivals
	a.measure(from, from.Add(2*partDuration))
	whole := func(node int, h *stream.SignedHeader, after time.Duration) {
		for i := range h.Chunks {
			a.receive(node, h, i, h.ProgramTime.Add(h.Duration+after))
		}
	}
	whole(0, first, deadline)
	whole(1, first, deadline+1)
	whole(0, second, 0)
	a.receive(1, second, 0, from.Add(partDuration))
	whole(0, later, 0)
	got := a.result(2, partDuration)
	if got.Pairs != 4 || got.Whole != 2 {
		t.Errorf("%d of %d are whole in time, want 2 of 4", got.Whole, got.Pairs)
	}
	if want := int64(second.Size + second.ChunkLen(0)); got.Bytes != want {
		t.Errorf("%d bytes came within the interval, want %d", got.Bytes, want)
	}
}

func publish(at time.Time) (*stream.SignedHeader, []stream.Chunk, error) {
	p, err := stream.NewPublisher(stream.NewKey(), "main", 1)
	if err != nil {
		return nil, nil, err
	}
	return p.Publish(makePart(0, 4_000_000, at))
}
