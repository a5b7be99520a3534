package p2p

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/stream"
)

func TestWantsEndWithTheirPart(t *testing.T) {
	publisher, err := stream.NewPublisher(stream.NewKey(), "main", 1)
	if err != nil {
		t.Fatal(err)
	}
	h, chunks, err := publisher.Publish(stream.Part{StartsSegment: true, Duration: time.Second, ProgramTime: time.Now(), Data: make([]byte, 2*stream.ChunkSizeFor(1))})
	if err != nil {
		t.Fatal(err)
	}
	const slow, asker = peer.ID("slow"), peer.ID("asker")
	now := time.Now()
	x := newSwarm(&Node{ctx: context.Background(), log: slog.New(slog.DiscardHandler), store: stream.NewStore(0), uplink: newBucket(0)}, h.Stream).exchange
	x.s.node.store.Put(chunks[0])
	x.onHeader(h, true, false, false, now)
	p := x.parts[h.ID()]
	p.peer(slow).asked.Set(1)
	p.asks[1], x.wanted[slow] = ask{from: slow, at: now}, 1
	// The store lets go of the part while another peer wants what was there.
	x.s.node.store.Drop(h.Stream)
	p.peer(asker).want.Set(0)
	if actions, _ := x.pumpPart(p, now); len(actions) > 0 {
		t.Error("sent what the store does not hold")
	}
	x.expire(now.Add(2 * exchangeTTL))
	if x.wanted[slow] != 0 {
		t.Errorf("%d chunks of a part given up are wanted of a peer", x.wanted[slow])
	}
}

func TestChunksThatOutrunTheirHeadersAreBounded(t *testing.T) {
	id := stream.NewKey().ID()
	x := newSwarm(&Node{ctx: context.Background(), log: slog.New(slog.DiscardHandler), store: stream.NewStore(0), uplink: newBucket(0)}, id).exchange
	now := time.Now()
	const parent = peer.ID("parent")
	for n := range 4 * maxEarly {
		part := stream.PartID{Stream: id, Rendition: "main", Position: stream.Position{Epoch: 1, Segment: uint64(n / 8)}}
		x.stripesOf(part).allowed[parent] = allowance{mask: 0xffff, at: now}
		if err := x.onChunk(chunkSource{from: parent}, part, n%8, []byte("x"), now); err != nil {
			t.Fatal(err)
		}
	}
	if n := x.early(); n != maxEarly {
		t.Errorf("%d chunks wait for their headers, want %d", n, maxEarly)
	}
	if late := x.s.Stats().ChunksLate; late != 3*maxEarly {
		t.Errorf("%d chunks were counted as left out, want %d", late, 3*maxEarly)
	}
}
