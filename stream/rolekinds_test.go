package stream

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

// appointed returns a delegation of a role that holds for an hour before and after now.
func appointed(t testing.TB, to Key, role Role) *Delegation {
	t.Helper()
	now := time.Now()
	d, err := testKey.Delegate(to.ID(), role, now.Add(-time.Hour), now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// appoint returns another key that acts in a role for testKey's stream.
func appoint(t testing.TB, seed byte, role Role) Key {
	t.Helper()
	own := seededKey(seed)
	k, err := own.Under(appointed(t, own, role))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// usurp returns a key that signs whatever it is given, with a delegation of another role.
func usurp(t testing.TB, seed byte, role Role) Key {
	t.Helper()
	own := seededKey(seed)
	return Key{own.private, appointed(t, own, role)}
}

func TestRolesAreReadAsTheyAreWritten(t *testing.T) {
	for _, r := range []Role{RoleBroadcast, RoleModerator, RoleRelay} {
		if got, err := ParseRole(r.String()); err != nil || got != r {
			t.Errorf("%v is read as %v, %v", r, got, err)
		}
	}
	for _, s := range []string{"", "king", "role 1", "Broadcast"} {
		if _, err := ParseRole(s); !errors.Is(err, ErrBadDelegation) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// What a broadcaster signs is neither signed nor taken under a moderator's delegation.
func TestAModeratorDoesNoBroadcastersJob(t *testing.T) {
	now := time.Now()
	header := firstPart()
	header.ProgramTime, header.Epoch = now, uint64(now.UnixMilli())
	entry := Entry{Title: "x", Issued: now, Life: time.Minute}
	survey := Survey{Epoch: 1, Round: 1, Sampling: MaxSampling, Interval: time.Second}
	k := appoint(t, 2, RoleModerator)
	for name, sign := range map[string]func() error{
		"header":  func() error { _, err := k.sign(header); return err },
		"entry":   func() error { _, err := k.SignEntry(entry); return err },
		"survey":  func() error { _, err := k.SignSurvey(survey, NewSurveyKey(k.ID())); return err },
		"origins": func() error { _, err := k.SignOrigins([]string{"https://a.example"}); return err },
		"relays":  func() error { _, err := k.SignRelays([]Relay{{ID: "12D3KooWa"}}); return err },
		"invite":  func() error { _, err := k.NewInvite(now.Add(time.Hour), 1, false); return err },
		"answer": func() error {
			m, _, err := testKey.Moderate(Moderation{Issued: now})
			if err != nil {
				t.Fatal(err)
			}
			_, err = k.Answer(m, ModerationAnswer{})
			return err
		},
	} {
		if err := sign(); !errors.Is(err, ErrDelegationRole) {
			t.Errorf("a moderator signs a %s: %v", name, err)
		}
	}
	// Who signs it all the same, by another program, is not heard.
	broadcasts, moderates := usurp(t, 2, RoleBroadcast), usurp(t, 2, RoleModerator)
	swap := func(raw []byte) []byte {
		body, _, _, err := parseSigned(raw)
		if err != nil {
			t.Fatal(err)
		}
		return marshalSigned(body, moderates.signMessage(body), delegationOf(moderates.by))
	}
	h, err := broadcasts.sign(header)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenHeader(testKey.ID(), swap(h.Bytes())); !errors.Is(err, ErrForged) || !errors.Is(err, ErrDelegationRole) {
		t.Errorf("a moderator's header: %v", err)
	}
	e, err := broadcasts.SignEntry(entry)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenEntry(swap(e.Bytes()), now); !errors.Is(err, ErrForgedEntry) || !errors.Is(err, ErrDelegationRole) {
		t.Errorf("a moderator's entry: %v", err)
	}
	s, err := broadcasts.SignSurvey(survey, NewSurveyKey(k.ID()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSurvey(testKey.ID(), swap(s.Bytes())); !errors.Is(err, ErrForgedSurvey) || !errors.Is(err, ErrDelegationRole) {
		t.Errorf("a moderator's survey: %v", err)
	}
	i, err := broadcasts.NewInvite(now.Add(time.Hour), 1, false)
	if err != nil {
		t.Fatal(err)
	}
	i.by = moderates.by
	i.signature = moderates.signMessage(i.message())
	if _, err := ParseInvite(testKey.ID(), i.String()); !errors.Is(err, ErrInviteForged) {
		t.Errorf("a moderator's invite: %v", err)
	}
	list := []Relay{{ID: "12D3KooWa"}}
	link := Link{Stream: testKey.ID(), Relays: Relays{list, moderates.signMessage(relaysMessage(testKey.ID(), list)), moderates.by}}
	if _, err := ParseLink(link.String()); !errors.Is(err, ErrDelegationRole) {
		t.Errorf("a moderator's link: %v", err)
	}
}

// A relay signs nothing, and nothing that its key signs with the delegation is taken.
func TestARelaySignsNothing(t *testing.T) {
	own := seededKey(2)
	if _, err := own.Under(appointed(t, own, RoleRelay)); !errors.Is(err, ErrDelegationRole) {
		t.Errorf("a relay's key acts for the stream: %v", err)
	}
	k := usurp(t, 2, RoleRelay)
	body := signedBody(t)
	if _, err := OpenHeader(testKey.ID(), marshalSigned(body, k.signMessage(signedMessage(testKey.ID(), body)), delegationOf(k.by))); !errors.Is(err, ErrForged) {
		t.Errorf("a relay's header: %v", err)
	}
}

// signedBody returns a header of now that is good but for who signs it.
func signedBody(t testing.TB) []byte {
	t.Helper()
	h := firstPart()
	h.Stream, h.ProgramTime, h.Epoch = testKey.ID(), time.Now(), uint64(time.Now().UnixMilli())
	return h.marshal()
}

func TestLinksCarryRelaysDelegations(t *testing.T) {
	word := appointed(t, seededKey(5), RoleRelay)
	for name, k := range map[string]Key{"the stream's key": testKey, "a broadcaster": appoint(t, 2, RoleBroadcast)} {
		relays, err := k.SignRelays([]Relay{{Word: word}, {ID: "12D3KooWa"}})
		if err != nil {
			t.Fatal(err)
		}
		link := Link{Stream: testKey.ID(), Peers: []string{"/ip4/203.0.113.9/tcp/4001"}, Relays: relays}.String()
		back, err := ParseLink(link)
		if err != nil || back.String() != link {
			t.Fatalf("%s: %s reads back as %s, %v", name, link, back, err)
		}
		if got := back.Relays.List(); len(got) != 2 || !reflect.DeepEqual(got[0].Word, word) || got[0].ID != "" || got[1] != (Relay{ID: "12D3KooWa"}) {
			t.Errorf("%s: relays %+v", name, got)
		}
		// Whoever passes the link on can neither leave the delegation out nor put another in.
		longer, err := testKey.Delegate(word.Delegate, RoleRelay, word.NotBefore, word.NotAfter.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		for what, text := range map[string]string{
			"another delegation":  strings.Replace(link, relays.List()[0].String(), Relay{Word: longer}.String(), 1),
			"a peer ID instead":   strings.Replace(link, relays.List()[0].String(), "12D3KooWb", 1),
			"one without its end": strings.Replace(link, "relay="+relays.List()[0].String()+"&", "", 1),
		} {
			if _, err := ParseLink(text); text == link || !errors.Is(err, ErrRelaysForged) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
	}
}

func TestOnlyTheStreamsKeyMakesTrustedRelays(t *testing.T) {
	own := seededKey(4)
	foreign, err := own.Delegate(seededKey(5).ID(), RoleRelay, time.Now(), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := testKey.SignRelays([]Relay{{Word: foreign}}); !errors.Is(err, ErrNotARelay) {
		t.Errorf("another stream's delegation is signed: %v", err)
	}
	if _, err := testKey.SignRelays([]Relay{{Word: appointed(t, seededKey(5), RoleBroadcast)}}); !errors.Is(err, ErrRelaysForged) || !errors.Is(err, ErrDelegationRole) {
		t.Errorf("a broadcaster's delegation is signed as a relay's: %v", err)
	}
	for name, word := range map[string]*Delegation{
		"of another stream": foreign,
		"of a broadcaster":  appointed(t, seededKey(5), RoleBroadcast),
		"of a moderator":    appointed(t, seededKey(5), RoleModerator),
	} {
		list := []Relay{{Word: word}}
		link := Link{Stream: testKey.ID(), Relays: Relays{list: list, signature: testKey.signMessage(relaysMessage(testKey.ID(), list))}}
		if _, err := ParseLink(link.String()); !errors.Is(err, ErrRelaysForged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := OpenRelays(testKey.ID(), []string{strings.Repeat("A", 200)}, "", nil); !errors.Is(err, ErrNotARelay) {
		t.Errorf("nonsense: %v", err)
	}
}
