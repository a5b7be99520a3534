package p2p

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/p2p/schedule"
	"github.com/grapevine-live/grapevine/stream"
)

// published signs a header for a stream's first part.
func published(t *testing.T, key stream.Key, data []byte) (*stream.SignedHeader, []stream.Chunk) {
	t.Helper()
	p, err := stream.NewPublisher(key, "main", 1)
	if err != nil {
		t.Fatal(err)
	}
	h, chunks, err := p.Publish(stream.Part{StartsSegment: true, Duration: time.Second, ProgramTime: time.Unix(1e9, 0), Data: data})
	if err != nil {
		t.Fatal(err)
	}
	return h, chunks
}

// TestTheHeaderThatIsServedCounts has both headers of a part and the chunks of the second come in
// each order: what is served is there in the end, whichever was first, and nobody is blamed.
func TestTheHeaderThatIsServedCounts(t *testing.T) {
	const parent = peer.ID("parent")
	for _, order := range []string{"first second chunks", "first chunks second", "second first chunks", "second first wait chunks", "first second wait chunks"} {
		key := stream.NewKey()
		id := key.ID()
		s := newSwarm(&Node{ctx: context.Background(), log: slog.New(slog.DiscardHandler), store: stream.NewStore(0), uplink: newUplink(0)}, id)
		e, now := s.exchange, time.Now()
		s.renditions["main"] = &rendition{timeline: stream.NewTimeline(id, "main")}
		e.open("main")
		f := e.flow("main")
		f.x.Neighbour(e.number(parent), true, 0)
		unserved, _ := published(t, key, []byte("another picture"))
		served, chunks := published(t, key, bytes.Repeat([]byte("picture"), 3*stream.MaxChunkSize/7))
		if len(chunks) < 2 {
			t.Fatalf("%d chunks", len(chunks))
		}
		s.repair.floor["main"] = stream.Position{Epoch: 1}
		heard := 0
		header := func(h *stream.SignedHeader) {
			if heard++; heard == 1 {
				if err := s.timeline("main").Add(h, now); err != nil {
					t.Fatal(err)
				}
				e.onHeader(h, true, false, false, now)
				f.x.Metadata(e.number(parent), h.Position, schedule.Metadata{State: &schedule.State{Slots: 255, Free: 255, Room: 0xffff}}, now)
				f.x.Step(now) // it wants all stripes
				return
			}
			e.onRival(h, now)
		}
		for _, what := range bytes.Fields([]byte(order)) {
			switch string(what) {
			case "first":
				header(unserved)
			case "second":
				header(served)
			case "chunks":
				for i, c := range chunks {
					_ = e.onChunk(parent, served.ID(), chunkMessage{index: i, data: c.Data()}, false, now)
				}
			case "wait":
				now = now.Add(2 * rivalAfter)
				e.choose(now)
			}
		}
		if !s.node.store.Whole(served.ID()) {
			t.Errorf("%s: the part is not whole", order)
		}
		if got := s.timeline("main").Header(served.Position); got != served {
			t.Errorf("%s: the other header counts", order)
		}
		e.judge(now.Add(2 * accuseAfter))
		if st := s.Stats(); st.ChunksRefused > 0 || len(e.accused) > 0 {
			t.Errorf("%s: %d chunks were refused", order, st.ChunksRefused)
		}
	}
}

// TestAccusedChunksAreBounded has two peers send what fits no header.
func TestAccusedChunksAreBounded(t *testing.T) {
	key := stream.NewKey()
	e := newSwarm(&Node{ctx: context.Background(), log: slog.New(slog.DiscardHandler), store: stream.NewStore(0), uplink: newUplink(0)}, key.ID()).exchange
	h, _ := published(t, key, []byte("picture"))
	for _, from := range []peer.ID{"one", "two", "three", "four", "five"} {
		for n := range 100 {
			e.accuse(accusation{from: from, part: h.ID(), chunk: chunkMessage{index: n, data: make([]byte, stream.MaxChunkSize)}}, time.Now())
		}
	}
	held, of := 0, make(map[peer.ID]int)
	for _, a := range e.accused {
		held += len(a.chunk.data)
		of[a.from] += len(a.chunk.data)
	}
	if held > maxHeld || of["one"] != maxHeldPeer {
		t.Errorf("%d bytes are kept, %d of them of one peer, want at most %d and %d", held, of["one"], maxHeld, maxHeldPeer)
	}
	if len(e.accused) != 500 {
		t.Errorf("%d chunks of 500 wait for their senders to be blamed", len(e.accused))
	}
}
