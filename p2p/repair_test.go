package p2p

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/p2p/schedule"
	"github.com/grapevine-live/grapevine/stream"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
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

// loneHost is a host that reaches nobody.
type loneHost struct{ host.Host }

func (loneHost) NewStream(context.Context, peer.ID, ...protocol.ID) (network.Stream, error) {
	return nil, errors.New("nobody is reached")
}

// incomplete returns a swarm that carries some renditions and lacks a part of each,
// which one connected peer holds, of the rendition's name.
func incomplete(t *testing.T, names ...string) *Swarm {
	t.Helper()
	key, now := stream.NewKey(), time.Now()
	n := &Node{ctx: context.Background(), log: slog.New(slog.DiscardHandler), host: loneHost{}, store: stream.NewStore(0), uplink: newUplink(0)}
	s := newSwarm(n, key.ID())
	for _, name := range names {
		p, err := stream.NewPublisher(key, name, 1)
		if err != nil {
			t.Fatal(err)
		}
		h, _, err := p.Publish(stream.Part{StartsSegment: true, EndsSegment: true, Duration: time.Second, ProgramTime: now, Data: []byte("x")})
		if err != nil {
			t.Fatal(err)
		}
		id := peer.ID(name)
		r := &rendition{timeline: stream.NewTimeline(key.ID(), name), holders: map[peer.ID]struct{}{id: {}}}
		if err := r.timeline.Add(h, now); err != nil {
			t.Fatal(err)
		}
		s.renditions[name] = r
		s.exchange.open(name)
		s.exchange.onHeader(h, true, true, false, now)
		s.repair.source(id).holds = true
	}
	return s
}

func TestRenditionWhoseHoldersRestHoldsNoOtherUp(t *testing.T) {
	s := incomplete(t, "high", "low")
	s.repair.peers["high"].rest = time.Now().Add(time.Minute)
	s.repair.stepChunks(time.Now())
	if busy, free := s.repair.peers["high"].jobs, s.repair.peers["low"].jobs; busy != 0 || free != 1 {
		t.Errorf("%d requests to who rests, want 0; %d to who holds the other rendition, want 1", busy, free)
	}
	s.cancel()
	s.wg.Wait()
}

func TestWhoSpeaksOfTheStreamIsAskedFirst(t *testing.T) {
	s := incomplete(t, "main")
	f := s.exchange.flow("main")
	holders := s.renditions["main"].holders
	now := time.Now()
	live := stream.PartID{Stream: s.id, Rendition: "main", Position: stream.Position{Epoch: 1, Segment: 1}}
	f.x.Header(schedule.Part{Position: live.Position, Size: 1, ChunkSize: 1, Chunks: 1, Duration: time.Second}, now)
	for _, name := range []peer.ID{"dead", "failed", "main"} {
		holders[name] = struct{}{}
		s.repair.source(name).holds = true
		f.x.Neighbour(s.exchange.number(name), true, 0)
		s.exchange.onMetadata(name, live, schedule.Metadata{}, now)
	}
	now = now.Add(2 * time.Second)
	for _, name := range []peer.ID{"failed", "main"} {
		s.exchange.onMetadata(name, live, schedule.Metadata{}, now)
	}
	for _, c := range []struct {
		name   string
		gone   []peer.ID // that hold the rendition no more
		picked peer.ID
	}{
		{"all hold it", nil, "main"},
		{"who did not fail is dead", []peer.ID{"main"}, "failed"},
		{"nobody else holds it", []peer.ID{"main", "failed"}, "dead"},
	} {
		for _, id := range c.gone {
			delete(holders, id)
		}
		for range 20 { // as it is drawn at random
			if id, _ := s.repair.pickHeard(now, []peer.ID{"failed"}, s.holdersOf("main")); id != c.picked {
				t.Errorf("%s: %q is asked, want %q", c.name, id, c.picked)
				break
			}
		}
	}
	s.cancel()
}

func TestWhatWasLostOfARenditionIsStillCountedWhenItIsLeft(t *testing.T) {
	s := incomplete(t, "high", "low")
	now := time.Now()
	lost := func() int64 {
		s.exchange.refresh(now)
		return s.counters.stats.ChunksLost
	}
	for _, f := range s.exchange.flows {
		clear(s.renditions[f.rendition].holders)
		f.opened = nil // there is no pubsub that could be told
		f.x.Step(now.Add(2 * exchangeTTL))
	}
	before := lost()
	s.exchange.leave("high", now)
	if after := lost(); before != 2 || after != before {
		t.Errorf("%d chunks were lost, %d when one rendition was left; want 2 and 2", before, after)
	}
	s.cancel()
}

// TestThePastLeavesRoomForLateLiveParts is of a node that was away for some segments, and to which the
// live ones come late now.
func TestThePastLeavesRoomForLateLiveParts(t *testing.T) {
	for name, c := range map[string]struct {
		live time.Duration // since the last part's header came
		past int           // requests for what was missed
	}{
		"the live part is on its way": {pressedFor / 2, maxJobs},
		"the live part is late":       {2 * pressedFor, pressedJobs},
	} {
		key, now := stream.NewKey(), time.Now()
		n := &Node{ctx: context.Background(), log: slog.New(slog.DiscardHandler), host: loneHost{}, store: stream.NewStore(0), uplink: newUplink(0)}
		s := newSwarm(n, key.ID())
		p, err := stream.NewPublisher(key, "main", 1)
		if err != nil {
			t.Fatal(err)
		}
		r := &rendition{timeline: stream.NewTimeline(key.ID(), "main"), holders: make(map[peer.ID]struct{})}
		s.renditions["main"] = r
		s.exchange.open("main")
		const missed = 2 * maxJobs
		for i := range missed + 1 {
			h, _, err := p.Publish(stream.Part{StartsSegment: true, EndsSegment: true, Duration: time.Second,
				ProgramTime: now.Add(time.Duration(i) * time.Second), Data: make([]byte, leastJobBytes)})
			if err != nil {
				t.Fatal(err)
			}
			if err := r.timeline.Add(h, now); err != nil {
				t.Fatal(err)
			}
			late, at := i < missed, now
			if !late {
				at = now.Add(-c.live)
			}
			s.exchange.onHeader(h, true, late, false, at)
		}
		for i := range maxJobs {
			id := peerNumber(i)
			r.holders[id] = struct{}{}
			s.repair.source(id).holds = true
		}
		s.repair.joined = true
		s.repair.stepChunks(now)
		if s.repair.past != c.past {
			t.Errorf("%s: %d requests for what was missed, want %d", name, s.repair.past, c.past)
		}
		s.cancel()
		s.wg.Wait()
	}
}

// pressedFor is schedule's bound for live parts.
const pressedFor = time.Second
