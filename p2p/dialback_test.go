package p2p_test

import (
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/autonatv2"

	"github.com/grapevine-live/grapevine/p2p"
)

// dialsBack returns a host that tries others' addresses, those of this machine included.
func dialsBack(t *testing.T) host.Host {
	t.Helper()
	var hosts [2]host.Host
	for i := range hosts {
		h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/udp/0/quic-v1"), libp2p.DisableIdentifyAddressDiscovery())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.Close() })
		hosts[i] = h
	}
	server, err := autonatv2.New(hosts[1], autonatv2.AllowPrivateAddrs)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(hosts[0]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return hosts[0]
}

func TestDialBackTellsWhatAPeerReaches(t *testing.T) {
	node := startReach(t, p2p.Config{Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}}, false)
	server := dialsBack(t)
	if err := node.Host().Connect(t.Context(), peer.AddrInfo{ID: server.ID(), Addrs: server.Addrs()}); err != nil {
		t.Fatal(err)
	}
	if reached, err := node.DialBack(t.Context(), server.ID(), node.Host().Addrs()[0].String()); err != nil || !reached {
		t.Errorf("reached where it is: %v, %v", reached, err)
	}
	// A TCP port that nobody listens on.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().(*net.TCPAddr)
	l.Close()
	addr := fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", closed.Port)
	if reached, err := node.DialBack(t.Context(), server.ID(), addr); err != nil || reached {
		t.Errorf("reached where nobody is: %v, %v", reached, err)
	}
}

func TestDialBackSaysWhenNobodyTried(t *testing.T) {
	loopback := []string{"/ip4/127.0.0.1/udp/0/quic-v1"}
	node := startReach(t, p2p.Config{Listen: loopback}, false)
	other := startReach(t, p2p.Config{Listen: loopback}, false)
	info, err := peer.AddrInfoFromString(other.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Host().Connect(t.Context(), *info); err != nil {
		t.Fatal(err)
	}
	// Nodes do not try addresses of local networks.
	if reached, err := node.DialBack(t.Context(), other.ID(), node.Host().Addrs()[0].String()); reached || !errors.Is(err, p2p.ErrNotDialled) {
		t.Errorf("reached %v, %v; want ErrNotDialled", reached, err)
	}
}
