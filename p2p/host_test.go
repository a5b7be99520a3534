package p2p

import (
	"slices"
	"strings"
	"testing"

	"github.com/multiformats/go-multiaddr"
)

func TestShareableAddresses(t *testing.T) {
	const (
		quic4   = "/ip4/203.0.113.9/udp/4001/quic-v1"
		tcp4    = "/ip4/203.0.113.9/tcp/4001"
		quic6   = "/ip6/2001:db8::9/udp/4001/quic-v1"
		tcp6    = "/ip6/2001:db8::9/tcp/4001"
		home4   = "/ip4/192.168.1.9/udp/4001/quic-v1"
		loop4   = "/ip4/127.0.0.1/tcp/4001"
		loopQ4  = "/ip4/127.0.0.1/udp/4001/quic-v1"
		loop6   = "/ip6/::1/udp/4001/quic-v1"
		link6   = "/ip6/fe80::9/udp/4001/quic-v1"
		link4   = "/ip4/169.254.7.9/udp/4001/quic-v1"
		zoned6  = "/ip6zone/eth0/ip6/fe80::9/tcp/4001"
		unspec4 = "/ip4/0.0.0.0/tcp/4001"
		unspec6 = "/ip6/::/udp/4001/quic-v1"
	)
	for _, c := range []struct {
		name  string
		addrs []string
		want  []string
	}{
		{"none", nil, nil},
		{"QUIC before TCP", []string{tcp4, quic4}, []string{quic4, tcp4}},
		{"QUIC before TCP on IPv6", []string{tcp6, quic6}, []string{quic6, tcp6}},
		{"IPv4 before IPv6", []string{quic6, quic4}, []string{quic4, quic6}},
		{"IPv4 before IPv6 on TCP", []string{tcp6, tcp4}, []string{tcp4, tcp6}},
		{"equals as they come", []string{home4, quic4}, []string{home4, quic4}},
		{"no loopback if there are others", []string{loop4, loop6, tcp6}, []string{tcp6}},
		{"loopback if there are no others", []string{loop6, loop4, loopQ4}, []string{loopQ4, loop6, loop4}},
		{"QUIC on IPv6 before TCP on IPv4", []string{tcp4, quic6}, []string{quic6, tcp4}},
		{"link-local never", []string{link6, quic4, zoned6, link4}, []string{quic4}},
		{"link-local not even alone", []string{link6, zoned6}, nil},
		{"loopback rather than link-local", []string{link6, loop4}, []string{loop4}},
		{"unspecified never", []string{unspec4, unspec6}, nil},
	} {
		var addrs []multiaddr.Multiaddr
		for _, s := range c.addrs {
			addrs = append(addrs, multiaddr.StringCast(s))
		}
		var got []string
		for _, a := range shareable(addrs) {
			got = append(got, a.String())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

func TestShareableLeavesItsArgumentAlone(t *testing.T) {
	addrs := []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/203.0.113.9/tcp/1"), multiaddr.StringCast("/ip4/203.0.113.9/udp/1/quic-v1")}
	shareable(addrs)
	if addrs[0].String() != "/ip4/203.0.113.9/tcp/1" {
		t.Error("the host's own addresses were sorted")
	}
}

func TestAddressesOnUDPAreTriedForOthersAtOnce(t *testing.T) {
	if state := udpWorks().HandleRequest().String(); state != "Allowed" {
		t.Errorf("libp2p takes UDP for %s, and tries nobody's addresses on it", state)
	}
}

func TestUDPIsDialledHoweverOftenItFailed(t *testing.T) {
	c := udpWorks()
	for range 1000 {
		c.RecordResult(false)
	}
	if state := c.HandleRequest().String(); state != "Allowed" {
		t.Errorf("libp2p takes UDP for %s after minutes without a network", state)
	}
}
