package p2p

import (
	"slices"
	"testing"

	"github.com/multiformats/go-multiaddr"
)

func TestOwnAddressesFollowTheMachine(t *testing.T) {
	const (
		cable   = "/ip4/192.168.1.9/udp/4747/quic-v1"
		wifi    = "/ip4/192.168.2.9/udp/4747/quic-v1"
		wifiTCP = "/ip4/192.168.2.9/tcp/4747"
		six     = "/ip6/2001:db8::9/udp/4747/quic-v1"
		mapped  = "/ip4/203.0.113.5/udp/4747/quic-v1"
		loop    = "/ip4/127.0.0.1/udp/4747/quic-v1"
		circuit = "/ip4/192.168.1.9/udp/1/quic-v1/p2p/12D3KooWDTzdL3jEA35zJwR3YrR4pcR8m8u9iZhxWnKc7fGSPCBG/p2p-circuit"
	)
	var o ownAddrs
	o.listen(func() []multiaddr.Multiaddr {
		return parsed("/ip4/0.0.0.0/udp/4747/quic-v1", "/ip4/0.0.0.0/tcp/4747", "/ip6/::/udp/4747/quic-v1", "/ip4/0.0.0.0/udp/4747/webrtc-direct")
	})
	check := func(when string, found, want []string) {
		t.Helper()
		var got []string
		for _, a := range o.correct(parsed(found...)) {
			got = append(got, a.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v\nwant %v", when, got, want)
		}
	}
	stale := []string{cable, mapped, loop, circuit}
	check("before a change", stale, stale)
	o.change([]string{"192.168.1.9"}, []string{"192.168.2.9", "2001:db8::9"})
	check("after it", stale, []string{mapped, loop, circuit, wifi, wifiTCP, six})
	check("once libp2p has looked", []string{wifi, wifiTCP, six, mapped, loop}, []string{wifi, wifiTCP, six, mapped, loop})
	o.change([]string{"192.168.2.9", "2001:db8::9"}, nil)
	check("offline", []string{wifi, wifiTCP, loop}, []string{loop})
	o.change(nil, []string{"192.168.1.9"})
	check("back at the first", []string{cable, loop}, []string{cable, loop, "/ip4/192.168.1.9/tcp/4747"})
}

func TestOwnAddressesOfOneAddressAlone(t *testing.T) {
	var o ownAddrs
	o.listen(func() []multiaddr.Multiaddr { return parsed("/ip4/192.168.1.9/tcp/4747") })
	o.change([]string{"192.168.1.9"}, []string{"192.168.2.9"})
	if got := o.correct(parsed("/ip4/192.168.1.9/tcp/4747")); len(got) != 0 {
		t.Errorf("%v, where nobody listens", got)
	}
}

func TestAddressesThatAreGoneAreBounded(t *testing.T) {
	var o ownAddrs
	for i := range 10 * maxGone {
		o.change([]string{string(rune('a' + i))}, nil)
	}
	if len(o.gone) > maxGone+1 {
		t.Errorf("%d are remembered", len(o.gone))
	}
}

func parsed(addrs ...string) (out []multiaddr.Multiaddr) {
	for _, a := range addrs {
		out = append(out, multiaddr.StringCast(a))
	}
	return out
}
