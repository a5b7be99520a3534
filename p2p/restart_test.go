package p2p_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

// TestRelaysThatComeBackAreFed kills a relay between a broadcaster and a viewer, and starts it
// again as the same peer, at its address or at another. gossipsub forgets what a peer subscribed
// to once the last of its older streams closes, which may be long after the newer ones began;
// who is forgotten gets no chunks but those that it fetches, in bursts.
func TestRelaysThatComeBackAreFed(t *testing.T) {
	for _, moved := range []bool{false, true} {
		for _, away := range []time.Duration{100 * time.Millisecond, 5 * time.Second} {
			t.Run(fmt.Sprintf("after %v, moved %t", away, moved), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { comesBack(t, away, moved) })
			})
		}
	}
}

func comesBack(t *testing.T, away time.Duration, moved bool) {
	src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 1_000_000}
	net := line(t, 3, 2, src.Key)
	defer net.Close()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { src.Run(ctx, t, net.Node(0), 1000, false); close(done) }()
	defer func() { cancel(); <-done }()
	time.Sleep(3 * time.Second)
	viewer := join(t, net, 2, net.Link(src.Key.ID(), 1))
	time.Sleep(5 * time.Second)

	net.Kill(1)
	time.Sleep(away)
	node := net.Restart(1, p2ptest.Link{}, moved)
	back := time.Now()
	relay, err := node.Join(net.Link(src.Key.ID(), 0))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*p2p.Swarm{relay, viewer} {
		waitFor(t, 10*time.Second, "chunks that neighbours send", func() bool { return pushed(s, 2*time.Second) })
		t.Logf("chunks that neighbours send %v after the relay was back", time.Since(back))
	}
	// It stays so, when what the relay was before is found to be gone, too.
	for time.Since(back) < 45*time.Second {
		for i, s := range []*p2p.Swarm{relay, viewer} {
			if !pushed(s, time.Second) {
				t.Errorf("%v after the relay was back, swarm %d fetches or gets nothing", time.Since(back), i)
			}
		}
	}
}

// pushed reports whether a swarm gets chunks within a span of time, and fetches none of them.
func pushed(s *p2p.Swarm, span time.Duration) bool {
	before := s.Stats()
	time.Sleep(span)
	now := s.Stats()
	return now.ChunksReceived > before.ChunksReceived && now.ChunksFetched == before.ChunksFetched
}
