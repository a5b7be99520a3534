package p2p_test

import (
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

// delegated returns a key that broadcasts the stream of another for a while.
func delegated(t *testing.T, master stream.Key, d time.Duration) stream.Key {
	t.Helper()
	own := stream.NewKey()
	by, err := master.Delegate(own.ID(), stream.RoleBroadcast, time.Now().Add(-time.Hour), time.Now().Add(d))
	if err != nil {
		t.Fatal(err)
	}
	k, err := own.Under(by)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func revoke(t *testing.T, master stream.Key, issue uint64, keys ...stream.Key) *stream.Revocations {
	t.Helper()
	var ids []stream.ID
	for _, k := range keys {
		ids = append(ids, k.Delegation().Delegate)
	}
	l, err := master.Revoke(issue, ids)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// shift is a broadcast by one machine, which goes on until it may not or is stopped.
type shift struct {
	epoch uint64
	stop  context.CancelFunc
	done  chan struct{}
	err   error // once done
	ended time.Time
}

// begin has a node broadcast with a key, in an epoch as the command takes it.
func begin(t *testing.T, node *p2p.Node, key stream.Key) *shift {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &shift{epoch: uint64(time.Now().UnixMilli()), stop: cancel, done: make(chan struct{})}
	b, err := node.Broadcast(key, "main", s.epoch)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.done)
		start := time.Now()
		for i := 0; s.err == nil; i++ {
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Until(start.Add(time.Duration(i+1) * partFor))):
			}
			part := stream.Part{StartsSegment: i%4 == 0, EndsSegment: i%4 == 3, Independent: true, Duration: partFor, ProgramTime: time.Now().Add(-partFor), Data: slices.Repeat([]byte{byte(i)}, 40_000)}
			s.err = b.Publish(context.Background(), part)
		}
		s.ended = time.Now()
	}()
	t.Cleanup(func() { cancel(); <-s.done })
	return s
}

// newestWhole returns the position of the newest part that a node has whole.
func newestWhole(node *p2p.Node, id stream.ID) (newest stream.Position) {
	for _, s := range node.Swarms() {
		for _, t := range s.Timelines() {
			for _, h := range t.From(stream.Position{}) {
				if s.ID() == id && node.Store().Whole(h.ID()) {
					newest = h.Position
				}
			}
		}
	}
	return newest
}

func TestADelegateBroadcastsAndJoinersVerifyIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		master := stream.NewKey()
		net := line(t, 3, 2, master)
		defer net.Close()
		s := begin(t, net.Node(0), delegated(t, master, 30*24*time.Hour))
		time.Sleep(5 * time.Second)
		late := join(t, net, 2, net.Link(master.ID(), 1))
		waitFor(t, 10*time.Second, "a joiner's parts", func() bool { return newestWhole(net.Node(2), master.ID()).Segment >= 4 })
		if n := wholeSegments(net.Node(2), master.ID()); n < 3 {
			t.Errorf("the joiner has %d whole segments", n)
		}
		if st := late.Stats(); len(st.HeadersRefused) > 0 || st.Penalties > 0 {
			t.Errorf("refused %v, %d penalties", st.HeadersRefused, st.Penalties)
		}
		for _, h := range late.Timelines()[0].From(stream.Position{}) {
			if h.Delegation() == nil || h.Epoch != s.epoch {
				t.Errorf("part %v is signed by %v", h.Position, h.Delegation())
			}
		}
	})
}

func TestARevokedDelegateIsCutOffAndTheNextGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		master := stream.NewKey()
		net := line(t, 6, 4, master)
		defer net.Close()
		first := delegated(t, master, 24*time.Hour)
		s := begin(t, net.Node(0), first)
		time.Sleep(6 * time.Second)
		// Who publishes the revocations is anybody: here the viewer that is farthest.
		list := revoke(t, master, 1, first)
		at := time.Now()
		heard, err := net.Node(3).Swarms()[0].Revoke(list)
		if err != nil || heard == 0 {
			t.Fatalf("%d peers heard, %v", heard, err)
		}
		waitFor(t, 5*time.Second, "revocations everywhere", func() bool {
			for i := range 4 {
				if net.Node(i).Swarms()[0].Revocations() == nil {
					return false
				}
			}
			return true
		})
		t.Logf("all four heard after %v", time.Since(at))
		<-s.done
		if !errors.Is(s.err, stream.ErrRevoked) || s.ended.Sub(at) > 2*time.Second {
			t.Errorf("the delegate ended after %v with %v", s.ended.Sub(at), s.err)
		}
		stood := newestWhole(net.Node(2), master.ID())
		time.Sleep(3 * time.Second)
		if now := newestWhole(net.Node(2), master.ID()); now != stood {
			t.Errorf("a revoked delegate's parts go on from %v to %v", stood, now)
		}
		next := begin(t, net.Node(4), delegated(t, master, 24*time.Hour))
		if _, err := net.Node(4).Join(net.Link(master.ID(), 0)); err != nil {
			t.Fatal(err)
		}
		for i := 1; i <= 3; i++ {
			waitFor(t, 10*time.Second, "the next delegate's parts", func() bool {
				p := newestWhole(net.Node(i), master.ID())
				return p.Epoch == next.epoch && p.Segment >= 1
			})
		}
		// Who comes later hears of the revocations with the timeline, and takes nothing of the first.
		late := join(t, net, 5, net.Link(master.ID(), 3))
		waitFor(t, 10*time.Second, "a joiner's parts", func() bool { return newestWhole(net.Node(5), master.ID()).Epoch == next.epoch })
		if late.Revocations() == nil || late.Stats().Penalties > 0 {
			t.Errorf("the joiner knows %v, %d penalties", late.Revocations(), late.Stats().Penalties)
		}
		for _, h := range late.Timelines()[0].From(stream.Position{}) {
			if h.Epoch != next.epoch {
				t.Errorf("the joiner took part %v", h.Position)
			}
		}
	})
}

func TestTheRunThatBeganLastCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		master := stream.NewKey()
		net := line(t, 4, 3, master)
		defer net.Close()
		first := begin(t, net.Node(0), delegated(t, master, 24*time.Hour))
		time.Sleep(5 * time.Second)
		second := begin(t, net.Node(3), delegated(t, master, 24*time.Hour))
		at := time.Now()
		if _, err := net.Node(3).Join(net.Link(master.ID(), 2)); err != nil {
			t.Fatal(err)
		}
		<-first.done
		if !errors.Is(first.err, p2p.ErrSuperseded) || first.ended.Sub(at) > 3*time.Second {
			t.Errorf("the first ended after %v with %v", first.ended.Sub(at), first.err)
		}
		waitFor(t, 10*time.Second, "the second's parts", func() bool {
			p := newestWhole(net.Node(1), master.ID())
			return p.Epoch == second.epoch && p.Segment >= 3
		})
		for i := range 4 {
			if st := net.Node(i).Swarms()[0].Stats(); st.Penalties > 0 {
				t.Errorf("node %d penalised %d times: %v", i, st.Penalties, st.HeadersRefused)
			}
		}
	})
}

func TestADelegateEndsWithItsDelegation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		master := stream.NewKey()
		net := line(t, 2, 2, master)
		defer net.Close()
		at := time.Now()
		s := begin(t, net.Node(0), delegated(t, master, 5*time.Second))
		<-s.done
		if !errors.Is(s.err, stream.ErrDelegationTime) || s.ended.Sub(at) > 7*time.Second || s.ended.Sub(at) < 5*time.Second {
			t.Errorf("it ended after %v with %v", s.ended.Sub(at), s.err)
		}
	})
}

func TestForgedDelegationsAreRefusedAndTheirSenderShutOut(t *testing.T) {
	besieged(t, func(net *p2ptest.Network, a *attacker, victim *p2p.Swarm) {
		// A delegation that is signed well, by a key that is not the stream's.
		thief := stream.NewKey()
		p, err := stream.NewPublisher(delegated(t, thief, time.Hour), "main", uint64(time.Now().UnixMilli()))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			h, _, err := p.Publish(stream.Part{StartsSegment: true, EndsSegment: true, Independent: true, Duration: time.Second, ProgramTime: time.Now(), Data: []byte{byte(i)}})
			if err != nil {
				t.Fatal(err)
			}
			if err := a.headers.Publish(context.Background(), h.Bytes()); err != nil {
				t.Error(err)
			}
			time.Sleep(200 * time.Millisecond)
		}
		s := victim.Stats()
		refused(t, s, a)
		if n := s.HeadersRefused["forged"]; n < 3 || n > 6 {
			t.Errorf("%d of 20 forged headers were read, want a few until their sender was shut out", n)
		}
	})
}

func TestForgedRevocationsAreRefused(t *testing.T) {
	besieged(t, func(net *p2ptest.Network, a *attacker, victim *p2p.Swarm) {
		l, err := stream.NewKey().Revoke(99, []stream.ID{stream.NewKey().ID()})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.headers.Publish(context.Background(), l.Bytes()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		s := victim.Stats()
		refused(t, s, a)
		if s.HeadersRefused["forged"] != 1 || victim.Revocations() != nil {
			t.Errorf("refused %v, revocations %v", s.HeadersRefused, victim.Revocations())
		}
	})
}

// keptRevocations is a RevocationKeeper in memory.
type keptRevocations struct {
	mu  sync.Mutex
	raw []byte
}

func (k *keptRevocations) RecallRevocations(stream.ID) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.raw, nil
}

func (k *keptRevocations) KeepRevocations(l *stream.Revocations) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.raw = l.Bytes()
	return nil
}

func TestRevocationsAreKeptAndToldToWhomIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		master := stream.NewKey()
		key := delegated(t, master, time.Hour)
		list := revoke(t, master, 5, key)
		net := p2ptest.New(t, latency)
		net.AddNode(p2ptest.Link{})
		kept := &keptRevocations{}
		net.AddNodeWith(p2ptest.Link{}, p2p.Config{Revocations: kept})
		knows := &keptRevocations{raw: list.Bytes()}
		net.AddNodeWith(p2ptest.Link{}, p2p.Config{Revocations: knows})
		net.Start()
		defer net.Close()
		s := begin(t, net.Node(0), key)
		join(t, net, 1, net.Link(master.ID(), 0))
		time.Sleep(4 * time.Second)
		if newestWhole(net.Node(1), master.ID()).Epoch != s.epoch {
			t.Fatal("the stream does not play")
		}
		// A node that heard in an earlier run comes: it asks for a timeline, and so tells.
		join(t, net, 2, net.Link(master.ID(), 1))
		<-s.done
		if !errors.Is(s.err, stream.ErrRevoked) {
			t.Errorf("the delegate ended with %v", s.err)
		}
		if raw, _ := kept.RecallRevocations(master.ID()); string(raw) != string(list.Bytes()) {
			t.Error("what was heard is not kept")
		}
		if newestWhole(net.Node(2), master.ID()) != (stream.Position{}) {
			t.Error("who knew takes what is revoked")
		}
	})
}

func TestWhoDoesNotHeedRevocationsIsNotHeard(t *testing.T) {
	besiegedBy(t, func(master stream.Key, net *p2ptest.Network, a *attacker, victim *p2p.Swarm) {
		key := delegated(t, master, time.Hour)
		if _, err := victim.Revoke(revoke(t, master, 1, key)); err != nil {
			t.Fatal(err)
		}
		p, err := stream.NewPublisher(key, "main", uint64(time.Now().UnixMilli()))
		if err != nil {
			t.Fatal(err)
		}
		h, _, err := p.Publish(stream.Part{StartsSegment: true, Independent: true, Duration: time.Second, ProgramTime: time.Now(), Data: []byte("x")})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.headers.Publish(context.Background(), h.Bytes()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		s := victim.Stats()
		if s.HeadersRefused["revoked"] != 1 || s.Penalties != 0 {
			t.Errorf("refused %v, %d penalties; who passes it on need not have heard", s.HeadersRefused, s.Penalties)
		}
	})
}

func TestViewersLeaveATrustedRelayThatIsRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := p2ptest.New(t, latency)
		for range 4 {
			net.AddNode(p2ptest.Link{})
		}
		net.Start()
		t.Cleanup(net.Close)
		s := hide(t, net, 1, 2)
		join(t, net, 1, s.link)
		join(t, net, 2, s.link)
		viewer := join(t, net, 3, s.link)
		v := s.view(t, viewer, s.guests.invite(t, s.key, 1), stream.NewViewerSeed())
		time.Sleep(5 * time.Second)
		if peers := net.Host(3).Network().Peers(); len(peers) != 2 {
			t.Fatalf("the viewer is connected to %d peers, want both relays", len(peers))
		}
		bad, err := stream.PeerKey(string(net.Host(2).ID()))
		if err != nil {
			t.Fatal(err)
		}
		list, err := s.key.Revoke(1, []stream.ID{bad})
		if err != nil {
			t.Fatal(err)
		}
		if heard, err := net.Node(1).Swarms()[0].Revoke(list); err != nil || heard == 0 {
			t.Fatalf("%d peers heard, %v", heard, err)
		}
		time.Sleep(20 * time.Second)
		from := s.newest()
		for _, i := range []int{0, 3} {
			if peers := net.Host(i).Network().Peers(); !slices.Equal(peers, []peer.ID{net.Host(1).ID()}) {
				t.Errorf("host %d is connected to %v, want the other relay alone", i, peers)
			}
		}
		time.Sleep(10 * time.Second)
		if n, of := s.opened(t, v, from); n < of-2 || of < 15 {
			t.Errorf("the viewer opens %d of %d parts", n, of)
		}
	})
}
