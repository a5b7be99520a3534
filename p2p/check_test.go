package p2p_test

import (
	"encoding/binary"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream/wire"
)

func TestCheckTellsANodeOfItself(t *testing.T) {
	loopback := []string{"/ip4/127.0.0.1/udp/0/quic-v1"}
	relay := startReach(t, p2p.Config{Listen: loopback, Relay: &p2p.RelayConfig{}}, false)
	node := startReach(t, p2p.Config{Listen: loopback}, false)
	check := func(from, to *p2p.Node) p2p.Check {
		t.Helper()
		info, err := peer.AddrInfoFromString(to.Addrs()[0])
		if err != nil {
			t.Fatal(err)
		}
		c, err := from.Check(t.Context(), *info, true)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := check(node, relay)
	if own := node.Host().Addrs()[0].String(); c.Seen != own {
		t.Errorf("seen at %s, is at %s", c.Seen, own)
	}
	if c.Skew.Abs() > c.RTT {
		t.Errorf("one clock is off itself by %v, with a round trip of %v", c.Skew, c.RTT)
	}
	if c.Uplink < 1e6 || c.RTT <= 0 || c.RTT > 5*time.Second {
		t.Errorf("uplink %.0f bit/s, round trip %v", c.Uplink, c.RTT)
	}
	if again := check(node, relay); again.Uplink != 0 {
		t.Error("the relay measured twice within a minute")
	}
	if c := check(relay, node); c.Uplink != 0 {
		t.Error("a node that is no relay measured")
	}
}

// TestCheckMeasuresFarUplinks has uplinks measured over ways on which a sender takes long to
// find its rate.
func TestCheckMeasuresFarUplinks(t *testing.T) {
	for _, rate := range []int{2_000_000, 20_000_000} {
		t.Run(fmt.Sprintf("%d bit per second", rate), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := p2ptest.New(t, 60*time.Millisecond)
				relay := net.AddNodeWith(p2ptest.Link{}, p2p.Config{Relay: &p2p.RelayConfig{}})
				node := net.AddNode(p2ptest.Link{Up: rate})
				net.Start()
				defer net.Close()
				c, err := node.Check(t.Context(), relay.Host().Peerstore().PeerInfo(relay.ID()), true)
				if err != nil {
					t.Fatal(err)
				}
				if ratio := c.Uplink / float64(rate); ratio < 0.75 || ratio > 1.05 {
					t.Errorf("measured %.0f bit/s", c.Uplink)
				}
			})
		})
	}
}

// TestCheckTellsSkewedClocks has a peer answer whose clock is three minutes fast.
func TestCheckTellsSkewedClocks(t *testing.T) {
	node := startReach(t, p2p.Config{Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}}, false)
	fast, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/udp/0/quic-v1"), libp2p.DisableIdentifyAddressDiscovery())
	if err != nil {
		t.Fatal(err)
	}
	defer fast.Close()
	const skew = 3 * time.Minute
	fast.SetStreamHandler("/grapevine/check/1", func(s network.Stream) {
		defer s.Close()
		answer := wire.AppendBytes(nil, 1, s.Conn().RemoteMultiaddr().Bytes())
		answer = wire.AppendUint(answer, 2, uint64(time.Now().Add(skew).UnixNano()))
		_, _ = s.Write(append(binary.AppendUvarint(nil, uint64(len(answer))), answer...))
	})
	c, err := node.Check(t.Context(), peer.AddrInfo{ID: fast.ID(), Addrs: fast.Addrs()}, false)
	if err != nil {
		t.Fatal(err)
	}
	if off := (c.Skew - skew).Abs(); off > c.RTT/2 {
		t.Errorf("a clock that is %v fast is found %v off, with a round trip of %v", skew, c.Skew, c.RTT)
	}
}
