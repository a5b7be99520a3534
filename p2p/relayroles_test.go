package p2p_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

// word delegates to a host that it is a trusted relay.
func word(t *testing.T, net *p2ptest.Network, master stream.Key, host int, from, until time.Duration) stream.Relay {
	t.Helper()
	key, err := stream.PeerKey(string(net.Host(host).ID()))
	if err != nil {
		t.Fatal(err)
	}
	d, err := master.Delegate(key, stream.RoleRelay, time.Now().Add(from), time.Now().Add(until))
	if err != nil {
		t.Fatal(err)
	}
	return stream.Relay{Word: d}
}

// worded is a private broadcast of host 0, by relays 1 and 2, which have delegations: the first for a
// day, the second for so long. Host 3 views.
func worded(t *testing.T, second time.Duration, f func(t *testing.T, net *p2ptest.Network, s *sealedCast, v *p2p.Viewing)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		net := p2ptest.New(t, latency)
		for range 5 {
			net.AddNode(p2ptest.Link{})
		}
		net.Start()
		t.Cleanup(net.Close)
		key := stream.NewKey()
		link := net.Link(key.ID(), 1, 2)
		var err error
		if link.Relays, err = key.SignRelays([]stream.Relay{word(t, net, key, 1, -time.Hour, 24*time.Hour), word(t, net, key, 2, -time.Hour, second)}); err != nil {
			t.Fatal(err)
		}
		s := hideBy(t, net, key, link)
		join(t, net, 1, s.link)
		join(t, net, 2, s.link)
		v := s.view(t, join(t, net, 3, s.link), s.guests.invite(t, s.key, 1), stream.NewViewerSeed())
		time.Sleep(5 * time.Second)
		if peers := net.Host(3).Network().Peers(); len(peers) != 2 {
			t.Fatalf("the viewer is connected to %d peers, want both relays", len(peers))
		}
		f(t, net, s, v)
	})
}

// leftAlone checks that broadcaster and viewer are connected to the first relay alone, and play on.
func leftAlone(t *testing.T, net *p2ptest.Network, s *sealedCast, v *p2p.Viewing) {
	t.Helper()
	from := s.newest()
	for _, i := range []int{0, 3} {
		if peers := net.Host(i).Network().Peers(); !slices.Equal(peers, []peer.ID{net.Host(1).ID()}) {
			t.Errorf("host %d is connected to %v, want the first relay alone", i, peers)
		}
	}
	time.Sleep(10 * time.Second)
	if n, of := s.opened(t, v, from); n < of-2 || of < 15 {
		t.Errorf("the viewer opens %d of %d parts", n, of)
	}
	if err := net.Node(3).Swarms()[0].Stats().LastDialError; err != "" {
		t.Errorf("the viewer tries to reach who was left: %s", err)
	}
}

func TestViewersLeaveATrustedRelayWhoseDelegationIsRevoked(t *testing.T) {
	worded(t, 24*time.Hour, func(t *testing.T, net *p2ptest.Network, s *sealedCast, v *p2p.Viewing) {
		bad := s.link.Relays.List()[1].Word.Delegate
		list, err := s.key.Revoke(1, []stream.ID{bad})
		if err != nil {
			t.Fatal(err)
		}
		if heard, err := net.Node(1).Swarms()[0].Revoke(list); err != nil || heard == 0 {
			t.Fatalf("%d peers heard, %v", heard, err)
		}
		time.Sleep(5 * time.Second)
		leftAlone(t, net, s, v)
		// Who comes later hears of it from the relay that stays.
		late := s.view(t, join(t, net, 4, s.link), s.guests.invite(t, s.key, 1), stream.NewViewerSeed())
		awaitKey(t, late)
		time.Sleep(5 * time.Second)
		if peers := net.Host(4).Network().Peers(); !slices.Equal(peers, []peer.ID{net.Host(1).ID()}) {
			t.Errorf("who comes later is connected to %v, want the first relay alone", peers)
		}
	})
}

func TestViewersLeaveATrustedRelayWhoseDelegationEnds(t *testing.T) {
	worded(t, time.Minute, func(t *testing.T, net *p2ptest.Network, s *sealedCast, v *p2p.Viewing) {
		time.Sleep(time.Minute + stream.DelegationSkew - 20*time.Second)
		if peers := net.Host(3).Network().Peers(); len(peers) != 2 {
			t.Errorf("the viewer is connected to %d peers while both delegations may hold", len(peers))
		}
		time.Sleep(40 * time.Second)
		leftAlone(t, net, s, v)
	})
}

func TestALinkIsOfNoUseWhoseRelaysAreNotTrustedNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := p2ptest.New(t, latency)
		for range 3 {
			net.AddNode(p2ptest.Link{})
		}
		net.Start()
		defer net.Close()
		key := stream.NewKey()
		with := func(r ...stream.Relay) stream.Link {
			link := net.Link(key.ID(), 1)
			var err error
			if link.Relays, err = key.SignRelays(r); err != nil {
				t.Fatal(err)
			}
			return link
		}
		for name, r := range map[string]stream.Relay{
			"expired": word(t, net, key, 1, -2*time.Hour, -time.Hour),
			"early":   word(t, net, key, 1, time.Hour, 2*time.Hour),
		} {
			if _, err := net.Node(0).Join(with(r)); !errors.Is(err, p2p.ErrRelaysExpired) {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := net.Node(0).OpenBy(key, with(r)); !errors.Is(err, p2p.ErrRelaysExpired) {
				t.Errorf("%s, to broadcast by: %v", name, err)
			}
		}
		// One that is trusted now is enough, and the other is met no more.
		sw, err := net.Node(0).Join(with(word(t, net, key, 1, -2*time.Hour, -time.Hour), word(t, net, key, 2, -time.Hour, time.Hour)))
		if err != nil {
			t.Fatal(err)
		}
		net.Connect(2, 0)
		time.Sleep(3 * time.Second)
		if peers := net.Host(0).Network().Peers(); !slices.Equal(peers, []peer.ID{net.Host(2).ID()}) {
			t.Errorf("%v is connected to %v, want the relay that is trusted alone", sw.ID().Short(), peers)
		}
	})
}
