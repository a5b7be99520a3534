package p2p

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// connFrom is a connection of which only is known who and where the other end is.
type connFrom struct {
	network.Conn
	id   peer.ID
	addr string
	dir  network.Direction
}

func (c connFrom) RemotePeer() peer.ID                  { return c.id }
func (c connFrom) RemoteMultiaddr() multiaddr.Multiaddr { return multiaddr.StringCast(c.addr) }
func (c connFrom) Stat() network.ConnStats {
	return network.ConnStats{Stats: network.Stats{Direction: c.dir}}
}

func TestWhereaboutsAreOfTheLastConnectionThatAPeerMade(t *testing.T) {
	const relay = "/ip4/192.0.2.9/udp/1/quic-v1/p2p/12D3KooWG7KKeUSCvfjX697grT21MZpadypZnib9gU6taeAMuEGc/p2p-circuit"
	var w whereabouts
	now := time.Now()
	of := func(want string, at time.Time) {
		t.Helper()
		addr := w.of("a", at)
		if got := addr.String(); addr.IsValid() != (want != "") || want != "" && got != want {
			t.Errorf("it was at %v, want %q", addr, want)
		}
	}
	w.note(connFrom{id: "a", addr: relay, dir: network.DirInbound}, now)
	of("", now) // which is where the relay is
	w.note(connFrom{id: "a", addr: "/ip4/192.0.2.1/udp/1/quic-v1", dir: network.DirOutbound}, now)
	of("192.0.2.1", now)
	w.note(connFrom{id: "a", addr: "/ip4/192.0.2.2/udp/1/quic-v1", dir: network.DirInbound}, now)
	of("192.0.2.2", now)
	w.note(connFrom{id: "a", addr: "/ip4/192.0.2.3/udp/1/quic-v1", dir: network.DirOutbound}, now)
	of("192.0.2.2", now) // where others say that it is counts for less
	of("", now.Add(whereaboutsFor))
	for i := range 2 * maxWhereabouts {
		w.note(connFrom{id: peerNumber(i), addr: "/ip4/192.0.2.2/udp/1/quic-v1", dir: network.DirInbound}, now.Add(time.Duration(i)))
	}
	if len(w.peers) > maxWhereabouts || w.of(peerNumber(2*maxWhereabouts-1), now) != netip.MustParseAddr("192.0.2.2") {
		t.Errorf("%d peers are remembered, want %d, and the last", len(w.peers), maxWhereabouts)
	}
}

// What a peer sent is found out after it has left: who reads the log still learns from where it came.
func TestWhoIsCutOffAfterItLeftHasAnAddress(t *testing.T) {
	var log bytes.Buffer
	loopback := []string{"/ip4/127.0.0.1/udp/0/quic-v1"}
	start := func(cfg Config) *Node {
		cfg.Listen = loopback
		n, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close() })
		return n
	}
	n := start(Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	left := start(Config{})
	came, gone := make(chan struct{}, 1), make(chan struct{}, 1)
	n.host.Network().Notify(&network.NotifyBundle{
		ConnectedF:    func(network.Network, network.Conn) { came <- struct{}{} },
		DisconnectedF: func(network.Network, network.Conn) { gone <- struct{}{} },
	})
	if err := left.host.Connect(t.Context(), *host.InfoFromHost(n.host)); err != nil {
		t.Fatal(err)
	}
	<-came // the test's time limit bounds it
	id := left.ID()
	left.Close()
	<-gone
	n.cutOff(id, Forged)
	n.Close() // nothing is logged from here on
	if !strings.Contains(log.String(), "addr=127.0.0.1") {
		t.Errorf("not said where it was: %s", log.String())
	}
}
