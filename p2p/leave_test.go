package p2p_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

// supplied runs a broadcaster with an uplink, and viewers with uplinks of their own, and returns the
// broadcaster's supply after half a minute.
func supplied(t *testing.T, uplinks ...int) (supply float64) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 1_000_000}
		net := p2ptest.New(t, latency)
		for _, up := range uplinks {
			net.AddNodeWith(p2ptest.Link{Up: up}, p2p.Config{MaxUpload: up})
		}
		net.Start()
		defer net.Close()
		done := make(chan map[stream.Position][]byte)
		go func() { done <- src.Run(context.Background(), t, net.Node(0), 15, false) }()
		for i := 1; i < len(uplinks); i++ {
			join(t, net, i, net.Link(src.Key.ID(), 0))
		}
		time.Sleep(25 * time.Second)
		supply = net.Node(0).Swarms()[0].Stats().Supply
		<-done
	})
	return supply
}

func TestSupplyTellsWhetherUploadIsShort(t *testing.T) {
	// 5 Mbit/s of uplinks for three viewers of 1 Mbit/s, and 2.2 Mbit/s for two.
	ample, short := supplied(t, 2_000_000, 1_000_000, 1_000_000, 1_000_000), supplied(t, 1_200_000, 500_000, 500_000)
	if ample < 1.2 || ample > 1.8 {
		t.Errorf("with 5/3 of what it takes, less what is kept back, the supply is %.2f", ample)
	}
	if short < 0.5 || short >= 1.1 {
		t.Errorf("with 1.1 of what it takes, less what is kept back, the supply is %.2f", short)
	}
}

func TestStreamIsLeftAndJoinedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 500_000}
		left := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 500_000}
		net := p2ptest.New(t, latency)
		for range 2 {
			net.AddNode(p2ptest.Link{})
		}
		net.Start()
		defer net.Close()
		for _, src := range []*p2ptest.Source{kept, left} {
			go src.Run(t.Context(), t, net.Node(0), 30, false)
			join(t, net, 1, net.Link(src.Key.ID(), 0))
		}
		node := net.Node(1)
		time.Sleep(10 * time.Second)
		before := node.Store().Stats().Bytes
		if wholeSegments(node, left.Key.ID()) == 0 {
			t.Fatal("nothing came")
		}
		node.Leave(left.Key.ID())
		node.Leave(left.Key.ID()) // which does nothing
		if after := node.Store().Stats().Bytes; after == 0 || after > before*2/3 {
			t.Errorf("%d of %d bytes are held of what stays", after, before)
		}
		if all := node.Swarms(); len(all) != 1 || all[0].ID() != kept.Key.ID() {
			t.Fatalf("%d streams are left", len(all))
		}
		sent := func() int64 {
			for _, s := range net.Node(0).Swarms() {
				if s.ID() == left.Key.ID() {
					return s.Stats().BytesSent
				}
			}
			return 0
		}
		idle := sent()
		time.Sleep(5 * time.Second)
		if now := sent(); now != idle {
			t.Errorf("%d bytes were sent to who left", now-idle)
		}
		// It comes back while it leaves again.
		join(t, net, 1, net.Link(left.Key.ID(), 0))
		gone := make(chan struct{})
		go func() { node.Leave(left.Key.ID()); close(gone) }()
		time.Sleep(time.Millisecond)
		again := join(t, net, 1, net.Link(left.Key.ID(), 0))
		<-gone
		time.Sleep(10 * time.Second)
		if st := again.Stats(); st.BytesReceived < 300_000 {
			t.Errorf("%d bytes came after it joined anew", st.BytesReceived)
		}
	})
}
