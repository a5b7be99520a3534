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

// TestWhoIsStarvedSeeksAsWhoIsAlone divides two viewers from the broadcaster, who stay connected
// to each other: what one of them lacks, the other has not either.
func TestWhoIsStarvedSeeksAsWhoIsAlone(t *testing.T) {
	for _, divided := range []time.Duration{15 * time.Second, time.Minute, 3 * time.Minute} {
		t.Run(fmt.Sprint(divided), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 200_000}
				net := line(t, 3, 0, src.Key)
				defer net.Close()
				var viewers []*p2p.Swarm
				for i := 1; i < 3; i++ {
					viewers = append(viewers, join(t, net, i, net.Link(src.Key.ID(), 0, 1)))
				}
				ctx, cancel := context.WithCancel(context.Background())
				done := make(chan struct{})
				go func() { src.Run(ctx, t, net.Node(0), 1000, false); close(done) }()
				defer func() { cancel(); <-done }()
				time.Sleep(5 * time.Second)
				net.Divide([]int{0})
				time.Sleep(divided)
				if n := net.Node(1).Stats().Connections; n == 0 {
					t.Fatal("the viewers are not connected to each other")
				}
				before := newestOf(viewers)
				net.Divide()
				took := waitFor(t, 5*time.Second, "both viewers to hear of the broadcaster again", func() bool {
					now := newestOf(viewers)
					return now[0] != before[0] && now[1] != before[1]
				})
				t.Logf("heard again after %v", took)
			})
		})
	}
}

// TestWhoWaitsForABroadcastKeepsAsManyPeersAsOthers has an audience wait for a broadcast that has not begun.
func TestWhoWaitsForABroadcastKeepsAsManyPeersAsOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const nodes = 30
		key := stream.NewKey()
		net := p2ptest.New(t, latency)
		all := make([]int, nodes)
		for i := range all {
			all[i] = i
			net.AddNode(p2ptest.Link{})
		}
		net.Start()
		defer net.Close()
		for i := range all {
			join(t, net, i, net.Link(key.ID(), all...))
		}
		time.Sleep(time.Minute)
		connections := 0
		for i := range all {
			connections += net.Node(i).Stats().Connections
		}
		if mean := float64(connections) / nodes; mean < 10 || mean > 21 {
			t.Errorf("each has %.1f connections on average, want 10 to 21", mean)
		}
	})
}

func newestOf(swarms []*p2p.Swarm) (out []stream.Position) {
	for _, s := range swarms {
		out = append(out, s.Timelines()[0].Newest().Position)
	}
	return out
}
