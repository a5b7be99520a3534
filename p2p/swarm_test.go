package p2p_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

func TestTwentyNodesReceiveEachByteOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const nodes, segments, rate = 20, 3, 2_000_000
		net := p2ptest.New(t, 25*time.Millisecond)
		for range nodes {
			net.AddNode(p2ptest.Link{})
		}
		net.Start()
		defer net.Close()
		net.ConnectRandomly(4, 1)
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: rate}
		for i := 1; i < nodes; i++ {
			if _, err := net.Node(i).Join(stream.Link{Stream: src.Key.ID()}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Second)
		before := make([]int64, nodes)
		for i := range before {
			before[i], _ = net.Bytes(i)
		}
		sent := src.Run(context.Background(), t, net.Node(0), segments, false)
		time.Sleep(5 * time.Second)
		var total int64
		for _, data := range sent {
			total += int64(len(data))
		}
		_, up := net.Bytes(0)
		source := float64(up) / float64(total)
		t.Logf("the broadcaster sent %.2f bytes per byte of stream", source)
		if source > 1.5 {
			t.Errorf("the broadcaster sent %.2f bytes per byte of stream: standing wants should leave the work to others", source)
		}
		for i := 1; i < nodes; i++ {
			if missing := p2ptest.Missing(net.Node(i), src.Key.ID(), sent); len(missing) > 0 {
				t.Errorf("node %d lacks %d of %d parts: %v", i, len(missing), len(sent), missing[0])
			}
			in, _ := net.Bytes(i)
			ratio := float64(in-before[i]) / float64(total)
			s := net.Node(i).Swarms()[0].Stats()
			t.Logf("node %2d received %.3f bytes per byte of stream; %d chunks, %d twice, %d fetched, %d refused, %d events dropped", i, ratio, s.ChunksReceived, s.ChunksDuplicate, s.ChunksFetched, s.ChunksRefused, s.EventsDropped)
			if ratio > 1.3 {
				t.Errorf("node %d received %.3f bytes per byte of stream, want at most 1.3", i, ratio)
			}
		}
	})
}
