package p2p_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2pwebrtc "github.com/libp2p/go-libp2p/p2p/transport/webrtc"
	webtransport "github.com/libp2p/go-libp2p/p2p/transport/webtransport"
	"github.com/multiformats/go-multiaddr"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
)

// browsers are the ways in which programs in browsers dial.
var browsers = map[string]libp2p.Option{
	"/webtransport":  libp2p.Transport(webtransport.New),
	"/webrtc-direct": libp2p.Transport(libp2pwebrtc.New),
}

// TestBrowsersGetChunks has nodes join that can dial as browsers do, and in no other way.
func TestBrowsersGetChunks(t *testing.T) {
	key := stream.NewKey()
	broadcaster := startReach(t, p2p.Config{Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}, Browsers: true}, false)
	h := &hidden{broadcaster: broadcaster, key: key}
	var err error
	if h.cast, err = broadcaster.Broadcast(key, "main", 1); err != nil {
		t.Fatal(err)
	}
	for protocol, transport := range browsers {
		t.Run(protocol[1:], func(t *testing.T) {
			host, err := libp2p.New(libp2p.NoListenAddrs, transport, libp2p.DisableIdentifyAddressDiscovery())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { host.Close() })
			browser := startReach(t, p2p.Config{Host: host}, false)
			s, err := browser.Join(stream.Link{Stream: key.ID(), Peers: addrsWith(t, broadcaster, protocol)})
			if err != nil {
				t.Fatal(err)
			}
			before := broadcaster.Stats().WireOut
			eventually(t, "chunks come", func() bool {
				h.publish(t)
				return s.Stats().ChunksReceived > 4
			})
			// As many as came passed the sockets that are counted and bounded.
			if sent, got := broadcaster.Stats().WireOut-before, s.Stats().BytesReceived; sent < got {
				t.Errorf("%d bytes were counted, and %d came", sent, got)
			}
			for _, c := range host.Network().Conns() {
				if !strings.Contains(c.RemoteMultiaddr().String(), protocol) {
					t.Errorf("connected by %s", c.RemoteMultiaddr())
				}
			}
		})
	}
}

// addrsWith returns a node's addresses for browsers of one transport, which share QUIC's port.
func addrsWith(t *testing.T, n *p2p.Node, protocol string) (out []string) {
	t.Helper()
	port, err := multiaddr.StringCast(n.Addrs()[0]).ValueForProtocol(multiaddr.P_UDP)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range n.BrowserAddrs() {
		if strings.Contains(a, protocol+"/certhash/") && strings.Contains(a, "/udp/"+port+"/") {
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		t.Fatalf("no address with %s on port %s: %v", protocol, port, n.BrowserAddrs())
	}
	return out
}

// TestBrowsersAddressesStayOutOfLinks holds that others are told only what nodes can dial.
func TestBrowsersAddressesStayOutOfLinks(t *testing.T) {
	loopback := []string{"/ip4/127.0.0.1/udp/0/quic-v1"}
	n := startReach(t, p2p.Config{Listen: loopback, Browsers: true}, false)
	if addrs := n.Addrs(); len(addrs) != 1 || !strings.Contains(addrs[0], "/quic-v1/p2p/") {
		t.Errorf("addresses %v", addrs)
	}
	if addrs := n.BrowserAddrs(); len(addrs) != 2 {
		t.Errorf("addresses for browsers %v", addrs)
	}
	if addrs := startReach(t, p2p.Config{Listen: loopback}, false).BrowserAddrs(); len(addrs) != 0 {
		t.Errorf("addresses for browsers that nobody asked for: %v", addrs)
	}
}

// TestPausedNodesTurnBrowsersAway holds that the gate is before these transports, too.
func TestPausedNodesTurnBrowsersAway(t *testing.T) {
	n := startReach(t, p2p.Config{Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}, Browsers: true}, false)
	for protocol, transport := range browsers {
		host, err := libp2p.New(libp2p.NoListenAddrs, transport, libp2p.DisableIdentifyAddressDiscovery())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { host.Close() })
		info, err := peer.AddrInfoFromString(addrsWith(t, n, protocol)[0])
		if err != nil {
			t.Fatal(err)
		}
		n.Pause()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_ = host.Connect(ctx, *info) // who dials may learn only later that the other end closed
		cancel()
		eventually(t, "nobody is connected by "+protocol, func() bool { return n.Stats().Connections == 0 && len(host.Network().Conns()) == 0 })
		n.Resume()
		if err := host.Connect(t.Context(), *info); err != nil {
			t.Errorf("%s: not even afterwards: %v", protocol, err)
		}
	}
}
