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

// capped is a node that knows its uplink.
func capped(net *p2ptest.Network, bits int) {
	net.AddNodeWith(p2ptest.Link{Up: bits}, p2p.Config{MaxUpload: bits})
}

func TestJoinerShowsAPictureBeforeItFetchesWhatCameBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 2_000_000}
		net := p2ptest.New(t, latency)
		capped(net, 6_000_000)
		net.AddNode(p2ptest.Link{})
		net.Start()
		defer net.Close()
		id := src.Key.ID()
		done := make(chan map[stream.Position][]byte)
		go func() { done <- src.Run(context.Background(), t, net.Node(0), 13, false) }()
		time.Sleep(16*time.Second + 700*time.Millisecond) // within segment 8

		join(t, net, 1, net.Link(id, 0))
		store := net.Node(1).Store()
		first := stream.PartID{Stream: id, Rendition: "main", Position: stream.Position{Epoch: 1, Segment: 8}}
		took := waitFor(t, 5*time.Second, "the segment's first part", func() bool { return store.Whole(first) })
		t.Logf("the first part of the segment at the live edge after %v", took)
		// The four segments before it take 2.7 s.
		if took > 800*time.Millisecond {
			t.Errorf("a joiner waited %v for a picture, want at most 800ms", took)
		}
		waitFor(t, 8*time.Second, "three whole segments", func() bool { return wholeSegments(net.Node(1), id) >= 3 })
		sent := <-done
		time.Sleep(time.Second)
		if missing := p2ptest.Missing(net.Node(1), id, after(sent, first.Position)); len(missing) > 0 {
			t.Errorf("the joiner lacks %d parts: %v", len(missing), missing)
		}
	})
}
