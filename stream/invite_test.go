package stream

import (
	"bytes"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream/wire"
)

func invited(t testing.TB, uses int, confined bool) *Invite {
	t.Helper()
	i, err := testKey.NewInvite(time.Unix(1_800_000_000, 0), uses, confined)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestInvitesTravelInLinks(t *testing.T) {
	relays, err := testKey.SignRelays([]Relay{{ID: "12D3KooWa"}, {ID: "12D3KooWb"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, confined := range []bool{false, true} {
		link := Link{Stream: testKey.ID(), Peers: []string{"/ip4/203.0.113.9/tcp/4001"}, Relays: relays, Invite: invited(t, 3, confined)}
		back, err := ParseLink(link.String())
		if err != nil || back.String() != link.String() {
			t.Fatalf("%s reads back as %s, %v", link, back, err)
		}
		i := back.Invite
		if i.Invite != link.Invite.Invite || i.Uses != 3 || i.Confined != confined || !i.Expires.Equal(link.Invite.Expires) || i.enrol != link.Invite.enrol {
			t.Errorf("invite %+v, want %+v", i.Grant, link.Invite.Grant)
		}
		if !slices.Equal(back.Relays.List(), relays.List()) {
			t.Errorf("relays %v", back.Relays.List())
		}
		without := link
		without.Relays = Relays{}
		if _, err := ParseLink(without.String()); errors.Is(err, ErrNoRelays) != confined {
			t.Errorf("without its relays, confined %t: %v", confined, err)
		}
	}
}

func TestLinksCarryTheRelaysThatTheBroadcasterSigned(t *testing.T) {
	relays, err := testKey.SignRelays([]Relay{{ID: "12D3KooWa"}, {ID: "12D3KooWb"}})
	if err != nil {
		t.Fatal(err)
	}
	link := Link{Stream: testKey.ID(), Relays: relays}.String()
	for name, text := range map[string]string{
		"another relay":  strings.Replace(link, "KooWa", "KooWc", 1),
		"one left out":   strings.Replace(link, "relay=12D3KooWa&", "", 1),
		"one more":       strings.Replace(link, "?", "?relay=12D3KooWc&", 1),
		"no signature":   strings.Split(link, "&trusted=")[0],
		"another stream": strings.Replace(link, testKey.ID().String(), seededKey(2).ID().String(), 1),
	} {
		if _, err := ParseLink(text); text == link || !errors.Is(err, ErrRelaysForged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := testKey.SignRelays(slices.Repeat([]Relay{{ID: "a"}}, MaxRelays+1)); !errors.Is(err, ErrNotARelay) {
		t.Errorf("too many: %v", err)
	}
	if _, err := testKey.SignRelays([]Relay{{ID: "a\nb"}}); !errors.Is(err, ErrNotARelay) {
		t.Errorf("two in one: %v", err)
	}
}

func TestForgedInvitesAreRefused(t *testing.T) {
	i := invited(t, 1, false)
	other, err := seededKey(2).NewInvite(i.Expires, 1, false)
	if err != nil {
		t.Fatal(err)
	}
	longer, more, open := *i, *i, *i
	longer.Expires = longer.Expires.Add(time.Hour)
	more.Uses = 100
	open.Confined = true
	stolen := *i
	stolen.secret = other.secret
	elsewhere := *i
	elsewhere.enrol = other.enrol
	for name, text := range map[string]string{
		"of another broadcaster": other.String(),
		"for longer":             longer.String(),
		"for more viewers":       more.String(),
		"with other flags":       open.String(),
		"with another secret":    stolen.String(),
		"to another's key":       elsewhere.String(),
	} {
		if _, err := ParseInvite(testKey.ID(), text); !errors.Is(err, ErrInviteForged) {
			t.Errorf("%s: %v, want ErrInviteForged", name, err)
		}
	}
	for name, text := range map[string]string{
		"nothing":      "",
		"cut":          i.String()[:len(i.String())/2],
		"no base64url": i.String() + "!",
		"too long":     i.String() + strings.Repeat("A", 400),
	} {
		if _, err := ParseInvite(testKey.ID(), text); !errors.Is(err, ErrBadInvite) {
			t.Errorf("%s: %v, want ErrBadInvite", name, err)
		}
	}
	for _, uses := range []int{0, -1, MaxViewers + 1} {
		if _, err := testKey.NewInvite(i.Expires, uses, false); !errors.Is(err, ErrBadInvite) {
			t.Errorf("an invite for %d viewers: %v", uses, err)
		}
	}
}

func TestEnrolmentsReachTheBroadcasterAlone(t *testing.T) {
	i := invited(t, 1, false)
	viewer := NewViewerSeed().Key(testKey.ID()).ID()
	raw, err := i.Enrol(viewer)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(raw, viewer[:]) {
		t.Error("everybody can read who enrols")
	}
	e, err := OpenEnrolment(testKey.ID(), raw)
	if err != nil || e.Invite != i.Invite {
		t.Fatalf("%+v, %v", e, err)
	}
	if got, err := testKey.OpenEnrolled(e); err != nil || got != viewer {
		t.Errorf("the broadcaster reads %v, %v", got, err)
	}
	if _, err := seededKey(2).OpenEnrolled(e); !errors.Is(err, ErrBadEnrolment) {
		t.Errorf("another reads it: %v", err)
	}
	if again, err := i.Enrol(viewer); err != nil || bytes.Equal(raw, again) {
		t.Errorf("sent again, gossip would not pass it on: %v", err)
	}
	if len(raw) > MaxEnrolment {
		t.Errorf("%d bytes", len(raw))
	}
}

func TestForgedEnrolmentsAreRefused(t *testing.T) {
	i, other := invited(t, 1, false), invited(t, 1, false)
	viewer := NewViewerSeed().Key(testKey.ID()).ID()
	raw, err := i.Enrol(viewer)
	if err != nil {
		t.Fatal(err)
	}
	fields := make(map[int][]byte)
	if err := wire.Fields(raw, func(n int, _ uint64, v []byte) { fields[n] = v }); err != nil {
		t.Fatal(err)
	}
	otherRaw, err := other.Enrol(viewer)
	if err != nil {
		t.Fatal(err)
	}
	otherFields := make(map[int][]byte)
	if err := wire.Fields(otherRaw, func(n int, _ uint64, v []byte) { otherFields[n] = v }); err != nil {
		t.Fatal(err)
	}
	foreign, err := seededKey(2).NewInvite(i.Expires, 1, false)
	if err != nil {
		t.Fatal(err)
	}
	foreignRaw, err := foreign.Enrol(viewer)
	if err != nil {
		t.Fatal(err)
	}
	flipped := func(b []byte) []byte { b = slices.Clone(b); b[len(b)-1] ^= 1; return b }
	for name, c := range map[string]struct {
		raw  []byte
		want error
	}{
		"another's content":  {marshalEnrolment(fields[1], otherFields[2], fields[3]), ErrEnrolmentForged},
		"another's invite":   {marshalEnrolment(otherFields[1], fields[2], fields[3]), ErrEnrolmentForged},
		"its signature":      {marshalEnrolment(fields[1], fields[2], flipped(fields[3])), ErrEnrolmentForged},
		"its content":        {marshalEnrolment(fields[1], flipped(fields[2]), fields[3]), ErrEnrolmentForged},
		"its grant":          {marshalEnrolment(flipped(fields[1]), fields[2], fields[3]), ErrInviteForged},
		"of another stream":  {foreignRaw, ErrInviteForged},
		"a field more":       {wire.AppendUint(slices.Clone(raw), 9, 1), ErrBadEnrolment},
		"a grant with more":  {marshalEnrolment(wire.AppendUint(slices.Clone(fields[1]), 20, 1), fields[2], fields[3]), ErrBadEnrolment},
		"cut":                {raw[:len(raw)-1], ErrBadEnrolment},
		"nothing":            {nil, ErrBadEnrolment},
		"more than may be":   {make([]byte, MaxEnrolment+1), ErrBadEnrolment},
		"a signature of 63":  {marshalEnrolment(fields[1], fields[2], fields[3][1:]), ErrBadEnrolment},
		"a content of a key": {marshalEnrolment(fields[1], viewer[:], fields[3]), ErrBadEnrolment},
	} {
		if _, err := OpenEnrolment(testKey.ID(), c.raw); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	// A key of low order would give everybody the same secret.
	low, err := i.Enrol(ViewerID{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := OpenEnrolment(testKey.ID(), low)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := testKey.OpenEnrolled(e); !errors.Is(err, ErrBadEnrolment) {
		t.Errorf("a key of zeros: %v", err)
	}
}

func FuzzParseInvite(f *testing.F) {
	for _, confined := range []bool{false, true} {
		raw, err := base64.RawURLEncoding.DecodeString(invited(f, 2, confined).String())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		i, err := ParseInvite(testKey.ID(), base64.RawURLEncoding.EncodeToString(raw))
		if err != nil {
			if !errors.Is(err, ErrBadInvite) && !errors.Is(err, ErrInviteForged) {
				t.Fatalf("error %v wraps neither ErrBadInvite nor ErrInviteForged", err)
			}
			return
		}
		if again, err := ParseInvite(testKey.ID(), i.String()); err != nil || again.Invite != i.Invite {
			t.Fatalf("not stable: %v", err)
		}
	})
}

func FuzzOpenEnrolment(f *testing.F) {
	raw, err := invited(f, 2, false).Enrol(NewViewerSeed().Key(testKey.ID()).ID())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(raw[:40])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := OpenEnrolment(testKey.ID(), b)
		if err != nil {
			for _, want := range []error{ErrBadEnrolment, ErrBadInvite, ErrInviteForged, ErrEnrolmentForged} {
				if errors.Is(err, want) {
					return
				}
			}
			t.Fatalf("error %v is none of those that are documented", err)
		}
		if e.Stream != testKey.ID() || e.Uses < 1 || e.Uses > MaxViewers {
			t.Fatalf("an enrolment by %+v", e.Grant)
		}
		for i := range b {
			changed := slices.Clone(b)
			changed[i] ^= 1
			if _, err := OpenEnrolment(testKey.ID(), changed); err == nil {
				t.Fatalf("with byte %d changed it opens, too", i)
			}
		}
	})
}
