package p2p

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/metrics"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/grapevine-live/grapevine/p2p/meter"
	"github.com/grapevine-live/grapevine/stream"
)

func newTestHost(t *testing.T) host.Host {
	t.Helper()
	guard, err := NewGuard(false)
	if err != nil {
		t.Fatal(err)
	}
	s := &sockets{meter: meter.New(meter.Config{})}
	h, _, err := newHost(Config{Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}}, metrics.NewBandwidthCounter(), s, guard, &router{}, new(ownAddrs))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(h.Close(), s.close()); err != nil {
			t.Error(err)
		}
	})
	return h
}

func newTestDialer(t *testing.T) *dialer {
	t.Helper()
	h := newTestHost(t)
	return newSwarm(&Node{ctx: context.Background(), log: slog.New(slog.DiscardHandler), host: h, gate: newGate()}, stream.ID{}).dialer
}

func at(port int) []multiaddr.Multiaddr {
	return []multiaddr.Multiaddr{multiaddr.StringCast(fmt.Sprintf("/ip4/192.0.2.1/udp/%d/quic-v1", port))}
}

func TestPeerThatMovedIsDialledWhereItIsNow(t *testing.T) {
	d := newTestDialer(t)
	d.addLink([]peer.AddrInfo{{ID: "peer", Addrs: at(1)}})
	d.addLocal(peer.AddrInfo{ID: "peer", Addrs: at(2)})
	d.addLocal(peer.AddrInfo{ID: "peer", Addrs: at(3)})
	due := d.due(time.Now())
	if len(due) != 1 || fmt.Sprint(due[0].Addrs) != fmt.Sprint([]multiaddr.Multiaddr{at(1)[0], at(3)[0], at(2)[0]}) {
		t.Errorf("dials %v, want the link's address and those learned since", due)
	}
}

func TestAddressesOfAPeerAreBounded(t *testing.T) {
	d := newTestDialer(t)
	var addrs []multiaddr.Multiaddr
	for i := range 100 {
		addrs = append(addrs, at(i+1)...)
	}
	for range 2 {
		d.addLocal(peer.AddrInfo{ID: "peer", Addrs: addrs})
		addrs = addrs[50:]
	}
	if due := d.due(time.Now()); len(due) != 1 || len(due[0].Addrs) != maxAddrs {
		t.Errorf("dials %v, want %d addresses", due, maxAddrs)
	}
}
