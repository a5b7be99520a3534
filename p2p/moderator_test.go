package p2p_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

// appointed returns a key to which another delegated a role from an hour ago on, until a time from now.
func appointed(t *testing.T, master stream.Key, role stream.Role, until time.Duration) stream.Key {
	t.Helper()
	own := stream.NewKey()
	by, err := master.Delegate(own.ID(), role, time.Now().Add(-time.Hour), time.Now().Add(until))
	if err != nil {
		t.Fatal(err)
	}
	k, err := own.Under(by)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// asking returns a context for one question, which ends with the test at the latest.
func asking(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// A moderator knows nobody but a trusted relay, and has no invite.
func TestAModeratorTakesAnInviteBack(t *testing.T) {
	confined(t, func(t *testing.T, net *p2ptest.Network, s *sealedCast) {
		invite := s.guests.invite(t, s.key, 1)
		v := s.view(t, join(t, net, 2, s.link), invite, stream.NewViewerSeed())
		awaitKey(t, v)
		other := s.guests.invite(t, s.key, 2)
		key := appointed(t, s.key, stream.RoleModerator, time.Hour)
		sw := join(t, net, 3, s.link)
		if err := sw.Carry([]string{stream.KeysRendition}); err != nil {
			t.Fatal(err)
		}
		m := sw.Moderate(key)
		began := time.Now()
		list, err := m.Invited(asking(t))
		if err != nil || len(list) != 2 || list[0].Invite != invite.Invite || list[0].Viewers != 1 || list[0].State != 0 || list[1].Invite != other.Invite {
			t.Fatalf("invited are %+v, %v", list, err)
		}
		t.Logf("who is invited is known after %v", time.Since(began))
		got, err := m.Revoke(asking(t), invite.Invite)
		if err != nil || got.Invite != invite.Invite || got.State != stream.RefusedRevoked {
			t.Fatalf("taken back: %+v, %v", got, err)
		}
		at := time.Now()
		waitFor(t, 30*time.Second, "the viewer to be refused", func() bool { return v.Refusal() == stream.RefusedRevoked })
		t.Logf("the viewer is refused after %v", time.Since(at))
		time.Sleep(30*time.Second - time.Since(at))
		from := s.newest()
		time.Sleep(10 * time.Second)
		if n, of := s.opened(t, v, from); n > 0 || of < 15 {
			t.Errorf("30 s later the viewer opens %d of %d parts", n, of)
		}
		// Again, it is done already; of another there is none.
		if got, err := m.Revoke(asking(t), invite.Invite); err != nil || got.State != stream.RefusedRevoked {
			t.Errorf("again: %+v, %v", got, err)
		}
		if _, err := m.Revoke(asking(t), stream.InviteID{1}); !errors.Is(err, p2p.ErrNoInvite) {
			t.Errorf("an invite that is not known: %v", err)
		}
		s.guests.mu.Lock()
		defer s.guests.mu.Unlock()
		if by := key.Delegation().Delegate; !slices.Equal(s.guests.revokers, []stream.ID{by, by}) || s.guests.revoked[other.Invite] {
			t.Errorf("revoked by %v", s.guests.revokers)
		}
		if st := s.p.Stats(); st.Moderated != 4 {
			t.Errorf("%+v, want four moderations answered", st)
		}
		for i := range 4 {
			if st := net.Node(i).Swarms()[0].Stats(); st.Penalties > 0 || st.ModerationsRefused > 0 {
				t.Errorf("node %d: %d penalties, %d moderations refused", i, st.Penalties, st.ModerationsRefused)
			}
		}
	})
}

func TestAModeratorSeesAllInvitesOfAStreamThatADelegateBroadcasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := p2ptest.New(t, latency)
		for range 3 {
			net.AddNode(p2ptest.Link{})
		}
		net.Start()
		t.Cleanup(net.Close)
		master := stream.NewKey()
		s := hideBy(t, net, delegated(t, master, time.Hour), stream.Link{Stream: master.ID()})
		for range 2*stream.MaxInvited + 5 {
			s.guests.invite(t, s.key, 1)
		}
		join(t, net, 1, net.Link(s.key.ID(), 0))
		time.Sleep(3 * time.Second)
		sw := join(t, net, 2, net.Link(s.key.ID(), 1))
		// The stream's own key may moderate, too.
		for name, key := range map[string]stream.Key{"a moderator": appointed(t, master, stream.RoleModerator, time.Hour), "the stream's key": master} {
			list, err := sw.Moderate(key).Invited(asking(t))
			if err != nil || len(list) != 2*stream.MaxInvited+5 {
				t.Errorf("%s is told of %d invites, %v", name, len(list), err)
			}
			for i, v := range list {
				if v.Invite != s.guests.made[i] {
					t.Errorf("%s: invite %d is %v", name, i, v)
				}
			}
		}
	})
}

func TestWhoIsNoModeratorIsRefused(t *testing.T) {
	mesh(t, func(t *testing.T, net *p2ptest.Network, s *sealedCast) {
		invite := s.guests.invite(t, s.key, 1)
		sw := join(t, net, 2, net.Link(s.key.ID(), 1))
		revoked := appointed(t, s.key, stream.RoleModerator, time.Hour)
		list := revoke(t, s.key, 1, revoked)
		for name, c := range map[string]struct {
			key  stream.Key
			want error
		}{
			"a broadcaster":              {appointed(t, s.key, stream.RoleBroadcast, time.Hour), stream.ErrDelegationRole},
			"a moderator that has ended": {appointed(t, s.key, stream.RoleModerator, -time.Minute-stream.DelegationSkew), stream.ErrDelegationTime},
		} {
			if _, err := sw.Moderate(c.key).Revoke(asking(t), invite.Invite); !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		// The moderator's node may hear of that only when it asks.
		if _, err := net.Node(0).Swarms()[0].Revoke(list); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if _, err := sw.Moderate(revoked).Revoke(asking(t), invite.Invite); !errors.Is(err, stream.ErrRevoked) {
			t.Errorf("a revoked moderator: %v", err)
		}
		s.guests.mu.Lock()
		defer s.guests.mu.Unlock()
		if len(s.guests.revokers) > 0 || s.p.Stats().Moderated > 0 {
			t.Errorf("%d invites were taken back", len(s.guests.revokers))
		}
	})
}

func TestAModeratorIsToldThatNobodyAnswers(t *testing.T) {
	mesh(t, func(t *testing.T, net *p2ptest.Network, s *sealedCast) {
		sw := join(t, net, 2, net.Link(s.key.ID(), 1))
		m := sw.Moderate(appointed(t, s.key, stream.RoleModerator, time.Hour))
		if _, err := m.Invited(asking(t)); err != nil {
			t.Fatal(err)
		}
		s.guests.mu.Lock()
		s.guests.broken = true
		s.guests.mu.Unlock()
		began := time.Now()
		if _, err := m.Invited(asking(t)); !errors.Is(err, p2p.ErrUnanswered) || time.Since(began) > 21*time.Second {
			t.Errorf("of a broadcaster that cannot tell: %v after %v", err, time.Since(began))
		}
		if st := s.p.Stats(); st.Unanswered == 0 {
			t.Errorf("%+v, want moderations that were not answered", st)
		}
		// And there is nobody at all.
		alone := join(t, net, 3, stream.Link{Stream: s.key.ID(), Peers: []string{"/ip4/203.0.113.9/udp/1/quic-v1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"}})
		if _, err := alone.Moderate(s.key).Invited(asking(t)); !errors.Is(err, p2p.ErrUnanswered) {
			t.Errorf("of nobody: %v", err)
		}
	})
}

// Who keeps to the rules of gossip, and has no delegation that holds, or one of another role.
func TestForgedModerationsShutTheirSenderOut(t *testing.T) {
	for name, forge := range map[string]func(t *testing.T, master stream.Key) []byte{
		"of another stream's moderator": func(t *testing.T, _ stream.Key) []byte {
			return moderation(t, appointed(t, stream.NewKey(), stream.RoleModerator, time.Hour)).Bytes()
		},
		"of a moderator, changed": func(t *testing.T, master stream.Key) []byte {
			raw := slices.Clone(moderation(t, appointed(t, master, stream.RoleModerator, time.Hour)).Bytes())
			raw[10] ^= 1
			return raw
		},
		"an answer of a moderator": func(t *testing.T, master stream.Key) []byte {
			other := stream.NewKey()
			a, err := other.Answer(moderation(t, other), stream.ModerationAnswer{})
			if err != nil {
				t.Fatal(err)
			}
			return a.Bytes()
		},
	} {
		t.Run(name, func(t *testing.T) {
			mesh(t, func(t *testing.T, net *p2ptest.Network, s *sealedCast) {
				e := eavesdropOn(t, net, s, "-moderate")
				for range 20 {
					if err := e.send(forge(t, s.key)); err != nil {
						t.Error(err)
					}
					time.Sleep(200 * time.Millisecond)
				}
				st := net.Node(1).Swarms()[0].Stats()
				if n := st.ModerationsRefused; n < 3 || n > 6 {
					t.Errorf("%d of 20 forged moderations were read, want a few until their sender was shut out", n)
				}
				if host := net.Node(0).Swarms()[0].Stats(); host.ModerationsRefused+host.Moderations > 0 {
					t.Errorf("the relay passed on what was forged: %+v", host)
				}
			})
		})
	}
}

// moderation is one that asks who is invited, of now.
func moderation(t *testing.T, k stream.Key) *stream.SignedModeration {
	t.Helper()
	m, _, err := k.Moderate(stream.Moderation{Issued: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Whoever overhears a moderation takes nothing back by it that was not, and has nobody do anything:
// an invite that is made later under the same name is another one.
func TestAReplayedModerationChangesNothing(t *testing.T) {
	mesh(t, func(t *testing.T, net *p2ptest.Network, s *sealedCast) {
		e := eavesdropOn(t, net, s, "-moderate")
		invite := s.guests.invite(t, s.key, 1)
		m := join(t, net, 2, net.Link(s.key.ID(), 1)).Moderate(appointed(t, s.key, stream.RoleModerator, time.Hour))
		if _, err := m.Revoke(asking(t), invite.Invite); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		raw := e.first(t)
		before := net.Node(1).Swarms()[0].Stats()
		for range 3 { // while it is of this time, and when it is not
			time.Sleep(190 * time.Second) // gossipsub itself remembers for two to three minutes
			if err := e.send(raw); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Second)
		relay, host := net.Node(1).Swarms()[0].Stats(), s.p.Stats()
		if host.Moderated != 1 || relay.Moderations != before.Moderations {
			t.Errorf("%d moderations were answered, and the relay passed %d on", host.Moderated, relay.Moderations-before.Moderations)
		}
		if dropped, refused := relay.ModerationsDropped-before.ModerationsDropped, relay.ModerationsRefused-before.ModerationsRefused; dropped != 1 || refused != 2 || relay.Penalties > 0 {
			t.Errorf("the relay dropped %d, refused %d, with %d penalties; want one, two and none", dropped, refused, relay.Penalties)
		}
	})
}

// A moderator can have the broadcaster answer, but not keep everybody busy with it.
func TestAFloodOfModerationsIsBounded(t *testing.T) {
	mesh(t, func(t *testing.T, net *p2ptest.Network, s *sealedCast) {
		e := eavesdropOn(t, net, s, "-moderate")
		key := appointed(t, s.key, stream.RoleModerator, time.Hour)
		for range 250 {
			if err := e.send(moderation(t, key).Bytes()); err != nil {
				t.Error(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		relay, host := net.Node(1).Swarms()[0].Stats(), s.p.Stats()
		if relay.Moderations > 135 || relay.ModerationsDropped < 100 || host.Moderated > 135 {
			t.Errorf("the relay passed %d of 250 on, and dropped %d; %d were answered", relay.Moderations, relay.ModerationsDropped, host.Moderated)
		}
		// Another one comes through all the same.
		invite := s.guests.invite(t, s.key, 1)
		if _, err := join(t, net, 2, net.Link(s.key.ID(), 1)).Moderate(appointed(t, s.key, stream.RoleModerator, time.Hour)).Revoke(asking(t), invite.Invite); err != nil {
			t.Error(err)
		}
	})
}

// A moderator that was revoked, or whose delegation ended, may run a program that asks all the same.
func TestAModeratorThatIsNoneAnyMoreIsNotHeard(t *testing.T) {
	mesh(t, func(t *testing.T, net *p2ptest.Network, s *sealedCast) {
		e := eavesdropOn(t, net, s, "-moderate")
		revoked, ended := appointed(t, s.key, stream.RoleModerator, time.Hour), appointed(t, s.key, stream.RoleModerator, time.Second)
		if _, err := net.Node(0).Swarms()[0].Revoke(revoke(t, s.key, 1, revoked)); err != nil {
			t.Fatal(err)
		}
		late := moderation(t, ended)
		time.Sleep(stream.DelegationSkew - time.Second)
		if err := e.send(late.Bytes()); err != nil { // its delegation may still hold, by another clock
			t.Error(err)
		}
		time.Sleep(time.Second)
		before := s.p.Stats()
		if before.Moderated != 1 {
			t.Errorf("%+v, want one moderation answered", before)
		}
		time.Sleep(2 * time.Second)
		for _, m := range []*stream.SignedModeration{moderation(t, revoked), moderation(t, s.key)} {
			if err := e.send(m.Bytes()); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second)
		}
		relay := net.Node(1).Swarms()[0].Stats()
		if n := s.p.Stats().Moderated - before.Moderated; n != 1 || relay.ModerationsRefused != 1 || relay.Penalties > 0 {
			t.Errorf("%d were answered, %d refused, %d penalties; want that of the stream's own key, one and none", n, relay.ModerationsRefused, relay.Penalties)
		}
	})
}

func TestAModeratorWhoseClockIsWrongIsNotHeard(t *testing.T) {
	mesh(t, func(t *testing.T, net *p2ptest.Network, s *sealedCast) {
		sw := join(t, net, 2, net.Link(s.key.ID(), 1))
		for _, off := range []time.Duration{stream.DelegationSkew + time.Minute, -stream.DelegationSkew - time.Minute} {
			net.SetClock(2, off)
			if _, err := sw.Moderate(appointed(t, s.key, stream.RoleModerator, time.Hour)).Invited(asking(t)); !errors.Is(err, p2p.ErrUnanswered) {
				t.Errorf("%v off: %v", off, err)
			}
		}
		net.SetClock(2, stream.DelegationSkew-time.Minute)
		if _, err := sw.Moderate(appointed(t, s.key, stream.RoleModerator, time.Hour)).Invited(asking(t)); err != nil {
			t.Errorf("a little off: %v", err)
		}
	})
}
