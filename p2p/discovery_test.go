package p2p_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

// discoverable starts a network of a bootstrap node, host 0, and nodes that know it alone.
func discoverable(t *testing.T, nodes int, public bool) *p2ptest.Network {
	t.Helper()
	net := p2ptest.New(t, latency)
	net.AddNodeWith(p2ptest.Link{}, p2p.Config{DHT: &p2p.DHT{Public: public, Server: true}})
	for range nodes {
		net.AddNodeWith(p2ptest.Link{}, p2p.Config{DHT: &p2p.DHT{Bootstrap: bootstrap(net), Public: public}})
	}
	net.Start()
	return net
}

func bootstrap(net *p2ptest.Network) []peer.AddrInfo {
	h := net.Host(0)
	return []peer.AddrInfo{{ID: h.ID(), Addrs: h.Addrs()}}
}

func TestABareStreamIDIsEnough(t *testing.T) {
	for name, public := range map[string]bool{"own": false, "public": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := discoverable(t, 3, public)
				defer net.Close()
				src := p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 400_000}
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() { defer close(done); src.Run(ctx, t, net.Node(1), 8, false) }()
				time.Sleep(5 * time.Second)

				viewer := join(t, net, 2, stream.Link{Stream: src.Key.ID()})
				time.Sleep(2 * time.Second)
				if st := viewer.Stats(); st.BytesReceived == 0 || st.Found[p2p.FoundByDHT] != 1 || st.DHTError != "" {
					t.Errorf("after 2 s: %d bytes, found %v, error %q; want the broadcaster, found in the DHT", st.BytesReceived, st.Found, st.DHTError)
				}
				// Who has the stream announces it in turn: it outlives its first provider.
				stop()
				<-done
				net.Kill(1)
				late := join(t, net, 3, stream.Link{Stream: src.Key.ID()})
				time.Sleep(5 * time.Second)
				if st := late.Stats(); st.BytesReceived == 0 {
					t.Errorf("nothing came by way of the first viewer; found %v, %d peers, %q", st.Found, len(st.Peers), st.DHTError)
				}
			})
		})
	}
}

func TestNobodyDialsBootstrapNodesBeforeThereIsAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := discoverable(t, 2, false)
		defer net.Close()
		time.Sleep(10 * time.Minute)
		for i := range net.Len() {
			if n := net.Node(i).Stats().Connections; n != 0 {
				t.Errorf("node %d has %d connections and no stream", i, n)
			}
		}
		join(t, net, 1, stream.Link{Stream: stream.NewKey().ID()})
		time.Sleep(time.Second)
		if n := net.Node(1).Stats().DHTPeers; n != 1 {
			t.Errorf("a viewer has %d peers in its routing table, want the bootstrap node", n)
		}
	})
}

func TestWithoutABootstrapNodeItIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := discoverable(t, 2, false)
		defer net.Close()
		net.Cut(0, true)
		src := p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 400_000}
		done := make(chan struct{})
		go func() { defer close(done); src.Run(t.Context(), t, net.Node(1), 80, false) }()
		viewer := join(t, net, 2, stream.Link{Stream: src.Key.ID()})
		time.Sleep(30 * time.Second)
		if st := viewer.Stats(); st.DHTError == "" || st.Searches == 0 {
			t.Errorf("%d searches, and no error", st.Searches)
		}
		net.Cut(0, false)
		time.Sleep(2 * time.Minute)
		if st := viewer.Stats(); st.BytesReceived == 0 {
			t.Errorf("nothing came once the bootstrap node was there; found %v, %q", st.Found, st.DHTError)
		}
		<-done
	})
}

func TestTheTwoDHTsDoNotMix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := discoverable(t, 1, false)
		defer net.Close()
		// It speaks the public protocol and knows the other network's bootstrap node.
		net.AddNodeWith(p2ptest.Link{}, p2p.Config{DHT: &p2p.DHT{Bootstrap: bootstrap(net), Public: true}})
		id := stream.NewKey().ID()
		join(t, net, 1, stream.Link{Stream: id})
		stranger := join(t, net, 2, stream.Link{Stream: id})
		time.Sleep(time.Minute)
		if n := net.Node(0).Stats().DHTPeers + net.Node(2).Stats().DHTPeers; n != 0 {
			t.Errorf("%d peers of the other DHT are in routing tables", n)
		}
		if st := stranger.Stats(); st.DHTError == "" {
			t.Error("the stranger does not know that its bootstrap node is none")
		}
	})
}
