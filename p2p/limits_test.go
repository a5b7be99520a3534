package p2p_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

// TestLimitsChange has fewer peers be allowed than there are, and then more.
func TestLimitsChange(t *testing.T) {
	const few, many = 4, 9
	relay := onLoopback(t, p2p.Config{})
	swarm, err := relay.Join(stream.Link{Stream: stream.NewKey().ID()})
	if err != nil {
		t.Fatal(err)
	}
	for range many {
		n := onLoopback(t, p2p.Config{})
		if _, err := n.Join(swarm.Link()); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all are connected", func() bool { return relay.Stats().Connections == many })
	relay.SetLimits(p2p.Limits{Upload: 5_000_000, AsideUpload: 1_000_000, Download: 6_000_000, Peers: few})
	eventually(t, "no more are than there may be", func() bool { return relay.Stats().Connections <= few })
	st := relay.Stats()
	if st.MaxUpload != 5_000_000 || st.MaxDownload != 6_000_000 || st.MaxPeers != few || !st.UploadKnown || st.UploadBound == 0 || st.UploadBound > 4_000_000 {
		t.Errorf("limits are not those that were set: %+v", st)
	}
	relay.SetLimits(p2p.Limits{})
	if st := relay.Stats(); st.MaxUpload != 0 || st.UploadKnown || st.UploadBound != 0 || st.MaxPeers != 0 {
		t.Errorf("limits are still there: %+v", st)
	}
	eventually(t, "they come back", func() bool { return relay.Stats().Connections > few })
}

// TestLeaveAndJoinAgain has a relay leave one of two streams, and take part in it once more.
func TestLeaveAndJoinAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, other := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 500_000}, stream.NewKey().ID()
		net := p2ptest.New(t, latency)
		net.AddNode(p2ptest.Link{Up: 20_000_000})
		net.AddNode(p2ptest.Link{Up: 20_000_000})
		net.Start()
		defer net.Close()
		link := net.Link(src.Key.ID(), 0)
		join(t, net, 1, link)
		join(t, net, 1, stream.Link{Stream: other})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { src.Run(ctx, t, net.Node(0), 1000, false); close(done) }()
		defer func() { cancel(); <-done }()
		time.Sleep(5 * time.Second)
		node := net.Node(1)
		if wholeSegments(node, link.Stream) == 0 {
			t.Fatal("nothing came")
		}

		if !node.Leave(link.Stream) {
			t.Error("it was not part of the stream")
		}
		if node.Leave(link.Stream) {
			t.Error("it left twice")
		}
		left := node.Swarms()
		if len(left) != 1 || left[0].ID() != other {
			t.Fatalf("%d streams are left", len(left))
		}
		time.Sleep(time.Second)
		before := node.Store().Stats().Bytes
		time.Sleep(4 * time.Second)
		if after := node.Store().Stats().Bytes; after != before {
			t.Errorf("%d bytes came after it left", after-before)
		}

		swarm := join(t, net, 1, link)
		time.Sleep(5 * time.Second)
		if swarm.Stats().BytesReceived == 0 || wholeSegments(node, link.Stream) == 0 {
			t.Errorf("nothing came after it joined again: %+v", swarm.Stats())
		}
	})
}

func TestWhatIsAllowedChanges(t *testing.T) {
	id := stream.NewKey().ID()
	n := onLoopback(t, p2p.Config{})
	n.SetAllowed(func(stream.ID) bool { return false })
	if _, err := n.Join(stream.Link{Stream: id}); !errors.Is(err, p2p.ErrNotAllowed) {
		t.Errorf("joined: %v", err)
	}
	n.SetAllowed(nil)
	if _, err := n.Join(stream.Link{Stream: id}); err != nil {
		t.Error(err)
	}
}
