package stream

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream/wire"
)

func revoked(t testing.TB, issue uint64, seeds ...byte) *Revocations {
	t.Helper()
	var keys []ID
	for _, s := range seeds {
		keys = append(keys, seededKey(s).ID())
	}
	r, err := testKey.Revoke(issue, keys)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRevocationsComeBackAsTheyWere(t *testing.T) {
	r := revoked(t, 7, 4, 2, 3, 2)
	got, err := OpenRevocations(testKey.ID(), r.Bytes())
	if err != nil || !reflect.DeepEqual(got, r) {
		t.Fatalf("opened %+v, %v, want %+v", got, err, r)
	}
	if got, err = ParseRevocations(r.String()); err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("parsed %+v, %v, want %+v", got, err, r)
	}
	if len(r.Keys) != 3 || !r.Has(seededKey(3).ID()) || r.Has(seededKey(5).ID()) {
		t.Errorf("%d keys, with 3: %t, with 5: %t", len(r.Keys), r.Has(seededKey(3).ID()), r.Has(seededKey(5).ID()))
	}
	signed, err := testKey.sign(firstPart())
	if err != nil {
		t.Fatal(err)
	}
	if !AreRevocations(r.Bytes()) || AreRevocations(signed.Bytes()) || AreRevocations(nil) {
		t.Error("headers and revocations are not told apart")
	}
	if _, err := OpenHeader(testKey.ID(), r.Bytes()); !errors.Is(err, ErrMalformed) {
		t.Errorf("revocations open as a header: %v", err)
	}
}

func TestEveryByteOfRevocationsCounts(t *testing.T) {
	raw := revoked(t, 7, 2, 3).Bytes()
	refused := func(what string, b []byte) {
		t.Helper()
		if _, err := OpenRevocations(testKey.ID(), b); !errors.Is(err, ErrBadRevocations) && !errors.Is(err, ErrRevocationsForged) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := range raw {
		b := bytes.Clone(raw)
		b[i] ^= 1
		refused("a bit changed", b)
		refused("cut short", raw[:i])
	}
	refused("a byte more", append(bytes.Clone(raw), 0))
	refused("more than is legal", make([]byte, MaxRevocationsSize+1))
	if _, err := OpenRevocations(seededKey(9).ID(), raw); !errors.Is(err, ErrRevocationsForged) {
		t.Errorf("of another stream: %v", err)
	}
}

func TestBadRevocationsAreNeitherSignedNorOpened(t *testing.T) {
	a, b := seededKey(2).ID(), seededKey(3).ID()
	if bytes.Compare(a[:], b[:]) > 0 {
		a, b = b, a
	}
	many := make([]ID, MaxRevocations+1)
	for i := range many {
		many[i][0] = byte(i)
	}
	for name, r := range map[string]Revocations{
		"no issue":             {Keys: []ID{a}},
		"no key":               {Issue: 1},
		"too many keys":        {Issue: 1, Keys: many},
		"the stream's own key": {Issue: 1, Keys: []ID{testKey.ID()}},
		"out of order":         {Issue: 1, Keys: []ID{b, a}},
		"twice":                {Issue: 1, Keys: []ID{a, a}},
	} {
		if name != "out of order" && name != "twice" { // which are put right
			if _, err := testKey.Revoke(r.Issue, r.Keys); !errors.Is(err, ErrBadRevocations) {
				t.Errorf("%s is signed: %v", name, err)
			}
		}
		r.Stream = testKey.ID()
		if _, err := OpenRevocations(testKey.ID(), r.marshal(ed25519.Sign(testKey.private, r.message()))); !errors.Is(err, ErrBadRevocations) {
			t.Errorf("%s is opened: %v", name, err)
		}
	}
	if r, err := testKey.Revoke(1<<63, many[1:]); err != nil || len(r.Bytes()) > MaxRevocationsSize {
		t.Errorf("as many as may be: %v", err)
	}
}

func TestRolesKeepTheNewestRevocations(t *testing.T) {
	roles := NewRoles(testKey.ID())
	by := testDelegation(t, seededKey(2))
	if err := roles.Revoked(by); err != nil {
		t.Error(err)
	}
	foreign, err := seededKey(9).Revoke(99, []ID{seededKey(2).ID()})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		list    *Revocations
		news    bool
		revoked bool
	}{
		{foreign, false, false},
		{revoked(t, 5, 2), true, true},
		{revoked(t, 5, 3), false, true},
		{revoked(t, 4, 3), false, true},
		{revoked(t, 6, 3), true, false}, // room was made
		{revoked(t, 7, 2, 3), true, true},
	} {
		if news := roles.Adopt(c.list); news != c.news {
			t.Errorf("issue %d of %s is news: %t, want %t", c.list.Issue, c.list.Stream.Short(), news, c.news)
		}
		if err := roles.Revoked(by); errors.Is(err, ErrRevoked) != c.revoked {
			t.Errorf("after issue %d: %v", c.list.Issue, err)
		}
	}
	if roles.Revoked(nil) != nil || roles.Holds(nil, time.Time{}) != nil {
		t.Error("the stream's own key does not hold")
	}
	if err := roles.Holds(testDelegation(t, seededKey(4)), began); err != nil {
		t.Error(err)
	}
	if err := roles.Holds(testDelegation(t, seededKey(4)), began.Add(MaxDelegation)); !errors.Is(err, ErrDelegationTime) {
		t.Errorf("a delegation that expired: %v", err)
	}
	if err := roles.Holds(by, began); !errors.Is(err, ErrRevoked) {
		t.Errorf("a delegation that was revoked: %v", err)
	}
}

func TestTimelinesRefuseRevokedKeys(t *testing.T) {
	roles := NewRoles(testKey.ID())
	tl := NewTimeline(testKey.ID(), firstPart().Rendition)
	tl.Heed(roles)
	k, now := delegate(t, 2), began.Add(time.Second)
	var headers []*SignedHeader
	for i := range uint64(4) {
		h := firstPart()
		h.Segment = i
		s, err := k.sign(h)
		if err != nil {
			t.Fatal(err)
		}
		headers = append(headers, s)
	}
	if err := tl.Add(headers[2], now); err != nil {
		t.Fatal(err)
	}
	roles.Adopt(revoked(t, 1, 2))
	for _, check := range []func(*SignedHeader, time.Time) error{tl.Fresh, tl.Add} {
		if err := check(headers[3], now); !errors.Is(err, ErrRevoked) {
			t.Errorf("a header of a revoked key: %v", err)
		}
	}
	if added, twice := tl.AddPast(headers[:2]); added+twice != 0 {
		t.Errorf("%d headers of the past are added, %d are second ones", added, twice)
	}
	if tl.Len() != 1 {
		t.Errorf("%d headers, want the one from before", tl.Len())
	}
	own := firstPart()
	own.Segment = 3
	s, err := testKey.sign(own)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(tl.Fresh(s, now), tl.Add(s, now)); err != nil {
		t.Errorf("a header of the stream's own key: %v", err)
	}
}

func FuzzOpenRevocations(f *testing.F) {
	id := testKey.ID()
	r := revoked(f, 7, 2, 3)
	f.Add(r.Bytes())
	f.Add(r.body())
	f.Add(r.Bytes()[:50])
	f.Add([]byte{revocationsTag, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := OpenRevocations(id, raw)
		if err != nil {
			if !errors.Is(err, ErrBadRevocations) && !errors.Is(err, ErrRevocationsForged) {
				t.Errorf("error %v wraps neither ErrBadRevocations nor ErrRevocationsForged", err)
			}
			// Signed, as a body, the rest of it is read, too.
			signature := ed25519.Sign(testKey.private, slices.Concat([]byte(revocationsContext), id[:], raw))
			raw = wire.AppendBytes(wire.AppendBytes(nil, fieldSignedRevocations, raw), fieldRevocationsSignature, signature)
			if r, err = OpenRevocations(id, raw); err != nil {
				return
			}
		}
		if again, err := ParseRevocations(r.String()); err != nil || !reflect.DeepEqual(again, r) || r.validate() != nil || !bytes.Equal(r.Bytes(), raw) {
			t.Errorf("%+v reads back as %+v, %v", r, again, err)
		}
	})
}
