package stream

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream/wire"
)

// delegationBegins is an hour before the headers of these tests.
var delegationBegins = began.Add(-time.Hour).Truncate(time.Second)

func testDelegation(t testing.TB, to Key) *Delegation {
	t.Helper()
	d, err := testKey.Delegate(to.ID(), RoleBroadcast, delegationBegins, delegationBegins.Add(30*24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// delegate returns another key that acts for testKey's stream.
func delegate(t testing.TB, seed byte) Key {
	t.Helper()
	own := seededKey(seed)
	k, err := own.Under(testDelegation(t, own))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// signAny signs what Key.sign would not.
func signAny(k Key, body []byte) []byte {
	return marshalSigned(body, k.signMessage(signedMessage(k.ID(), body)), delegationOf(k.by))
}

func TestDelegationComesBackAsItWas(t *testing.T) {
	d := testDelegation(t, seededKey(2))
	got, err := OpenDelegation(testKey.ID(), d.raw)
	if err != nil || !reflect.DeepEqual(got, d) {
		t.Fatalf("opened %+v, %v, want %+v", got, err, d)
	}
	if got, err = ParseDelegation(" " + d.String() + "\n"); err != nil || !reflect.DeepEqual(got, d) {
		t.Errorf("parsed %+v, %v, want %+v", got, err, d)
	}
}

func TestEveryByteOfADelegationCounts(t *testing.T) {
	raw := testDelegation(t, seededKey(2)).raw
	refused := func(what string, b []byte) {
		t.Helper()
		if _, err := OpenDelegation(testKey.ID(), b); !errors.Is(err, ErrBadDelegation) && !errors.Is(err, ErrDelegationForged) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := range raw {
		for _, bit := range []byte{1, 0x80} {
			b := bytes.Clone(raw)
			b[i] ^= bit
			refused("a bit changed", b)
		}
		refused("cut short", raw[:i])
	}
	refused("a byte more", append(bytes.Clone(raw), 0))
	refused("an unknown field more", wire.AppendUint(bytes.Clone(raw), 9, 1))
	refused("a field twice", append(bytes.Clone(raw), raw[:34]...))
	refused("more than is legal", make([]byte, maxDelegation+1))
	if _, err := OpenDelegation(seededKey(3).ID(), raw); !errors.Is(err, ErrDelegationForged) {
		t.Errorf("of another stream: %v", err)
	}
	for _, s := range []string{"", "grapevine-delegation", strings.Replace(testDelegation(t, seededKey(2)).String(), "delegation", "revocations", 1), "grapevine-delegation x y", testDelegation(t, seededKey(2)).String() + "!"} {
		if _, err := ParseDelegation(s); !errors.Is(err, ErrBadDelegation) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestBadDelegationsAreNeitherSignedNorOpened(t *testing.T) {
	other := seededKey(2).ID()
	for name, d := range map[string]Delegation{
		"no role":             {Delegate: other, NotBefore: delegationBegins, NotAfter: delegationBegins.Add(time.Hour)},
		"an unknown role":     {Delegate: other, Role: 200, NotBefore: delegationBegins, NotAfter: delegationBegins.Add(time.Hour)},
		"to the stream's key": {Delegate: testKey.ID(), Role: RoleBroadcast, NotBefore: delegationBegins, NotAfter: delegationBegins.Add(time.Hour)},
		"for no time":         {Delegate: other, Role: RoleBroadcast, NotBefore: delegationBegins, NotAfter: delegationBegins},
		"for too long":        {Delegate: other, Role: RoleBroadcast, NotBefore: delegationBegins, NotAfter: delegationBegins.Add(MaxDelegation + time.Second)},
		"before 1970":         {Delegate: other, Role: RoleBroadcast, NotBefore: time.Unix(-5, 0), NotAfter: time.Unix(5, 0)},
		"after 9999":          {Delegate: other, Role: RoleBroadcast, NotBefore: time.Unix(maxDelegationTime-5, 0), NotAfter: time.Unix(maxDelegationTime+1, 0)},
	} {
		if _, err := testKey.Delegate(d.Delegate, d.Role, d.NotBefore, d.NotAfter); !errors.Is(err, ErrBadDelegation) {
			t.Errorf("%s is signed: %v", name, err)
		}
		d.Stream = testKey.ID()
		raw := wire.AppendBytes(d.body(), fieldDelegateSign, ed25519.Sign(testKey.private, d.message()))
		if _, err := OpenDelegation(testKey.ID(), raw); !errors.Is(err, ErrBadDelegation) {
			t.Errorf("%s is opened: %v", name, err)
		}
	}
}

func TestDelegatesNeitherDelegateNorRevoke(t *testing.T) {
	k := delegate(t, 2)
	if _, err := k.Delegate(seededKey(3).ID(), RoleBroadcast, delegationBegins, delegationBegins.Add(time.Hour)); !errors.Is(err, ErrDelegationRole) {
		t.Errorf("a delegate delegates: %v", err)
	}
	if _, err := k.Revoke(1, []ID{seededKey(3).ID()}); !errors.Is(err, ErrDelegationRole) {
		t.Errorf("a delegate revokes: %v", err)
	}
	if _, err := seededKey(3).Under(k.Delegation()); !errors.Is(err, ErrDelegationRole) {
		t.Errorf("a delegation is used by another key: %v", err)
	}
	// One that a delegate signs all the same is its own stream's, and nobody's here.
	d := Delegation{Stream: testKey.ID(), Delegate: seededKey(3).ID(), Role: RoleBroadcast, NotBefore: delegationBegins, NotAfter: delegationBegins.Add(time.Hour)}
	raw := wire.AppendBytes(d.body(), fieldDelegateSign, ed25519.Sign(k.private, d.message()))
	if _, err := OpenDelegation(testKey.ID(), raw); !errors.Is(err, ErrDelegationForged) {
		t.Errorf("a delegate's delegation is opened: %v", err)
	}
}

func TestDelegatesSignHeaders(t *testing.T) {
	k := delegate(t, 2)
	if k.ID() != testKey.ID() {
		t.Fatalf("a delegate's stream is %s, want %s", k.ID(), testKey.ID())
	}
	signed, err := k.sign(firstPart())
	if err != nil {
		t.Fatal(err)
	}
	roles := NewRoles(testKey.ID())
	for _, open := range []func([]byte) (*SignedHeader, error){
		func(b []byte) (*SignedHeader, error) { return OpenHeader(testKey.ID(), b) }, roles.OpenHeader, roles.OpenHeader,
	} {
		h, err := open(signed.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if h.Stream != testKey.ID() || h.Delegation() == nil || h.Delegation().Delegate != seededKey(2).ID() || !reflect.DeepEqual(h.Header, signed.Header) {
			t.Errorf("opened %+v by %+v", h.Header, h.Delegation())
		}
	}
	own, err := testKey.sign(firstPart())
	if err != nil || own.Delegation() != nil {
		t.Fatalf("the stream's key signs by %v, %v", own.Delegation(), err)
	}
	t.Logf("a delegation adds %d bytes to a header", len(signed.Bytes())-len(own.Bytes()))
}

func TestEveryByteOfADelegatedHeaderCounts(t *testing.T) {
	signed, err := delegate(t, 2).sign(firstPart())
	if err != nil {
		t.Fatal(err)
	}
	raw, roles := signed.Bytes(), NewRoles(testKey.ID())
	refused := func(what string, b []byte) {
		t.Helper()
		if _, err := roles.OpenHeader(b); !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrForged) {
			t.Errorf("%s: error %v, want ErrMalformed or ErrForged", what, err)
		}
	}
	for i := range raw {
		b := bytes.Clone(raw)
		b[i] ^= 1
		refused("a bit changed", b)
		refused("cut short", raw[:i])
	}
	refused("a byte more", append(bytes.Clone(raw), 0))
	if len(roles.delegations) != 1 {
		t.Errorf("%d delegations are remembered, want the one that is signed", len(roles.delegations))
	}
}

func TestDelegatesAreHeldToTheirTimeAndKey(t *testing.T) {
	k := delegate(t, 2)
	d := k.Delegation()
	for name, c := range map[string]struct {
		change func(*Header)
		err    error
	}{
		"the first moment":      {func(h *Header) { h.ProgramTime = d.NotBefore }, nil},
		"the last moment":       {func(h *Header) { h.ProgramTime = d.NotAfter }, nil},
		"before it began":       {func(h *Header) { h.ProgramTime = d.NotBefore.Add(-time.Microsecond) }, ErrDelegationTime},
		"after it ended":        {func(h *Header) { h.ProgramTime = d.NotAfter.Add(time.Microsecond) }, ErrDelegationTime},
		"the last epoch":        {func(h *Header) { h.Epoch = uint64(d.NotAfter.UnixMilli()) }, nil},
		"an epoch after it all": {func(h *Header) { h.Epoch = uint64(d.NotAfter.UnixMilli()) + 1 }, ErrDelegationTime},
	} {
		h := firstPart()
		c.change(&h)
		if _, err := k.sign(h); !errors.Is(err, c.err) {
			t.Errorf("%s is signed with %v, want %v", name, err, c.err)
		}
		if _, err := OpenHeader(testKey.ID(), signAny(k, h.marshal())); c.err == nil && err != nil || c.err != nil && (!errors.Is(err, ErrForged) || !errors.Is(err, c.err)) {
			t.Errorf("%s is opened with %v, want %v", name, err, c.err)
		}
	}
	h := firstPart()
	body := h.marshal()
	message := signedMessage(testKey.ID(), body)
	other := delegate(t, 3)
	longer, err := testKey.Delegate(d.Delegate, RoleBroadcast, d.NotBefore, d.NotAfter.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := seededKey(4).Delegate(d.Delegate, RoleBroadcast, d.NotBefore, d.NotAfter)
	if err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string][]byte{
		"another delegate's delegation":        marshalSigned(body, k.signMessage(message), other.by.raw),
		"another delegation of the same key":   marshalSigned(body, k.signMessage(message), longer.raw),
		"a delegation of another stream":       marshalSigned(body, ed25519.Sign(k.private, delegatedMessage(elsewhere, message)), elsewhere.raw),
		"no delegation":                        marshalSigned(body, k.signMessage(message), nil),
		"a signature without the delegation":   marshalSigned(body, ed25519.Sign(k.private, message), d.raw),
		"the stream's own key by a delegation": marshalSigned(body, ed25519.Sign(testKey.private, message), d.raw),
	} {
		if _, err := OpenHeader(testKey.ID(), raw); !errors.Is(err, ErrForged) {
			t.Errorf("%s: %v, want ErrForged", name, err)
		}
	}
}

func TestDelegationsHoldWithinTheClocksSkew(t *testing.T) {
	d := testDelegation(t, seededKey(2))
	for _, c := range []struct {
		at   time.Time
		want error
	}{
		{d.NotBefore.Add(-DelegationSkew - time.Second), ErrDelegationTime},
		{d.NotBefore.Add(-DelegationSkew), nil},
		{d.NotAfter.Add(DelegationSkew), nil},
		{d.NotAfter.Add(DelegationSkew + time.Second), ErrDelegationTime},
	} {
		if err := d.HoldsAt(c.at); !errors.Is(err, c.want) {
			t.Errorf("at %v: %v, want %v", c.at, err, c.want)
		}
	}
}

func TestTheLargestDelegatedHeaderFits(t *testing.T) {
	d, err := testKey.Delegate(seededKey(2).ID(), RoleBroadcast, time.Unix(maxDelegationTime-10, 0), time.Unix(maxDelegationTime, 0))
	if err != nil {
		t.Fatal(err)
	}
	k, err := seededKey(2).Under(d)
	if err != nil {
		t.Fatal(err)
	}
	h := firstPart()
	h.Media.Codecs = strings.Repeat("a", maxCodecs)
	h.Media.Language = strings.Repeat("a", maxLanguage)
	h.Media.Name = strings.Repeat("a", maxMediaName)
	h.Rendition = strings.Repeat("a", MaxRenditionName)
	h.ProgramTime = d.NotAfter
	s, err := k.sign(describe(h, make([]byte, MaxPartSize)))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Bytes()) > MaxHeaderSize || len(d.raw) > maxDelegation {
		t.Errorf("the largest header has %d bytes, MaxHeaderSize is %d; its delegation %d, maxDelegation is %d", len(s.Bytes()), MaxHeaderSize, len(d.raw), maxDelegation)
	}
}

func TestTimelinesHoldDelegatesToTheClock(t *testing.T) {
	k := delegate(t, 2)
	d := k.Delegation()
	sign := func(epoch uint64, at time.Time) *SignedHeader {
		h := firstPart()
		h.Epoch, h.ProgramTime = epoch, at
		s, err := k.sign(h)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	late := d.NotAfter.Add(DelegationSkew + time.Second)
	tl := NewTimeline(testKey.ID(), firstPart().Rendition)
	tl.Heed(NewRoles(testKey.ID()))
	if err := tl.Fresh(sign(7, d.NotAfter), d.NotAfter.Add(DelegationSkew)); err != nil {
		t.Errorf("within the clocks' skew: %v", err)
	}
	if err := tl.Fresh(sign(7, d.NotAfter), late); !errors.Is(err, ErrDelegationTime) {
		t.Errorf("what is live after the end: %v", err)
	}
	if err := tl.Add(sign(7, d.NotAfter), late); err != nil {
		t.Errorf("what was live before the end: %v", err)
	}
	// A run that began later than now.
	now := began
	ahead := uint64(now.Add(MaxEpochAhead).UnixMilli())
	if err := tl.Add(sign(ahead, now), now); err != nil {
		t.Errorf("an epoch within clocks' differences: %v", err)
	}
	for _, check := range []func(*SignedHeader, time.Time) error{tl.Fresh, tl.Add} {
		if err := check(sign(ahead+1, now), now); !errors.Is(err, ErrAhead) {
			t.Errorf("an epoch of the future: %v, want ErrAhead", err)
		}
	}
}

func TestDelegatesSignEntriesListsAndInvites(t *testing.T) {
	own := NewKey()
	other := NewKey()
	now := time.Now()
	d, err := own.Delegate(other.ID(), RoleBroadcast, now.Add(-time.Hour), now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	k, err := other.Under(d)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := k.SignEntry(Entry{Title: "x", Issued: now, Life: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if e, err := OpenEntry(entry.Bytes(), now); err != nil || e.Stream != own.ID() || e.Delegation() == nil {
		t.Errorf("an entry: %+v, %v", e, err)
	}
	if _, err := k.SignEntry(Entry{Title: "x", Issued: now.Add(2 * time.Hour), Life: time.Minute}); !errors.Is(err, ErrDelegationTime) {
		t.Errorf("an entry after the end is signed: %v", err)
	}
	swapped := marshalSigned(entry.marshal(), k.signMessage(append([]byte(entryContext), entry.marshal()...)), nil)
	if _, err := OpenEntry(swapped, now); !errors.Is(err, ErrForgedEntry) {
		t.Errorf("an entry without its delegation: %v", err)
	}
	short, err := own.Delegate(other.ID(), RoleBroadcast, now.Add(-time.Hour), now.Add(-DelegationSkew-time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	expired := Key{other.private, short}
	old := marshalSigned(entry.marshal(), expired.signMessage(append([]byte(entryContext), entry.marshal()...)), short.raw)
	if _, err := OpenEntry(old, now); !errors.Is(err, ErrEntryTime) {
		t.Errorf("an entry of a key that expired: %v", err)
	}

	link := Link{Stream: own.ID()}
	if link.Origins, err = k.SignOrigins([]string{"https://a.example"}); err != nil {
		t.Fatal(err)
	}
	if link.Relays, err = k.SignRelays([]Relay{{ID: "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"}}); err != nil {
		t.Fatal(err)
	}
	if link.Invite, err = k.NewInvite(now.Add(time.Hour), 2, true); err != nil {
		t.Fatal(err)
	}
	got, err := ParseLink(link.String())
	if err != nil || got.String() != link.String() || got.Delegation() == nil || got.Invite.Delegation() == nil {
		t.Fatalf("link %s is read as %s, %v", link, got, err)
	}
	without := strings.Replace(link.String(), "&by=", "&other=", 1)
	if _, err := ParseLink(without); !errors.Is(err, ErrOriginsForged) {
		t.Errorf("a link without its delegation: %v", err)
	}
	if link.Origins, err = expired.SignOrigins([]string{"https://a.example"}); err != nil {
		t.Fatal(err)
	}
	link.Relays = Relays{}
	if _, err := ParseLink(link.String()); !errors.Is(err, ErrLinkExpired) {
		t.Errorf("a link of a key that expired: %v", err)
	}

	viewer := NewViewerSeed().Key(own.ID())
	raw, err := got.Invite.Enrol(viewer.ID())
	if err != nil {
		t.Fatal(err)
	}
	roles := NewRoles(own.ID())
	e, err := roles.OpenEnrolment(raw)
	if err != nil || e.Delegation() == nil || len(raw) > MaxEnrolment {
		t.Fatalf("an enrolment of %d bytes: %+v, %v", len(raw), e, err)
	}
	if v, err := k.OpenEnrolled(e); err != nil || v != viewer.ID() {
		t.Errorf("the delegate opens the enrolment as %v, %v", v, err)
	}
	if _, err := own.OpenEnrolled(e); !errors.Is(err, ErrBadEnrolment) {
		t.Errorf("who did not invite opens the enrolment: %v", err)
	}
	bare := got.Invite.Grant
	bare.by = nil
	if _, err := parseGrant(own.ID(), bare.marshal(), OpenDelegation); !errors.Is(err, ErrInviteForged) {
		t.Errorf("an invite without its delegation: %v", err)
	}
}

func FuzzOpenDelegation(f *testing.F) {
	id := testKey.ID()
	d := testDelegation(f, seededKey(2))
	f.Add(d.raw)
	f.Add(d.body())
	f.Add(d.raw[:40])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := OpenDelegation(id, raw)
		if err != nil {
			if !errors.Is(err, ErrBadDelegation) && !errors.Is(err, ErrDelegationForged) {
				t.Errorf("error %v wraps neither ErrBadDelegation nor ErrDelegationForged", err)
			}
			// Signed, the rest of it is read, too.
			raw = wire.AppendBytes(bytes.Clone(raw), fieldDelegateSign, ed25519.Sign(testKey.private, append(append([]byte(delegationContext), id[:]...), raw...)))
			if d, err = OpenDelegation(id, raw); err != nil {
				return
			}
		}
		if again, err := ParseDelegation(d.String()); err != nil || !reflect.DeepEqual(again, d) || d.validate() != nil || !bytes.Equal(d.raw, raw) {
			t.Errorf("%+v reads back as %+v, %v", d, again, err)
		}
	})
}

// TestDelegationVectors are for other implementations. The seeds are those of the headers' vectors'
// key, and 32 times the byte 2.
func TestDelegationVectors(t *testing.T) {
	k := delegate(t, 2)
	header, err := k.sign(firstPart())
	if err != nil {
		t.Fatal(err)
	}
	revoked, err := testKey.Revoke(1900000000123, []ID{seededKey(2).ID()})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"delegation":  {k.by.raw, vectorDelegation},
		"header":      {header.Bytes(), vectorDelegated},
		"revocations": {revoked.Bytes(), vectorRevocations},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("the %s is written\n%s, want\n%s", name, got, c.want)
		}
	}
}

const (
	vectorDelegation  = "0a208139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394100118b0b890cd0620b0d2aece062a401a02727579e8d143673b0407f8110ed7c4527acfc45e20e074a39b2291f7768756c9ce485a6185552247da47cda1ce5fd44d8abadd5f93d22f60793c03e94c00"
	vectorDelegated   = "0a51080712046d61696e280130a0c21e3880a0bcadd3fe9203400648802052108286ee4ea8f54f0276bcd4a125de6fd35a210a15617663312e3634303031662c6d7034612e34302e3210800f18b8082092ea011240ffef1abadd2a17ea4323ce2f90bdab06a7b9d6d58b03e4117d663609edf410b944d6c6adf9883c1991385efed667df28ecfe2531fccb6ac5e88ee034f9337f021a720a208139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394100118b0b890cd0620b0d2aece062a401a02727579e8d143673b0407f8110ed7c4527acfc45e20e074a39b2291f7768756c9ce485a6185552247da47cda1ce5fd44d8abadd5f93d22f60793c03e94c00"
	vectorRevocations = "222908fbf0cc86a63712208139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b3942a40c8da43de8e4c71947c700e2aa65bde79064e74829f194d98b3c13972c5e23234fdcf687703f0958f86f19aed4a817d6df9dc70d2e51d748e2d9289092fbe800b"
)

func TestPeerKeysAreThoseOfEd25519Alone(t *testing.T) {
	key := seededKey(2).ID()
	prefix := "\x00\x24\x08\x01\x12\x20"
	if got, err := PeerKey(prefix + string(key[:])); err != nil || got != key || KeyPeer(key) != prefix+string(key[:]) {
		t.Errorf("the key is %v, %v", got, err)
	}
	for name, s := range map[string]string{
		"nothing":        "",
		"cut short":      prefix + string(key[:31]),
		"a byte more":    prefix + string(key[:]) + "x",
		"an ECDSA key":   "\x00\x24\x08\x03\x12\x20" + string(key[:]),
		"an RSA's hash":  "\x12\x20" + string(key[:]),
		"of other bytes": "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN",
	} {
		if _, err := PeerKey(s); !errors.Is(err, ErrNotARelay) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
