package p2p_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

// guestList is a broadcaster's guests, in memory.
type guestList struct {
	mu      sync.Mutex
	viewers map[stream.InviteID][]stream.ViewerID
	uses    map[stream.InviteID]int
	revoked map[stream.InviteID]bool
	asked   int
	broken  bool // its file cannot be read
}

func newGuestList() *guestList {
	return &guestList{viewers: make(map[stream.InviteID][]stream.ViewerID), uses: make(map[stream.InviteID]int), revoked: make(map[stream.InviteID]bool)}
}

func (g *guestList) invite(t *testing.T, key stream.Key, uses int) *stream.Invite {
	t.Helper()
	i, err := key.NewInvite(time.Now().Add(time.Hour), uses, false)
	if err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.uses[i.Invite] = uses
	return i
}

func (g *guestList) revoke(i *stream.Invite) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.revoked[i.Invite] = true
}

func (g *guestList) Viewers(time.Time) (out []stream.ViewerID, _ error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.broken {
		return nil, errors.New("the guests cannot be read")
	}
	for i, v := range g.viewers {
		if !g.revoked[i] {
			out = append(out, v...)
		}
	}
	return out, nil
}

func (g *guestList) Enrol(asks []p2p.Enrolling, _ time.Time) ([]stream.Refusal, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]stream.Refusal, len(asks))
	for i, a := range asks {
		g.asked++
		switch known := slices.Contains(g.viewers[a.Invite], a.Viewer); {
		case g.uses[a.Invite] == 0:
			out[i] = stream.RefusedUnknown
		case g.revoked[a.Invite]:
			out[i] = stream.RefusedRevoked
		case known:
		case len(g.viewers[a.Invite]) >= g.uses[a.Invite]:
			out[i] = stream.RefusedUsed
		default:
			g.viewers[a.Invite] = append(g.viewers[a.Invite], a.Viewer)
		}
	}
	return out, nil
}

// sealedCast is a private broadcast of host 0 that goes on until the test ends.
type sealedCast struct {
	key    stream.Key
	guests *guestList
	p      *p2p.Private
	link   stream.Link // with trusted relays, if there are any

	mu   sync.Mutex
	sent map[stream.Position][]byte
}

// hide begins one by way of relays, or to whoever comes if there are none.
func hide(t *testing.T, net *p2ptest.Network, relays ...int) *sealedCast {
	t.Helper()
	s := &sealedCast{key: stream.NewKey(), guests: newGuestList(), sent: make(map[stream.Position][]byte)}
	s.link = s.via(t, net, relays...)
	if _, err := net.Node(0).OpenBy(s.key, s.link); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.p, err = net.Node(0).Seal(context.Background(), s.key, 1, "the board meets", s.guests); err != nil {
		t.Fatal(err)
	}
	b, err := s.p.Broadcast("main")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	running.Go(func() { _ = s.p.Run(ctx) })
	running.Go(func() { s.publish(ctx, t, b) })
	return s
}

// via returns a link that names trusted relays.
func (s *sealedCast) via(t *testing.T, net *p2ptest.Network, relays ...int) stream.Link {
	t.Helper()
	if len(relays) == 0 {
		return stream.Link{Stream: s.key.ID()}
	}
	link := net.Link(s.key.ID(), relays...)
	var ids []string
	for _, i := range relays {
		ids = append(ids, net.Host(i).ID().String())
	}
	var err error
	if link.Relays, err = s.key.SignRelays(ids); err != nil {
		t.Fatal(err)
	}
	return link
}

func (s *sealedCast) publish(ctx context.Context, t *testing.T, b *p2p.Broadcast) {
	start := time.Now()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(start.Add(time.Duration(i+1) * partFor))):
		}
		data := slices.Repeat([]byte{byte(i), 'p', 'l', 'a', 'i', 'n'}, 5000)
		part := stream.Part{StartsSegment: i%4 == 0, EndsSegment: i%4 == 3, Independent: true, Duration: partFor, ProgramTime: time.Now().Add(-partFor), Data: data}
		if err := b.Publish(ctx, part); err != nil && ctx.Err() == nil {
			t.Error(err)
			return
		}
		s.mu.Lock()
		s.sent[stream.Position{Epoch: 1, Segment: uint64(i / 4), Part: uint32(i % 4)}] = data
		s.mu.Unlock()
	}
}

const partFor = 500 * time.Millisecond

// view has a node view the stream.
func (s *sealedCast) view(t *testing.T, sw *p2p.Swarm, invite *stream.Invite, seed stream.ViewerSeed) *p2p.Viewing {
	t.Helper()
	v := sw.View(invite, seed.Key(s.key.ID()))
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { v.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return v
}

// opened returns how many parts published from a position on a viewer can read, of how many.
func (s *sealedCast) opened(t *testing.T, v *p2p.Viewing, from stream.Position) (n, of int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for pos, data := range s.sent {
		if pos.Compare(from) < 0 {
			continue
		}
		of++
		parts := v.Store().Part(stream.PartID{Stream: s.key.ID(), Rendition: "main", Position: pos})
		if got := slices.Concat(parts...); parts != nil && string(got) == string(data) {
			n++
		} else if parts != nil {
			t.Errorf("part %v opens as something else", pos)
		}
	}
	return n, of
}

func (s *sealedCast) newest() (newest stream.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for pos := range s.sent {
		if pos.Compare(newest) > 0 {
			newest = pos
		}
	}
	return newest
}

// mesh is a broadcaster (0), a relay (1) and two viewers (2, 3) that know the relay only.
func mesh(t *testing.T, f func(t *testing.T, net *p2ptest.Network, s *sealedCast)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		net := p2ptest.New(t, latency)
		for range 4 {
			net.AddNode(p2ptest.Link{})
		}
		net.Start()
		t.Cleanup(net.Close)
		s := hide(t, net)
		join(t, net, 1, net.Link(s.key.ID(), 0))
		time.Sleep(5 * time.Second)
		f(t, net, s)
	})
}

func TestAnInvitedViewerOpensWhatARelayCannot(t *testing.T) {
	mesh(t, func(t *testing.T, net *p2ptest.Network, s *sealedCast) {
		v := s.view(t, join(t, net, 2, net.Link(s.key.ID(), 1)), s.guests.invite(t, s.key, 1), stream.NewViewerSeed())
		awaitKey(t, v)
		from := s.newest()
		time.Sleep(40 * time.Second) // over two changes of keys
		if n, of := s.opened(t, v, from); n < of-1 {
			t.Errorf("the viewer opens %d of %d parts", n, of)
		}
		if got := v.Title(); got != "the board meets" {
			t.Errorf("title %q", got)
		}
		if n := s.sealedAt(t, net, 1); n < 40 {
			t.Errorf("the relay has %d parts", n)
		}
		stranger := s.view(t, join(t, net, 3, net.Link(s.key.ID(), 1)), nil, stream.NewViewerSeed())
		time.Sleep(20 * time.Second)
		if n, _ := s.opened(t, stranger, stream.Position{}); n > 0 {
			t.Errorf("a viewer without an invite opens %d parts", n)
		}
	})
}

// awaitKey waits for a viewer's first key, and returns how long that took.
func awaitKey(t *testing.T, v *p2p.Viewing) time.Duration {
	t.Helper()
	began := time.Now()
	for v.Keyring().Len() == 0 {
		if time.Since(began) > 10*time.Second {
			t.Fatal("no key comes")
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(began)
}

// sealedAt returns how many parts a host has, none of them plain.
func (s *sealedCast) sealedAt(t *testing.T, net *p2ptest.Network, host int) (n int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for pos, data := range s.sent {
		parts := net.Node(host).Store().Part(stream.PartID{Stream: s.key.ID(), Rendition: "main", Position: pos})
		if parts == nil {
			continue
		}
		if got := slices.Concat(parts...); len(got) != len(data)+stream.SealOverhead || bytes.Contains(got, []byte("plain")) {
			t.Errorf("the relay has %d bytes of part %v", len(got), pos)
		}
		n++
	}
	return n
}

// A viewer that comes for the first time asks by way of the relay, and is answered in the next
// key block: that is one round trip to the broadcaster, and no more.
func TestToEnrolTakesOneRoundTrip(t *testing.T) {
	confined(t, func(t *testing.T, net *p2ptest.Network, s *sealedCast) {
		sw := join(t, net, 2, s.link)
		v := s.view(t, sw, s.guests.invite(t, s.key, 1), stream.NewViewerSeed())
		began := time.Now()
		var part, key time.Duration // when the first whole part and the first key were there
		for part == 0 || key == 0 {
			if time.Since(began) > 10*time.Second {
				t.Fatal("no part, or no key")
			}
			if part == 0 && s.sealedAt(t, net, 2) > 0 {
				part = time.Since(began)
			}
			if key == 0 && v.Keyring().Len() > 0 {
				key = time.Since(began)
			}
			time.Sleep(time.Millisecond)
		}
		trip := 4 * latency // there and back, over two hops
		t.Logf("the first part after %v, the first key after %v; a round trip takes %v", part, key, trip)
		if key-part > trip+100*time.Millisecond {
			t.Errorf("the key comes %v after the first part, want %v at most", key-part, trip)
		}
	})
}

// confined is mesh by way of a trusted relay (1) alone.
func confined(t *testing.T, f func(t *testing.T, net *p2ptest.Network, s *sealedCast)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		net := p2ptest.New(t, latency)
		for range 4 {
			net.AddNode(p2ptest.Link{})
		}
		net.Start()
		t.Cleanup(net.Close)
		s := hide(t, net, 1)
		join(t, net, 1, s.link)
		time.Sleep(5 * time.Second)
		f(t, net, s)
	})
}

func TestViewersOfTrustedRelaysMeetNobodyElse(t *testing.T) {
	confined(t, func(t *testing.T, net *p2ptest.Network, s *sealedCast) {
		var views []*p2p.Viewing
		for _, i := range []int{2, 3} {
			sw := join(t, net, i, s.link)
			views = append(views, s.view(t, sw, s.guests.invite(t, s.key, 1), stream.NewViewerSeed()))
			if got := sw.Link(); !slices.Equal(got.Peers, s.link.Peers) || len(got.Relays.IDs()) != 1 {
				t.Errorf("viewer %d shares %v", i, got)
			}
		}
		time.Sleep(5 * time.Second)
		from := s.newest()
		// Whoever knows where a viewer is gets nowhere: a dial is cut off.
		for _, to := range []int{2, 0} {
			info := net.Host(to).Peerstore().PeerInfo(net.Host(to).ID())
			_ = net.Host(3).Connect(context.Background(), info)
		}
		time.Sleep(20 * time.Second)
		for _, i := range []int{0, 2, 3} {
			if peers := net.Host(i).Network().Peers(); !slices.Equal(peers, []peer.ID{net.Host(1).ID()}) {
				t.Errorf("host %d is connected to %v, want the relay alone", i, peers)
			}
		}
		for i, v := range views {
			if n, of := s.opened(t, v, from); n < of-2 || of < 30 {
				t.Errorf("viewer %d opens %d of %d parts", i, n, of)
			}
		}
		// A second stream would have others see it.
		if _, err := net.Node(2).Join(stream.Link{Stream: stream.NewKey().ID()}); !errors.Is(err, p2p.ErrConfined) {
			t.Errorf("another stream beside it: %v", err)
		}
	})
}

func TestARevokedViewerIsShutOutWithin30Seconds(t *testing.T) {
	mesh(t, func(t *testing.T, net *p2ptest.Network, s *sealedCast) {
		guest, other := s.guests.invite(t, s.key, 1), s.guests.invite(t, s.key, 1)
		seed := stream.NewViewerSeed()
		v := s.view(t, join(t, net, 2, net.Link(s.key.ID(), 1)), guest, seed)
		stays := s.view(t, join(t, net, 3, net.Link(s.key.ID(), 1)), other, stream.NewViewerSeed())
		awaitKey(t, v)
		awaitKey(t, stays)
		// The worst moment: the next period's key has just gone out.
		for p := s.p.Stats().Period; s.p.Stats().Period == p; {
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(10*time.Second + 50*time.Millisecond)
		from := s.newest()
		s.guests.revoke(guest)
		time.Sleep(30 * time.Second)
		after := s.newest()
		time.Sleep(60 * time.Second)
		if n, of := s.opened(t, v, after); n > 0 {
			t.Errorf("30 s after it was shut out, the viewer opens %d of %d parts", n, of)
		}
		if n, of := s.opened(t, v, from); n == 0 || n > of/2 {
			t.Errorf("from when it was shut out on, the viewer opens %d of %d parts", n, of)
		}
		if got := v.Refusal(); got != stream.RefusedRevoked {
			t.Errorf("the viewer is told %d", got)
		}
		if n, of := s.opened(t, stays, from); n < of-1 {
			t.Errorf("who may stay opens %d of %d parts", n, of)
		}
		// It tries as somebody else.
		again := s.view(t, net.Node(2).Swarms()[0], guest, stream.NewViewerSeed())
		time.Sleep(20 * time.Second)
		if again.Keyring().Len() > 0 || again.Refusal() != stream.RefusedRevoked {
			t.Errorf("as somebody else it has %d keys, and is told %d", again.Keyring().Len(), again.Refusal())
		}
	})
}

// Key blocks' times go on from the first's, as those of parts do: else all would refuse them as from
// the future.
func TestKeysGoOnWhenTheBroadcastersClockIsSet(t *testing.T) {
	for _, off := range []time.Duration{-time.Hour, 5 * time.Minute, 48 * time.Hour} {
		t.Run(off.String(), func(t *testing.T) {
			mesh(t, func(t *testing.T, net *p2ptest.Network, s *sealedCast) {
				v := s.view(t, join(t, net, 2, net.Link(s.key.ID(), 1)), s.guests.invite(t, s.key, 1), stream.NewViewerSeed())
				awaitKey(t, v)
				from := s.newest()
				net.SetClock(0, off)
				time.Sleep(40 * time.Second) // over two changes of keys
				if n, of := s.opened(t, v, from); n < of-1 {
					t.Errorf("the viewer opens %d of %d parts", n, of)
				}
				for _, i := range []int{1, 2} {
					if refused := net.Node(i).Swarms()[0].Stats().HeadersRefused["ahead"]; refused > 0 {
						t.Errorf("node %d refused %d headers as from the future", i, refused)
					}
				}
			})
		})
	}
}

// A relay passes nothing on that has expired by its own clock, which may be some minutes off.
func TestRelaysPassNoExpiredInvitesOn(t *testing.T) {
	confined(t, func(t *testing.T, net *p2ptest.Network, s *sealedCast) {
		net.SetClock(1, 2*time.Hour)
		v := s.view(t, join(t, net, 2, s.link), s.guests.invite(t, s.key, 1), stream.NewViewerSeed())
		time.Sleep(5 * time.Second)
		if v.Keyring().Len() > 0 {
			t.Error("an invite that has expired by the relay's clock was passed on")
		}
		net.SetClock(1, time.Hour+5*time.Minute)
		time.Sleep(20 * time.Second)
		if v.Keyring().Len() == 0 {
			t.Error("an invite that expired some minutes ago by the relay's clock was not passed on")
		}
		if st := net.Node(1).Swarms()[0].Stats(); st.PeersCutOff > 0 {
			t.Error("a clock that is off is taken for a fault")
		}
	})
}

func TestInvitesThatDoNotHoldAreRefused(t *testing.T) {
	mesh(t, func(t *testing.T, net *p2ptest.Network, s *sealedCast) {
		once := s.guests.invite(t, s.key, 1)
		first := s.view(t, join(t, net, 2, net.Link(s.key.ID(), 1)), once, stream.NewViewerSeed())
		awaitKey(t, first)
		second := s.view(t, join(t, net, 3, net.Link(s.key.ID(), 1)), once, stream.NewViewerSeed())
		unknown, err := s.key.NewInvite(time.Now().Add(time.Hour), 1, false)
		if err != nil {
			t.Fatal(err)
		}
		third := s.view(t, net.Node(3).Swarms()[0], unknown, stream.NewViewerSeed())
		over, err := s.key.NewInvite(time.Now().Add(-time.Hour), 1, false)
		if err != nil {
			t.Fatal(err)
		}
		fourth := s.view(t, net.Node(3).Swarms()[0], over, stream.NewViewerSeed())
		time.Sleep(5 * time.Second)
		if second.Refusal() != stream.RefusedUsed || third.Refusal() != stream.RefusedUnknown {
			t.Errorf("refused with %d and %d", second.Refusal(), third.Refusal())
		}
		for i, v := range []*p2p.Viewing{second, third, fourth} {
			if v.Keyring().Len() > 0 {
				t.Errorf("viewer %d has keys", i)
			}
		}
		refused := int64(0)
		for _, sw := range []*p2p.Swarm{net.Node(0).Swarms()[0], net.Node(1).Swarms()[0]} {
			refused += sw.Stats().EnrolmentsRefused
		}
		if refused == 0 {
			t.Error("nobody refused to pass on the enrolment of an invite that is over")
		}
	})
}

// While nobody can tell who may have the next key, the one in use stays; then it goes on.
func TestKeysGoOnOnceTheGuestsCanBeReadAgain(t *testing.T) {
	mesh(t, func(t *testing.T, net *p2ptest.Network, s *sealedCast) {
		v := s.view(t, join(t, net, 2, net.Link(s.key.ID(), 1)), s.guests.invite(t, s.key, 1), stream.NewViewerSeed())
		awaitKey(t, v)
		from := s.newest()
		breaks := func(broken bool) {
			s.guests.mu.Lock()
			defer s.guests.mu.Unlock()
			s.guests.broken = broken
		}
		breaks(true)
		time.Sleep(40 * time.Second)
		stuck := s.p.Stats().Period
		breaks(false)
		time.Sleep(40 * time.Second)
		if now := s.p.Stats().Period; stuck > 2 || now < stuck+2 {
			t.Errorf("period %d while the guests could not be read, %d afterwards", stuck, now)
		}
		if n, of := s.opened(t, v, from); n < of-1 {
			t.Errorf("the viewer opens %d of %d parts", n, of)
		}
	})
}
