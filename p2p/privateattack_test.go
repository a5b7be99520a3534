package p2p_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

// eavesdropper is an attacker that hears and sends what is on a topic of a private stream.
type eavesdropper struct {
	*attacker
	send func(raw []byte) error

	mu    sync.Mutex
	heard [][]byte
}

// eavesdrop has an attacker on a host of its own, connected to the relay.
func eavesdrop(t *testing.T, net *p2ptest.Network, s *sealedCast) *eavesdropper {
	t.Helper()
	return eavesdropOn(t, net, s, "-enrol")
}

func eavesdropOn(t *testing.T, net *p2ptest.Network, s *sealedCast, name string) *eavesdropper {
	t.Helper()
	net.AddHost(p2ptest.Link{})
	host := net.Len() - 1
	net.Connect(host, 1)
	e := &eavesdropper{attacker: newAttackerOf(t, net.Host(host), s.key.ID(), stream.KeysRendition)}
	topic, err := e.ps.Join("gv1/" + s.key.ID().String()[:16] + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	sub, err := topic.Subscribe()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); e.stop() })
	go func() {
		for {
			m, err := sub.Next(ctx)
			if err != nil {
				return
			}
			e.mu.Lock()
			e.heard = append(e.heard, m.Data)
			e.mu.Unlock()
		}
	}()
	e.send = func(raw []byte) error { return topic.Publish(ctx, raw) }
	time.Sleep(3 * time.Second)
	return e
}

func (e *eavesdropper) first(t *testing.T) []byte {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.heard) == 0 {
		t.Fatal("nothing was overheard")
	}
	return e.heard[0]
}

// Whoever overhears an enrolment learns nothing by sending it again: the answer is for who wrote
// it, and it lets nobody else in.
func TestAReplayedEnrolmentLetsNobodyIn(t *testing.T) {
	mesh(t, func(t *testing.T, net *p2ptest.Network, s *sealedCast) {
		e := eavesdrop(t, net, s)
		v := s.view(t, join(t, net, 2, net.Link(s.key.ID(), 1)), s.guests.invite(t, s.key, 5), stream.NewViewerSeed())
		awaitKey(t, v)
		time.Sleep(time.Second)
		raw := e.first(t)
		before, blocks := s.p.Stats(), v.Stats().Blocks
		time.Sleep(190 * time.Second) // gossipsub itself remembers for two to three minutes
		calm := v.Stats().Blocks - blocks
		for range 20 {
			if err := e.send(raw); err != nil {
				t.Error(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Second)
		viewers, err := s.guests.Viewers(time.Now())
		if err != nil || len(viewers) != 1 {
			t.Errorf("there are %d viewers, %v", len(viewers), err)
		}
		st := s.p.Stats()
		if st.Refused != before.Refused || st.Enrolled-before.Enrolled > 4 {
			t.Errorf("20 replays: %+v, before %+v", st, before)
		}
		t.Logf("%d key blocks in 190 s; then %d answers to 20 replays", calm, st.Enrolled-before.Enrolled)
	})
}

func TestForgedEnrolmentsShutTheirSenderOut(t *testing.T) {
	mesh(t, func(t *testing.T, net *p2ptest.Network, s *sealedCast) {
		e := eavesdrop(t, net, s)
		foreign, err := stream.NewKey().NewInvite(time.Now().Add(time.Hour), 1, false)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			raw, err := foreign.Enrol(stream.NewViewerSeed().Key(s.key.ID()).ID())
			if err != nil {
				t.Fatal(err)
			}
			if err := e.send(raw); err != nil {
				t.Error(err)
			}
			time.Sleep(200 * time.Millisecond)
		}
		st := net.Node(1).Swarms()[0].Stats()
		if n := st.EnrolmentsRefused; n < 3 || n > 6 {
			t.Errorf("%d of 20 forged enrolments were read, want a few until their sender was shut out", n)
		}
		if host := net.Node(0).Swarms()[0].Stats(); host.EnrolmentsRefused+host.Enrolments > 0 {
			t.Errorf("the relay passed on what was forged: %+v", host)
		}
	})
}

// One who has an invite can have himself refused, but not keep everybody busy with it.
func TestAFloodOfEnrolmentsIsBounded(t *testing.T) {
	mesh(t, func(t *testing.T, net *p2ptest.Network, s *sealedCast) {
		e := eavesdrop(t, net, s)
		invite := s.guests.invite(t, s.key, 1)
		for range 300 {
			raw, err := invite.Enrol(stream.NewViewerSeed().Key(s.key.ID()).ID())
			if err != nil {
				t.Fatal(err)
			}
			if err := e.send(raw); err != nil {
				t.Error(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		relay, host := net.Node(1).Swarms()[0].Stats(), s.p.Stats()
		if relay.Enrolments > 25 || relay.EnrolmentsDropped < 270 {
			t.Errorf("the relay passed %d of 300 on, and dropped %d", relay.Enrolments, relay.EnrolmentsDropped)
		}
		if host.Enrolled != 1 || host.Refused > 25 {
			t.Errorf("the broadcaster let %d in and refused %d", host.Enrolled, host.Refused)
		}
		// An honest viewer comes through all the same.
		v := s.view(t, join(t, net, 2, net.Link(s.key.ID(), 1)), s.guests.invite(t, s.key, 1), stream.NewViewerSeed())
		awaitKey(t, v)
	})
}

func TestAReplayedKeyBlockIsRefused(t *testing.T) {
	mesh(t, func(t *testing.T, net *p2ptest.Network, s *sealedCast) {
		e := eavesdrop(t, net, s)
		v := s.view(t, join(t, net, 2, net.Link(s.key.ID(), 1)), s.guests.invite(t, s.key, 1), stream.NewViewerSeed())
		awaitKey(t, v)
		time.Sleep(20 * time.Second)
		e.attacker.mu.Lock()
		i := slices.IndexFunc(e.seen, func(h *stream.SignedHeader) bool { return h.Rendition == stream.KeysRendition })
		var old *stream.SignedHeader
		if i >= 0 {
			old = e.seen[i]
		}
		e.attacker.mu.Unlock()
		if old == nil {
			t.Fatal("the attacker saw no key block")
		}
		time.Sleep(190 * time.Second)
		if err := e.headers.Publish(context.Background(), old.Bytes()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		if st := net.Node(1).Swarms()[0].Stats(); st.HeadersRefused["stale"] != 1 {
			t.Errorf("refused headers: %v, want one stale", st.HeadersRefused)
		}
		from := s.newest()
		time.Sleep(30 * time.Second)
		if n, of := s.opened(t, v, from); n < of-1 {
			t.Errorf("afterwards the viewer opens %d of %d parts", n, of)
		}
	})
}

// A peer that claims all key blocks, and sends none or others, costs a viewer nothing while
// another peer has them.
func TestKeyBlocksThatAreWithheldOrAlteredComeFromElsewhere(t *testing.T) {
	for name, rubbish := range map[string][]byte{"withheld": nil, "altered": append([]byte{0, 0, 100}, make([]byte, 100)...)} {
		t.Run(name, func(t *testing.T) {
			mesh(t, func(t *testing.T, net *p2ptest.Network, s *sealedCast) {
				e := eavesdrop(t, net, s)
				sw := join(t, net, 2, net.Link(s.key.ID(), 1))
				net.Connect(net.Len()-1, 2)
				claim := append([]byte{0x0a, 1, 0xff, 0x22, 2, 0xff, 0xff, 0x2a, 8}, make([]byte, 8)...)
				var asked atomic.Int64
				e.attacker.mu.Lock()
				e.onRPC = func(from peer.ID, rpc *pb.PartialMessagesExtension) {
					e.say(t, from, rpc.GroupID, claim, nil)
					if len(rpc.PartsMetadata) <= 3 {
						return
					}
					asked.Add(1) // it wants something
					if rubbish != nil {
						e.say(t, from, rpc.GroupID, nil, rubbish)
					}
				}
				e.attacker.mu.Unlock()
				v := s.view(t, sw, s.guests.invite(t, s.key, 1), stream.NewViewerSeed())
				awaitKey(t, v)
				from := s.newest()
				for range 60 {
					e.attacker.mu.Lock()
					var newest *stream.SignedHeader
					for _, h := range e.seen {
						if h.Rendition == stream.KeysRendition {
							newest = h
						}
					}
					e.attacker.mu.Unlock()
					if newest != nil {
						e.say(t, net.Host(2).ID(), group(newest.Position), claim, nil)
						next := stream.Position{Epoch: newest.Epoch, Segment: newest.Segment + 1}
						e.say(t, net.Host(2).ID(), group(next), claim, nil)
					}
					time.Sleep(time.Second)
				}
				if n, of := s.opened(t, v, from); n < of-1 {
					t.Errorf("the viewer opens %d of %d parts", n, of)
				}
				st := sw.Stats()
				t.Logf("asked %d times; %d chunks refused, %d peers cut off", asked.Load(), st.ChunksRefused, st.PeersCutOff)
				if name == "altered" && st.ChunksRefused == 0 {
					t.Error("nothing of the attacker was refused: the attack did not happen")
				}
				if asked.Load() == 0 {
					t.Error("nothing was wanted of the attacker: the attack did not happen")
				}
			})
		})
	}
}

// A viewer that rewinds opens what it was entitled to, and nothing from before it was let in.
func TestThePastOpensToWhoWasEntitledThen(t *testing.T) {
	mesh(t, func(t *testing.T, net *p2ptest.Network, s *sealedCast) {
		seed, invite := stream.NewViewerSeed(), s.guests.invite(t, s.key, 1)
		time.Sleep(60 * time.Second) // more than newcomers get the keys of
		before := s.newest()
		v := s.view(t, join(t, net, 2, net.Link(s.key.ID(), 1)), invite, seed)
		awaitKey(t, v)
		from := s.newest()
		time.Sleep(60 * time.Second)
		// The same viewer on a fresh node: its keys are gone, the blocks are not.
		again := join(t, net, 3, net.Link(s.key.ID(), 1))
		w := s.view(t, again, invite, seed)
		awaitKey(t, w)
		time.Sleep(5 * time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := again.LearnPast(ctx, "main", time.Time{}, 0); err != nil {
			t.Fatal(err)
		}
		if err := w.LearnKeys(ctx, "main", time.Time{}); err != nil {
			t.Fatal(err)
		}
		opens := func(pos stream.Position) bool {
			for _, tl := range again.Timelines() {
				if h := tl.Header(pos); tl.Rendition() == "main" && h != nil {
					return w.Keyring().Has(h.Epoch, h.Period)
				}
			}
			t.Errorf("the header of %v is not known", pos)
			return false
		}
		if !opens(from) {
			t.Error("what the viewer could open then it cannot open now")
		}
		if first := (stream.Position{Epoch: 1}); opens(first) {
			t.Errorf("the viewer opens %v, from long before it was let in (at %v)", first, before)
		}
		parts, err := again.FetchPast(ctx, "main", from.Epoch, from.Segment+1)
		if err != nil || len(parts) == 0 {
			t.Fatalf("the segment of %v: %v", from, err)
		}
	})
}

var _ p2p.Guests = (*guestList)(nil)
