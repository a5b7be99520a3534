package p2p

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

func TestGapsInATimelineAreFound(t *testing.T) {
	key := stream.NewKey()
	start := time.Now()
	// Epoch 1 has six segments of two parts of a second and is cut short in the seventh,
	// epoch 2 begins a minute later and ends as it should.
	headers := make(map[stream.Position]*stream.SignedHeader)
	for epoch, parts := range map[uint64]int{1: 13, 2: 8} {
		p, err := stream.NewPublisher(key, "main", epoch)
		if err != nil {
			t.Fatal(err)
		}
		for i := range parts {
			h, _, err := p.Publish(stream.Part{StartsSegment: i%2 == 0, EndsSegment: i%2 == 1, Duration: time.Second,
				ProgramTime: start.Add(time.Duration(epoch)*time.Minute + time.Duration(i)*time.Second), Data: []byte("x")})
			if err != nil {
				t.Fatal(err)
			}
			headers[h.Position] = h
		}
		h, err := p.End()
		if err != nil {
			t.Fatal(err)
		}
		headers[h.Position] = h
	}
	at := func(epoch, segment uint64, part uint32) stream.Position {
		return stream.Position{Epoch: epoch, Segment: segment, Part: part}
	}
	end1, end2 := at(1, 7, 0), at(2, 4, 0)
	for _, c := range []struct {
		name  string
		floor stream.Position
		known []stream.Position
		after stream.Position
		gap   bool
	}{
		{"none", at(1, 2, 0), []stream.Position{at(1, 2, 0), at(1, 2, 1), at(1, 3, 0)}, at(1, 3, 0), false},
		{"before the floor", at(1, 2, 0), []stream.Position{at(1, 0, 0), at(1, 2, 0)}, at(1, 2, 0), false},
		{"at the floor", at(1, 2, 0), []stream.Position{at(1, 2, 1)}, at(1, 2, 0), true},
		{"of a part", at(1, 0, 0), []stream.Position{at(1, 0, 0), at(1, 1, 0)}, at(1, 0, 0), true},
		{"of a segment", at(1, 0, 0), []stream.Position{at(1, 0, 0), at(1, 0, 1), at(1, 2, 0)}, at(1, 0, 1), true},
		{"before an end that cut short", at(1, 6, 0), []stream.Position{at(1, 6, 0), end1}, end1, false},
		{"segments before the end", at(1, 5, 0), []stream.Position{at(1, 5, 0), end1}, at(1, 5, 0), true},
		{"a part before the end", at(2, 3, 0), []stream.Position{at(2, 3, 0), at(2, 3, 1), end2}, end2, false},
		{"between epochs", at(1, 6, 0), []stream.Position{at(1, 6, 0), end1, at(2, 0, 0)}, at(2, 0, 0), false},
		{"at an epoch's start", at(1, 6, 0), []stream.Position{at(1, 6, 0), end1, at(2, 0, 1)}, end1, true},
		{"after a long silence", at(1, 0, 0), []stream.Position{at(1, 0, 0), at(2, 2, 0), at(2, 2, 1)}, at(1, 0, 0), true},
	} {
		r := newSwarm(&Node{ctx: context.Background(), log: slog.New(slog.DiscardHandler)}, key.ID()).repair
		r.floor["main"] = c.floor
		timeline := stream.NewTimeline(key.ID(), "main")
		for _, p := range c.known {
			if err := timeline.Add(headers[p], start); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
		}
		for range 2 { // as the floor may rise
			if after, gap := r.firstGap(timeline); after != c.after || gap != c.gap {
				t.Errorf("%s: after %v, gap: %t; want %v, %t", c.name, after, gap, c.after, c.gap)
			}
		}
	}
}
