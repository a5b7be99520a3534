package main

import (
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
)

// guestbook returns the guests of a fresh home, as the broadcaster and as the invite command
// have them.
func guestbook(t *testing.T) (broadcaster *guests, command invites) {
	t.Helper()
	h, err := openHome(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	key := stream.NewKey()
	scr := newScreen(&environment{stdout: os.Stderr, stderr: os.Stderr}, true)
	return newGuests(h, key.ID()), invites{h, key, newGuests(h, key.ID()), scr}
}

// invitedBy returns the ID of the invite of a name.
func invitedBy(t *testing.T, g *guests, name string) stream.InviteID {
	t.Helper()
	file, err := g.read()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range file.Invites {
		if i.Name == name {
			id, err := stream.ParseInviteID(i.Invite)
			if err != nil {
				t.Fatal(err)
			}
			return id
		}
	}
	t.Fatalf("there is no invite %s", name)
	return stream.InviteID{}
}

func enrol(t *testing.T, g *guests, invite stream.InviteID, viewer byte, now time.Time) stream.Refusal {
	t.Helper()
	r, err := g.Enrol([]p2p.Enrolling{{Invite: invite, Viewer: stream.ViewerID{viewer}}}, now)
	if err != nil {
		t.Fatal(err)
	}
	return r[0]
}

func TestABroadcasterFollowsTheInviteCommand(t *testing.T) {
	b, c := guestbook(t)
	now := time.Now()
	viewers := func(want int) {
		t.Helper()
		if v, err := b.Viewers(now); err != nil || len(v) != want {
			t.Errorf("%d viewers, %v; want %d", len(v), err, want)
		}
	}
	viewers(0)
	if err := c.create("guest", time.Hour, 1); err != nil {
		t.Fatal(err)
	}
	if err := c.create("crowd", time.Hour, 2); err != nil {
		t.Fatal(err)
	}
	guest, crowd := invitedBy(t, b, "guest"), invitedBy(t, b, "crowd")
	for _, step := range []struct {
		invite stream.InviteID
		viewer byte
		want   stream.Refusal
	}{
		{guest, 1, 0}, {guest, 1, 0}, {guest, 2, stream.RefusedUsed}, {guest, 1, 0},
		{crowd, 2, 0}, {crowd, 3, 0}, {crowd, 4, stream.RefusedUsed}, {crowd, 1, stream.RefusedUsed},
		{stream.InviteID{9}, 5, stream.RefusedUnknown},
	} {
		if got := enrol(t, b, step.invite, step.viewer, now); got != step.want {
			t.Errorf("viewer %d: %d, want %d", step.viewer, got, step.want)
		}
	}
	viewers(3)
	// What was counted outlives the process.
	if got := enrol(t, newGuests(b.home, b.id), guest, 2, now); got != stream.RefusedUsed {
		t.Errorf("after a restart: %d", got)
	}
	if err := c.revoke("crowd"); err != nil {
		t.Fatal(err)
	}
	viewers(1)
	if got := enrol(t, b, crowd, 2, now); got != stream.RefusedRevoked {
		t.Errorf("by an invite that was taken back: %d", got)
	}
	now = now.Add(2 * time.Hour)
	viewers(0)
	if got := enrol(t, b, guest, 1, now); got != stream.RefusedExpired {
		t.Errorf("by an invite that has expired: %d", got)
	}
}

func TestAStreamHasSoManyViewers(t *testing.T) {
	b, c := guestbook(t)
	b.limit = 2
	if err := c.create("crowd", time.Hour, 5); err != nil {
		t.Fatal(err)
	}
	crowd := invitedBy(t, b, "crowd")
	for viewer, want := range []stream.Refusal{0, 0, stream.RefusedFull} {
		if got := enrol(t, b, crowd, byte(viewer+1), time.Now()); got != want {
			t.Errorf("viewer %d: %d, want %d", viewer, got, want)
		}
	}
}

// Broadcaster and command change the file at the same time, and neither loses what the other did.
func TestNoChangeOfTheGuestsIsLost(t *testing.T) {
	b, c := guestbook(t)
	if err := c.create("crowd", time.Hour, 100); err != nil {
		t.Fatal(err)
	}
	crowd := invitedBy(t, b, "crowd")
	var running sync.WaitGroup
	running.Go(func() {
		for i := range 20 {
			enrol(t, b, crowd, byte(i+1), time.Now())
		}
	})
	for i := range 20 {
		if err := c.create("guest-"+string(rune('a'+i)), time.Hour, 1); err != nil {
			t.Error(err)
		}
	}
	running.Wait()
	file, err := newGuests(b.home, b.id).read()
	if err != nil || len(file.Invites) != 21 || len(file.Invites[0].Viewers) != 20 {
		t.Errorf("%d invites, %d viewers, %v", len(file.Invites), len(file.Invites[0].Viewers), err)
	}
}

func TestAFileThatHoldsNoInvitesIsRefused(t *testing.T) {
	b, _ := guestbook(t)
	if err := b.home.replace([]byte("{"), b.name()); err != nil {
		t.Fatal(err)
	}
	var broken *damagedError
	if _, err := b.Viewers(time.Now()); !errors.As(err, &broken) {
		t.Errorf("error %v", err)
	}
}

func TestAModeratorTakesInvitesBackByTheirKeys(t *testing.T) {
	b, c := guestbook(t)
	now := time.Now()
	for _, name := range []string{"one", "two", "three"} {
		if err := c.create(name, time.Hour, 2); err != nil {
			t.Fatal(err)
		}
	}
	two, moderator := invitedBy(t, b, "two"), stream.NewKey().ID()
	enrol(t, b, two, 1, now)
	list, total, err := b.Invited(1, 1, now)
	if err != nil || total != 3 || len(list) != 1 || list[0].Name != "two" || list[0].Invite != two || list[0].Viewers != 1 || list[0].Uses != 2 || list[0].State != 0 {
		t.Fatalf("%+v of %d, %v", list, total, err)
	}
	if list, total, err := b.Invited(7, 5, now); err != nil || total != 3 || len(list) != 0 {
		t.Errorf("behind the end are %+v of %d, %v", list, total, err)
	}
	v, changed, err := b.Revoke(two, moderator, now)
	if err != nil || !changed || v.State != stream.RefusedRevoked {
		t.Fatalf("taken back: %+v, %t, %v", v, changed, err)
	}
	if viewers, err := b.Viewers(now); err != nil || len(viewers) != 0 {
		t.Errorf("viewers %v, %v", viewers, err)
	}
	if _, changed, err := b.Revoke(two, stream.NewKey().ID(), now); err != nil || changed {
		t.Errorf("once more: %t, %v", changed, err)
	}
	file, err := c.guests.read()
	if err != nil || file.Invites[1].RevokedBy == nil || *file.Invites[1].RevokedBy != moderator || file.Invites[0].Revoked != nil {
		t.Errorf("the file has %+v, %v", file.Invites[1], err)
	}
	// The name is free for another invite, which who replays that does not touch.
	if err := c.create("two", time.Hour, 1); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Revoke(two, moderator, now); !errors.Is(err, p2p.ErrNoInvite) {
		t.Errorf("of an invite that is gone: %v", err)
	}
	if list, _, err := b.Invited(2, 1, now); err != nil || list[0].Name != "two" || list[0].State != 0 {
		t.Errorf("the other one: %+v, %v", list, err)
	}
}
