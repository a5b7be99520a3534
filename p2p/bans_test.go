package p2p

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

func peerNumber(i int) peer.ID { return peer.ID(binary.BigEndian.AppendUint64(nil, uint64(i))) }

func TestBansLastTwiceAsLongEachTime(t *testing.T) {
	b, now := newBans(), time.Now()
	for _, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 32 * time.Minute, time.Hour, time.Hour} {
		if d := b.add("a", netip.Addr{}, cutOffFor, true, now); d != want {
			t.Errorf("banned for %v, want %v", d, want)
		}
		if d := b.add("a", netip.Addr{}, cutOffFor, true, now.Add(want-time.Second)); d != 0 {
			t.Errorf("banned for %v once more", d)
		}
		if !b.has("a", now.Add(want-time.Second)) || b.has("a", now.Add(want)) || b.has("b", now) {
			t.Errorf("the ban of %v does not last as long", want)
		}
		now = now.Add(want)
	}
}

func TestWhoWithholdsMayComeBackOnce(t *testing.T) {
	b, now := newBans(), time.Now()
	b.add("a", netip.Addr{}, cutOffFor, false, now)
	if !b.has("a", now) || b.refuses("a", now) {
		t.Error("who withheld for the first time is not heard, but may connect")
	}
	now = now.Add(time.Minute)
	b.add("a", netip.Addr{}, cutOffFor, false, now)
	if !b.refuses("a", now) {
		t.Error("who withheld once more may connect")
	}
}

func TestWhoWasDeafIsForgiven(t *testing.T) {
	for _, c := range []struct {
		least, rest, want time.Duration // between the first time's end and the second
	}{
		{deafFor, time.Second, 2 * deafFor},
		{deafFor, 2 * deafForget, deafFor},
		{cutOffFor, 2 * deafForget, 2 * cutOffFor}, // who lied is not
	} {
		b, now := newBans(), time.Now()
		now = now.Add(b.add("a", netip.Addr{}, c.least, false, now) + c.rest)
		if d := b.add("a", netip.Addr{}, c.least, false, now); d != c.want {
			t.Errorf("%v after a ban of %v: banned for %v, want %v", c.rest, c.least, d, c.want)
		}
	}
}

func TestBansAreBounded(t *testing.T) {
	b, now := newBans(), time.Now()
	for i := range 3 * maxCutOff {
		addr := netip.AddrFrom4([4]byte{198, byte(i >> 16), byte(i >> 8), byte(i)})
		b.add(peerNumber(i), addr, cutOffFor, true, now.Add(time.Duration(i)*time.Millisecond))
	}
	if len(b.peers) > maxCutOff || len(b.addrs) > maxCutOffAddrs {
		t.Errorf("%d peers and %d addresses are remembered", len(b.peers), len(b.addrs))
	}
	if last := now.Add(3 * maxCutOff * time.Millisecond); !b.has(peerNumber(3*maxCutOff-1), last) {
		t.Error("the last one is not banned")
	}
}

func TestAddressesAreBannedForFourOfTheirPeers(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name  string
		addrs []string
		every time.Duration
		from  string
		want  bool
	}{
		{"three", []string{"192.0.2.7", "192.0.2.7", "192.0.2.7"}, 0, "192.0.2.7", false},
		{"four", []string{"192.0.2.7", "192.0.2.7", "192.0.2.7", "192.0.2.7"}, 0, "192.0.2.7", true},
		{"four of the same, written otherwise", []string{"192.0.2.7", "192.0.2.7", "::ffff:192.0.2.7", "192.0.2.7"}, 0, "::ffff:192.0.2.7", true},
		{"another", []string{"192.0.2.7", "192.0.2.7", "192.0.2.7", "192.0.2.7"}, 0, "192.0.2.8", false},
		{"slowly", []string{"192.0.2.7", "192.0.2.7", "192.0.2.7", "192.0.2.7"}, 4 * time.Minute, "192.0.2.7", false},
		{"of one site", []string{"2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "2001:db8:0:ff::1"}, 0, "2001:db8:0:7::7", true},
		{"of several sites", []string{"2001:db8::1", "2001:db8:1::1", "2001:db8:2::1", "2001:db8:3::1"}, 0, "2001:db8::7", false},
		{"this machine", []string{"127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1"}, 0, "127.0.0.1", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, at := newBans(), now
			for i, a := range c.addrs {
				b.add(peerNumber(i), netip.MustParseAddr(a), cutOffFor, true, at)
				at = at.Add(c.every)
			}
			if got := b.refusesAddr(netip.MustParseAddr(c.from), at); got != c.want {
				t.Errorf("refused: %t, want %t", got, c.want)
			}
		})
	}
}

func TestRelaysAreNotToBlame(t *testing.T) {
	for addr, want := range map[string]string{
		"/ip4/192.0.2.7/udp/4747/quic-v1": "192.0.2.7",
		"/ip4/192.0.2.7/udp/4747/quic-v1/p2p/12D3KooWHjQK42ewqR6ruJFM3f2N35Sko4drMaPxZcZUxugtiEh6/p2p-circuit": "invalid IP",
	} {
		if got := peerAddr(multiaddr.StringCast(addr)).String(); got != want {
			t.Errorf("%s is %s, want %s", addr, got, want)
		}
	}
}
