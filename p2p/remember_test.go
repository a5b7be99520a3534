package p2p_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

// notes is a Memory that outlives nodes.
type notes struct {
	mu    sync.Mutex
	peers map[stream.ID][]p2p.ServingPeer
	times int // that something was remembered
}

func (n *notes) Recall(id stream.ID) ([]p2p.ServingPeer, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.peers[id], nil
}

func (n *notes) Remember(id stream.ID, peers []p2p.ServingPeer) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.peers[id] = peers
	n.times++
	return nil
}

func TestWhoServedIsFoundAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 400_000}
		id := src.Key.ID()
		net := line(t, 1, 1, src.Key)
		defer net.Close()
		kept := &notes{peers: make(map[stream.ID][]p2p.ServingPeer)}
		net.AddNodeWith(p2ptest.Link{}, p2p.Config{Memory: kept})
		done := make(chan struct{})
		go func() { defer close(done); src.Run(t.Context(), t, net.Node(0), 15, false) }()
		join(t, net, 1, net.Link(id, 0))
		time.Sleep(10 * time.Second)
		if err := net.Node(1).Close(); err != nil {
			t.Fatal(err)
		}
		peers := kept.peers[id]
		if len(peers) != 1 || peers[0].ID != net.Host(0).ID() || len(peers[0].Addrs) == 0 || time.Since(peers[0].Served) > time.Second {
			t.Fatalf("remembered %v, want the broadcaster", peers)
		}

		net.AddNodeWith(p2ptest.Link{}, p2p.Config{Memory: kept})
		again := join(t, net, 2, stream.Link{Stream: id})
		time.Sleep(5 * time.Second)
		if st := again.Stats(); st.BytesReceived == 0 || st.Found[p2p.FoundByHome] != 1 || st.Peers[0].FoundBy != p2p.FoundByHome {
			t.Errorf("%d bytes, found %v, peers %v", st.BytesReceived, st.Found, st.Peers)
		}
		<-done
	})
}

func TestMemoryIsNotWrittenAllTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 100_000}
		net := line(t, 1, 1, src.Key)
		defer net.Close()
		kept := &notes{peers: make(map[stream.ID][]p2p.ServingPeer)}
		net.AddNodeWith(p2ptest.Link{}, p2p.Config{Memory: kept})
		join(t, net, 1, net.Link(src.Key.ID(), 0))
		src.Run(t.Context(), t, net.Node(0), 15*30, false) // 15 minutes
		kept.mu.Lock()
		defer kept.mu.Unlock()
		if kept.times != 2 {
			t.Errorf("remembered %d times in 15 minutes, want 2", kept.times)
		}
	})
}
