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
