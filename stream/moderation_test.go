package stream

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream/wire"
)

// moderated returns a moderation that takes an invite back, and what opens its answer.
func moderated(t testing.TB, k Key) (*SignedModeration, *ModeratorKey) {
	t.Helper()
	m, key, err := k.Moderate(Moderation{Issued: time.Now(), Revoke: InviteID{1, 2}})
	if err != nil {
		t.Fatal(err)
	}
	return m, key
}

// answered is an answer as large as there may be.
func answered() ModerationAnswer {
	a := ModerationAnswer{Total: MaxViewers}
	for i := range MaxInvited {
		a.Invited = append(a.Invited, Invited{
			Invite: InviteID{1, byte(i)}, Name: fmt.Sprintf("%02d%s", i, strings.Repeat("é", MaxInvitedName/2-1)), State: Refusal(i % 3),
			Expires: time.Unix(maxInviteTime, 0).UTC(), Uses: MaxViewers, Viewers: i,
		})
	}
	return a
}

func TestModerationsAreAskedAndAnswered(t *testing.T) {
	for name, k := range map[string]Key{"a moderator": appoint(t, 3, RoleModerator), "the stream's key": testKey} {
		asked, key := moderated(t, k)
		m, err := NewRoles(testKey.ID()).OpenModeration(asked.Bytes())
		if err != nil || !reflect.DeepEqual(m, asked) || len(asked.Bytes()) > MaxModeration {
			t.Fatalf("%s: %+v of %d bytes is read as %+v, %v", name, asked, len(asked.Bytes()), m, err)
		}
		if (m.Delegation() != nil) != (name == "a moderator") || m.Asks() || m.OfTime(time.Now()) != nil {
			t.Errorf("%s: %+v", name, m)
		}
		if (m.Moderator() == seededKey(3).ID()) != (name == "a moderator") {
			t.Errorf("%s is %v", name, m.Moderator())
		}
		for by, b := range map[string]Key{"a broadcaster": appoint(t, 2, RoleBroadcast), "the stream's key": testKey} {
			want := answered()
			sealed, err := b.Answer(m, want)
			if err != nil || len(sealed.Bytes()) > MaxModerationAnswer || bytes.Contains(sealed.Bytes(), []byte("éé")) {
				t.Fatalf("%s answers with %d bytes, %v", by, len(sealed.Bytes()), err)
			}
			a, err := NewRoles(testKey.ID()).OpenModerationAnswer(sealed.Bytes())
			if err != nil || a.Of != asked.ID() || !IsModerationAnswer(sealed.Bytes()) || IsModerationAnswer(asked.Bytes()) {
				t.Fatalf("the answer is read as %+v, %v", a, err)
			}
			if got, err := key.Open(asked, a); err != nil || !reflect.DeepEqual(*got, want) {
				t.Errorf("the answer is %+v, %v", got, err)
			}
			other, stranger := moderated(t, k)
			if _, err := stranger.Open(asked, a); !errors.Is(err, ErrBadModeration) {
				t.Errorf("a stranger opens it: %v", err)
			}
			if _, err := key.Open(other, a); !errors.Is(err, ErrBadModeration) {
				t.Errorf("it answers something else: %v", err)
			}
		}
	}
}

func TestABroadcastersDelegationModeratesNothing(t *testing.T) {
	if _, _, err := appoint(t, 2, RoleBroadcast).Moderate(Moderation{Issued: time.Now()}); !errors.Is(err, ErrDelegationRole) {
		t.Errorf("a broadcaster moderates: %v", err)
	}
	m, _ := moderated(t, appoint(t, 2, RoleModerator))
	for _, role := range []Role{RoleBroadcast, RoleRelay} {
		k := usurp(t, 2, role)
		raw := marshalSigned(m.body(), k.signMessage(m.message()), delegationOf(k.by))
		if _, err := OpenModeration(testKey.ID(), raw); !errors.Is(err, ErrModerationForged) || !errors.Is(err, ErrDelegationRole) {
			t.Errorf("what a %v signed is a moderation: %v", role, err)
		}
	}
	// And a moderator answers none.
	a, err := appoint(t, 2, RoleBroadcast).Answer(m, ModerationAnswer{})
	if err != nil {
		t.Fatal(err)
	}
	k := usurp(t, 2, RoleModerator)
	if _, err := OpenModerationAnswer(testKey.ID(), a.marshal(k.signMessage(a.message()), delegationOf(k.by))); !errors.Is(err, ErrModerationForged) {
		t.Errorf("a moderator's answer: %v", err)
	}
}

func TestForgedModerationsAreRefused(t *testing.T) {
	k := appoint(t, 2, RoleModerator)
	m, _ := moderated(t, k)
	raw := m.Bytes()
	a, err := testKey.Answer(m, ModerationAnswer{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		b := bytes.Clone(raw)
		b[i] ^= 1
		if _, err := OpenModeration(testKey.ID(), b); !errors.Is(err, ErrBadModeration) && !errors.Is(err, ErrModerationForged) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	for i := range a.Bytes() {
		b := bytes.Clone(a.Bytes())
		b[i] ^= 1
		if _, err := OpenModerationAnswer(testKey.ID(), b); !errors.Is(err, ErrBadModeration) && !errors.Is(err, ErrModerationForged) {
			t.Errorf("byte %d of the answer changed: %v", i, err)
		}
	}
	if _, err := OpenModeration(seededKey(9).ID(), raw); !errors.Is(err, ErrModerationForged) {
		t.Errorf("of another stream: %v", err)
	}
	// Without its delegation, or with another of the same key, it is nobody's.
	body, signature, _, err := parseSigned(raw)
	if err != nil {
		t.Fatal(err)
	}
	longer, err := testKey.Delegate(k.by.Delegate, RoleModerator, k.by.NotBefore, k.by.NotAfter.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for name, by := range map[string][]byte{"no": nil, "another": longer.raw} {
		if _, err := OpenModeration(testKey.ID(), marshalSigned(body, signature, by)); !errors.Is(err, ErrModerationForged) {
			t.Errorf("with %s delegation: %v", name, err)
		}
	}
	// What is signed for one purpose is nothing else.
	if _, err := OpenModeration(testKey.ID(), marshalSigned(body, testKey.signMessage(body), nil)); !errors.Is(err, ErrModerationForged) {
		t.Errorf("without its context: %v", err)
	}
}

func TestModerationsHaveTheirTime(t *testing.T) {
	m, _ := moderated(t, testKey)
	for d, ok := range map[time.Duration]bool{0: true, DelegationSkew: true, -DelegationSkew: true, DelegationSkew + time.Second: false, -DelegationSkew - time.Second: false} {
		if err := m.OfTime(m.Issued.Add(d)); (err == nil) != ok || err != nil && !errors.Is(err, ErrModerationTime) {
			t.Errorf("%v later: %v", d, err)
		}
	}
	own := seededKey(2)
	d, err := testKey.Delegate(own.ID(), RoleModerator, time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	k, err := own.Under(d)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := k.Moderate(Moderation{Issued: time.Now()}); !errors.Is(err, ErrDelegationTime) {
		t.Errorf("a delegation that ended: %v", err)
	}
}

func TestBadModerationsAreNeitherSignedNorOpened(t *testing.T) {
	now := time.Now()
	for name, m := range map[string]Moderation{
		"no time":           {Issued: time.UnixMilli(0)},
		"after 9999":        {Issued: time.UnixMilli(maxModerationTime + 1)},
		"from before all":   {Issued: now, From: -1},
		"from after all":    {Issued: now, From: MaxViewers + 1},
		"two things at one": {Issued: now, From: 1, Revoke: InviteID{1}},
	} {
		if _, _, err := testKey.Moderate(m); !errors.Is(err, ErrBadModeration) {
			t.Errorf("%s is signed: %v", name, err)
		}
	}
	m, _ := moderated(t, testKey)
	good := answered().Invited[0]
	for name, change := range map[string]func(a *ModerationAnswer, v *Invited){
		"another refusal": func(a *ModerationAnswer, _ *Invited) { a.Refusal = RefusedUsed },
		"too many":        func(a *ModerationAnswer, _ *Invited) { a.Total = MaxViewers + 1 },
		"more than one answer has": func(a *ModerationAnswer, _ *Invited) {
			a.Invited = make([]Invited, MaxInvited+1)
		},
		"no name":       func(_ *ModerationAnswer, v *Invited) { v.Name = "" },
		"a long name":   func(_ *ModerationAnswer, v *Invited) { v.Name = strings.Repeat("x", MaxInvitedName+1) },
		"two lines":     func(_ *ModerationAnswer, v *Invited) { v.Name = "a\nb" },
		"no text":       func(_ *ModerationAnswer, v *Invited) { v.Name = "\xff" },
		"no key":        func(_ *ModerationAnswer, v *Invited) { v.Invite = InviteID{} },
		"a state":       func(_ *ModerationAnswer, v *Invited) { v.State = RefusedFull },
		"before 1970":   func(_ *ModerationAnswer, v *Invited) { v.Expires = time.Unix(-1, 0) },
		"for nobody":    func(_ *ModerationAnswer, v *Invited) { v.Uses = 0 },
		"more than may": func(_ *ModerationAnswer, v *Invited) { v.Viewers = v.Uses + 1 },
	} {
		a := ModerationAnswer{Total: 1, Invited: []Invited{good}}
		change(&a, &a.Invited[0])
		if _, err := testKey.Answer(m, a); !errors.Is(err, ErrBadModeration) {
			t.Errorf("%s is signed: %v", name, err)
		}
		body := a.marshal()
		plain := append([]byte{byte(len(body) >> 8), byte(len(body))}, body...)
		if _, err := parseAnswer(plain); name != "before 1970" && !errors.Is(err, ErrBadModeration) { // which would wrap
			t.Errorf("%s is read: %v", name, err)
		}
	}
	if _, err := seededKey(2).Answer(m, ModerationAnswer{}); !errors.Is(err, ErrBadModeration) {
		t.Errorf("another stream's is answered: %v", err)
	}
}

func FuzzOpenModeration(f *testing.F) {
	id := testKey.ID()
	m, _ := moderated(f, appoint(f, 2, RoleModerator))
	list, _, err := testKey.Moderate(Moderation{Issued: time.UnixMilli(1), From: 64})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(m.Bytes())
	f.Add(list.Bytes())
	f.Add(list.body())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := OpenModeration(id, raw)
		if err != nil {
			if !errors.Is(err, ErrBadModeration) && !errors.Is(err, ErrModerationForged) {
				t.Errorf("error %v wraps neither ErrBadModeration nor ErrModerationForged", err)
			}
			// Signed, the rest of it is read, too.
			raw = marshalSigned(raw, testKey.signMessage(append(append([]byte(moderationContext), id[:]...), raw...)), nil)
			if m, err = OpenModeration(id, raw); err != nil {
				return
			}
		}
		if again, err := OpenModeration(id, m.Bytes()); err != nil || !reflect.DeepEqual(again, m) || m.validate() != nil || !bytes.Equal(m.raw, raw) {
			t.Errorf("%+v reads back as %+v, %v", m, again, err)
		}
	})
}

func FuzzOpenModerationAnswer(f *testing.F) {
	id := testKey.ID()
	m, _ := moderated(f, testKey)
	a, err := appoint(f, 2, RoleBroadcast).Answer(m, ModerationAnswer{Total: 1, Invited: answered().Invited[:1]})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(a.Bytes())
	f.Add(a.body())
	f.Add(a.Bytes()[:60])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := OpenModerationAnswer(id, raw)
		if err != nil {
			if !errors.Is(err, ErrBadModeration) && !errors.Is(err, ErrModerationForged) {
				t.Errorf("error %v wraps neither ErrBadModeration nor ErrModerationForged", err)
			}
			signed := wire.AppendBytes(nil, fieldSignedAnswer, raw)
			signed = wire.AppendBytes(signed, fieldAnswerSignature, testKey.signMessage(append(append([]byte(answerContext), id[:]...), raw...)))
			if a, err = OpenModerationAnswer(id, signed); err != nil {
				return
			}
			raw = signed
		}
		if again, err := OpenModerationAnswer(id, a.Bytes()); err != nil || !reflect.DeepEqual(again, a) || !bytes.Equal(a.raw, raw) {
			t.Errorf("%+v reads back as %+v, %v", a, again, err)
		}
	})
}

// FuzzParseAnswer reads what the broadcaster sealed to a moderator.
func FuzzParseAnswer(f *testing.F) {
	full := answered()
	for _, a := range []ModerationAnswer{full, {}, {Refusal: RefusedUnknown}, {Total: 1, Invited: full.Invited[:1]}} {
		f.Add(a.marshal())
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > maxAnswerPlain-2 {
			return
		}
		a, err := parseAnswer(append([]byte{byte(len(body) >> 8), byte(len(body))}, body...))
		if err != nil {
			if !errors.Is(err, ErrBadModeration) {
				t.Errorf("error %v does not wrap ErrBadModeration", err)
			}
			return
		}
		again := a.marshal()
		b, err := parseAnswer(append([]byte{byte(len(again) >> 8), byte(len(again))}, again...))
		if err != nil || !reflect.DeepEqual(a, b) {
			t.Errorf("%+v reads back as %+v, %v", a, b, err)
		}
	})
}

// TestModerationVector is for other implementations. The moderator's seed is 32 times the byte 2,
// the stream's that of the headers' vectors' key, and the answer's key 32 times the byte 7.
func TestModerationVector(t *testing.T) {
	own := seededKey(2)
	d, err := testKey.Delegate(own.ID(), RoleModerator, delegationBegins, delegationBegins.Add(30*24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	k, err := own.Under(d)
	if err != nil {
		t.Fatal(err)
	}
	m := &SignedModeration{Moderation: Moderation{Issued: time.UnixMilli(1_900_000_000_123), Revoke: InviteID(bytes.Repeat([]byte{9}, 32))}, Stream: k.ID(), answer: [32]byte(bytes.Repeat([]byte{7}, 32))}
	raw := marshalSigned(m.body(), k.signMessage(m.message()), delegationOf(k.by))
	if got := hex.EncodeToString(raw); got != vectorModeration {
		t.Errorf("the moderation is written\n%s, want\n%s", got, vectorModeration)
	}
	if _, err := OpenModeration(testKey.ID(), raw); err != nil {
		t.Error(err)
	}
}

const vectorModeration = "0a4b08fbf0cc86a6371220090909090909090909090909090909090909090909090909090909090909090922200707070707070707070707070707070707070707070707070707070707070707124020630c9bab4f1b9dcf7a9f01437fdfa3b48697b1b6648b98e00ff902d30eadcec2c76083a5f36d6fbedeab8231111f8369757cd94eece0c9b738603ba325820c1a720a208139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394100218b0b890cd0620b0d2aece062a40289d8f073136dcd4cb3ed351dd0f25ce196c47a1d5c07f46582bb60f72879cd197eba849dd6b7e9b0cff4f39915b6c96e563a9971a7d43899fbdc715d5adbb01"
