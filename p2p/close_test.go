package p2p_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

// closes checks that a node closes at once.
func closes(t *testing.T, node *p2p.Node) {
	t.Helper()
	start := time.Now()
	if err := node.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if took := time.Since(start); took > 100*time.Millisecond {
		t.Errorf("closing took %v", took)
	}
}

func TestCloseWhileJoining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const nodes = 20
		net := p2ptest.New(t, latency)
		for range nodes {
			net.AddNode(p2ptest.Link{})
		}
		net.Start()
		defer net.Close()
		var wg sync.WaitGroup
		for i := range nodes {
			wg.Go(func() {
				for range 10 {
					if _, err := net.Node(i).Join(stream.Link{Stream: stream.NewKey().ID()}); errors.Is(err, p2p.ErrClosed) {
						return
					} else if err != nil {
						t.Errorf("join: %v", err)
					}
				}
			})
			wg.Go(func() { closes(t, net.Node(i)) })
		}
		wg.Wait()
	})
}

func TestCloseWhileAPeerHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := stream.NewKey()
		net := p2ptest.New(t, latency)
		net.AddNode(p2ptest.Link{})
		hang := net.AddHost(p2ptest.Link{}) // answers no request
		stop := make(chan struct{})
		defer close(stop)
		hang.SetStreamHandler("/grapevine/fetch/1", func(s network.Stream) { <-stop; s.Reset() })
		net.Start()
		defer net.Close()
		link := net.Link(key.ID(), 1)
		// And one that is not there.
		link.Peers = append(link.Peers, "/ip4/203.0.113.77/udp/8000/quic-v1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN")
		join(t, net, 0, link)
		time.Sleep(300 * time.Millisecond)
		closes(t, net.Node(0))
	})
}

func TestCloseInEveryState(t *testing.T) {
	node, err := p2p.New(p2p.Config{Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}})
	if err != nil {
		t.Fatal(err)
	}
	closes(t, node) // before it started
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	closes(t, node)
	closes(t, node)
	if _, err := node.Join(stream.Link{Stream: stream.NewKey().ID()}); !errors.Is(err, p2p.ErrClosed) {
		t.Errorf("join after close: %v, want ErrClosed", err)
	}
	b, err := node.Broadcast(stream.NewKey(), "main", 1)
	if !errors.Is(err, p2p.ErrClosed) {
		t.Errorf("broadcast after close: %v, %v, want ErrClosed", b, err)
	}

	node, err = p2p.New(p2p.Config{Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/203.0.113.77/tcp/1"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); !errors.Is(err, p2p.ErrListen) {
		t.Errorf("start on a foreign address: %v, want ErrListen", err)
	}
	closes(t, node) // after it failed to start

	node, err = p2p.New(p2p.Config{Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	b, err = node.Broadcast(stream.NewKey(), "main", 1)
	if err != nil {
		t.Fatal(err)
	}
	closes(t, node)
	if err := b.Publish(context.Background(), stream.Part{StartsSegment: true, Duration: time.Second, Data: []byte("x")}); err == nil {
		t.Error("published after close")
	}
}

// TestWhoIsBackAtOnceIsANeighbourAgain has a node close, and another begin as the same peer, again and
// again, as somebody does who tries options. It says farewell for one stream, after the other is left.
func TestWhoIsBackAtOnceIsANeighbourAgain(t *testing.T) {
	start := func(identity crypto.PrivKey) *p2p.Node {
		node, err := p2p.New(p2p.Config{Identity: identity, Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := node.Start(); err != nil {
			t.Fatal(err)
		}
		return node
	}
	relay := start(nil)
	defer relay.Close()
	link := stream.Link{Stream: stream.NewKey().ID()}
	swarm, err := relay.Join(link)
	if err != nil {
		t.Fatal(err)
	}
	link.Peers = relay.Addrs()
	key := stream.NewKey()
	b, err := relay.Broadcast(key, "main", 1)
	if err != nil {
		t.Fatal(err)
	}
	watched := stream.Link{Stream: key.ID(), Peers: relay.Addrs()}
	ctx, stop := context.WithCancel(t.Context())
	var publishing sync.WaitGroup
	defer publishing.Wait()
	defer stop()
	publishing.Go(func() {
		const every = 100 * time.Millisecond
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for ctx.Err() == nil {
			part := stream.Part{StartsSegment: true, EndsSegment: true, Duration: every, ProgramTime: time.Now(), Data: make([]byte, 10_000)}
			if err := b.Publish(ctx, part); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
			<-ticker.C
		}
	})
	identity, _, err := crypto.GenerateEd25519Key(nil)
	if err != nil {
		t.Fatal(err)
	}
	for run := range 4 {
		node := start(identity)
		if _, err := node.Join(link); err != nil {
			t.Fatal(err)
		}
		watching, err := node.Join(watched)
		if err != nil {
			t.Fatal(err)
		}
		if err := watching.Carry([]string{"main"}); err != nil {
			t.Fatal(err)
		}
		neighbour := func() bool {
			return slices.ContainsFunc(swarm.Stats().Peers, func(p p2p.PeerStats) bool { return p.ID == node.ID() && p.Neighbour })
		}
		eventually(t, fmt.Sprintf("it is a neighbour, in run %d", run), func() bool { return neighbour() && watching.Stats().ChunksReceived > 0 })
		if err := node.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
