package bench

import (
	"context"
	"math/rand"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

// observer tells arrivals of one node's chunks.
type observer struct {
	a    *arrivals
	node int
}

func (o observer) ChunkReceived(h *stream.SignedHeader, _ int) { o.a.receive(o.node, h.Position) }

// runSwarm moves the stream with production nodes.
func runSwarm(t *testing.T, s scenario, seed int64) result {
	r := rand.New(rand.NewSource(seed))
	a := newArrivals(s.Deadline)
	net := p2ptest.New(t, s.Latency)
	uplinks := s.addHosts(r, func(i int, l p2ptest.Link) {
		net.AddNodeWith(l, p2p.Config{Observer: observer{a, i}, MaxUpload: l.Up})
	})
	net.Start()
	defer net.Close()
	net.ConnectRandomly(dials, seed)
	key := stream.NewKey()
	for i := 1; i < s.Nodes; i++ {
		if _, err := net.Node(i).Join(stream.Link{Stream: key.ID()}); err != nil {
			t.Fatal(err)
		}
	}
	b, err := net.Node(0).Broadcast(key, "main", 1)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * time.Second)
	return s.measure(t, r, net, a, uplinks, func(i int, at time.Time, data []byte) error {
		return b.Publish(context.Background(), stream.Part{
			StartsSegment: i%parts == 0,
			EndsSegment:   i%parts == parts-1,
			Independent:   i%parts == 0,
			Duration:      partDuration,
			ProgramTime:   at,
			Data:          data,
		})
	})
}
