package p2p_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

// TestWhoDiesWithoutAWordIsDisconnectedSoon has one of four nodes die, and then another one's
// network for a while.
func TestWhoDiesWithoutAWordIsDisconnectedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 1_000_000}
		net := p2ptest.New(t, latency)
		for range 4 {
			net.AddNode(p2ptest.Link{})
		}
		net.Start()
		defer net.Close()
		for i := range 3 {
			join(t, net, i+1, net.Link(src.Key.ID(), []int{0, 1, 2, 3}[:i+1]...))
		}
		time.Sleep(2 * time.Second)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { src.Run(ctx, t, net.Node(0), 1000, false); close(done) }()
		time.Sleep(5 * time.Second)
		connected := func(want int, nodes ...int) func() bool {
			return func() bool {
				for _, i := range nodes {
					if net.Node(i).Stats().Connections != want {
						return false
					}
				}
				return true
			}
		}
		if !connected(3, 0, 1, 2, 3)() {
			t.Fatal("not all are connected")
		}

		net.Kill(3)
		took := waitFor(t, 10*time.Second, "the others to notice a death", connected(2, 0, 1, 2))
		t.Logf("the death was noticed after %v", took)
		if took < 4*time.Second {
			t.Errorf("a network may be gone for %v", took)
		}

		net.Cut(2, true)
		took = waitFor(t, 10*time.Second, "the others to notice that a network is gone", connected(1, 0, 1))
		if s := net.Node(2).Stats(); s.Connections != 0 || s.ConnectionsSilent != 3 {
			t.Errorf("who lost its network has %d connections, and closed %d; want none, as it is starved, and 1 to the dead node before", s.Connections, s.ConnectionsSilent)
		}
		net.Cut(2, false)
		back := waitFor(t, 10*time.Second, "who was away to be back", connected(2, 0, 1, 2))
		t.Logf("that a network was gone was noticed after %v; it was back after %v", took, back)
		cancel()
		<-done
	})
}
