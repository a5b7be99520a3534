package p2ptest

import (
	"context"
	"fmt"
	"math/rand"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
)

// Source broadcasts pseudo-random bytes in the shape of a live stream.
type Source struct {
	Key       stream.Key
	Rendition string        // default "main"
	Epoch     uint64        // the first; each run takes the next
	Rate      int           // bits per second
	Segment   time.Duration // default 2 s
	Part      time.Duration // default 500 ms
	ClockOff  time.Duration // by which its clock is ahead

	run int
}

// Run broadcasts n segments from a node in real time, virtual or not, or fewer if ctx
// ends before, and then ends the epoch if end is set. It returns what it broadcast,
// by position.
func (s *Source) Run(ctx context.Context, tb testing.TB, node *p2p.Node, n int, end bool) map[stream.Position][]byte {
	tb.Helper()
	if s.Segment == 0 {
		s.Segment = 2 * time.Second
	}
	if s.Part == 0 {
		s.Part = 500 * time.Millisecond
	}
	if s.Rendition == "" {
		s.Rendition = usualRendition
	}
	epoch := s.Epoch + uint64(s.run)
	s.run++
	b, err := node.Broadcast(s.Key, s.Rendition, epoch)
	if err != nil {
		tb.Errorf("broadcast: %v", err)
		return nil
	}
	out := make(map[stream.Position][]byte)
	random := rand.New(rand.NewSource(int64(epoch)))
	parts := int(s.Segment / s.Part)
	start := time.Now()
	for i := range n * parts {
		// A part is there when its last frame is.
		select {
		case <-time.After(time.Until(start.Add(time.Duration(i+1) * s.Part))):
		case <-ctx.Done():
			return out
		}
		data := make([]byte, s.Rate/8*int(s.Part/time.Millisecond)/1000)
		random.Read(data)
		p := stream.Part{
			StartsSegment: i%parts == 0,
			EndsSegment:   i%parts == parts-1,
			Independent:   i%parts == 0,
			Duration:      s.Part,
			ProgramTime:   start.Add(s.ClockOff + time.Duration(i)*s.Part),
			Media:         stream.Media{Codecs: "avc1.64001f,mp4a.40.2", Width: 1280, Height: 720, FrameRate: 25},
			Data:          data,
		}
		if err := b.Publish(context.WithoutCancel(ctx), p); err != nil {
			tb.Errorf("publish part %d: %v", i, err)
			return out
		}
		out[stream.Position{Epoch: epoch, Segment: uint64(i / parts), Part: uint32(i % parts)}] = data
	}
	if end {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if err := b.End(ctx); err != nil {
			tb.Errorf("end: %v", err)
		}
	}
	return out
}

// usualRendition is what a [Source] broadcasts unless told otherwise.
const usualRendition = "main"

// Missing returns the parts of want that a node does not hold whole, or holds with
// other bytes.
func Missing(node *p2p.Node, id stream.ID, want map[stream.Position][]byte) []string {
	return MissingOf(node, id, usualRendition, want)
}

// MissingOf is [Missing] for a rendition.
func MissingOf(node *p2p.Node, id stream.ID, rendition string, want map[stream.Position][]byte) []string {
	var out []string
	for pos, data := range want {
		var got []byte
		for _, c := range node.Store().Part(stream.PartID{Stream: id, Rendition: rendition, Position: pos}) {
			got = append(got, c...)
		}
		if string(got) != string(data) {
			out = append(out, fmt.Sprintf("%v: %d of %d bytes", pos, len(got), len(data)))
		}
	}
	return out
}
