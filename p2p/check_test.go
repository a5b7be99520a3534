package p2p_test

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/p2p"
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
