package p2p

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/p2p/schedule"
	"github.com/grapevine-live/grapevine/stream"
)

func TestChunksThatOutrunTheirHeadersAreBounded(t *testing.T) {
	id := stream.NewKey().ID()
	e := newSwarm(&Node{ctx: context.Background(), log: slog.New(slog.DiscardHandler), store: stream.NewStore(0), uplink: newUplink(0)}, id).exchange
	now := time.Now()
	const parent = peer.ID("parent")
	e.open("main")
	f := e.flow("main")
	f.x.Neighbour(e.number(parent), true, 0)
	// It promises everything, so everything is wanted of it.
	at := stream.Position{Epoch: 1}
	f.x.Header(schedule.Part{Position: at, Chunks: 1, Size: 1, ChunkSize: 1024, Duration: time.Second, Wanted: true}, now)
	f.x.Metadata(e.number(parent), at, schedule.Metadata{State: &schedule.State{Slots: 255, Free: 255, Room: 0xffff}}, now)
	f.x.Step(now)
	const each = stream.MaxChunkSize
	refused := 0
	for n := range 4 * maxEarly / each {
		part := stream.PartID{Stream: id, Rendition: "main", Position: stream.Position{Epoch: 1, Segment: uint64(1 + n/8)}}
		if err := e.onChunk(parent, part, chunkMessage{index: n % 8, data: make([]byte, each)}, false, now); err != nil {
			refused++
		}
	}
	if refused > 0 {
		t.Errorf("%d chunks of a parent were refused", refused)
	}
	if f.earlySize != maxEarlyPeer {
		t.Errorf("%d bytes of one peer wait for their headers, want %d", f.earlySize, maxEarlyPeer)
	}
	left := int64((4*maxEarly - maxEarlyPeer) / each)
	if late := e.s.Stats().ChunksLate; late != left {
		t.Errorf("%d chunks were counted as left out, want %d", late, left)
	}
	// Others filled what there is.
	f.dropEarly(parent)
	f.earlySize += maxEarly
	part := stream.PartID{Stream: id, Rendition: "main", Position: stream.Position{Epoch: 1, Segment: 1}}
	if err := e.onChunk(parent, part, chunkMessage{data: make([]byte, each)}, false, now); err != nil {
		t.Error(err)
	}
	if late := e.s.Stats().ChunksLate; late != left+1 || f.earlySize != maxEarly {
		t.Errorf("%d chunks were counted as left out, want %d", late, left+1)
	}
	f.earlySize -= maxEarly
	e.onGone(parent, now)
	if f.earlySize != 0 {
		t.Errorf("%d bytes of a peer that left are kept", f.earlySize)
	}
}
