package stream

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream/wire"
)

var entryTime = time.UnixMilli(1_900_000_000_123)

func testEntry() Entry {
	return Entry{
		Title:       "Keynote – <b>live</b>",
		Description: "Vom großen Saal",
		Issued:      entryTime,
		Life:        10 * time.Minute,
		Peers:       []string{"/ip4/192.0.2.1/udp/4747/quic-v1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"},
		Supply:      140,
	}
}

func signedEntry(t testing.TB, key Key, e Entry) *SignedEntry {
	t.Helper()
	s, err := key.SignEntry(e)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEntryComesBackAsItWas(t *testing.T) {
	key := NewKey()
	for _, e := range []Entry{testEntry(), {Title: "x", Issued: entryTime}} {
		signed := signedEntry(t, key, e)
		e.Stream = key.ID()
		got, err := OpenEntry(signed.Bytes(), entryTime.Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got.Entry, e) || !bytes.Equal(got.Bytes(), signed.Bytes()) {
			t.Errorf("opened %+v, signed %+v", got.Entry, e)
		}
	}
}

func TestEntryOfAnotherTimeIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		life time.Duration
		at   time.Duration // after it was issued
		err  error
	}{
		"live":                   {10 * time.Minute, 10 * time.Minute, nil},
		"expired":                {10 * time.Minute, 10*time.Minute + time.Second, ErrEntryTime},
		"a clock behind":         {10 * time.Minute, -MaxEntryAhead, nil},
		"from the future":        {10 * time.Minute, -MaxEntryAhead - time.Second, ErrEntryTime},
		"a withdrawal":           {0, MaxEntryLife, nil},
		"an outlived withdrawal": {0, MaxEntryLife + time.Second, ErrEntryTime},
	} {
		e := testEntry()
		e.Life = c.life
		if _, err := OpenEntry(signedEntry(t, NewKey(), e).Bytes(), entryTime.Add(c.at)); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
	}
}

func TestBadEntriesAreNotSigned(t *testing.T) {
	for name, spoil := range map[string]func(*Entry){
		"no title":              func(e *Entry) { e.Title = " " },
		"a long title":          func(e *Entry) { e.Title = strings.Repeat("x", MaxTitle+1) },
		"a title of two lines":  func(e *Entry) { e.Title = "a\nb" },
		"text turned round":     func(e *Entry) { e.Title = "a\u202eb" },
		"broken UTF-8":          func(e *Entry) { e.Description = "\xff" },
		"a long description":    func(e *Entry) { e.Description = strings.Repeat("x", MaxDescription+1) },
		"a long life":           func(e *Entry) { e.Life = MaxEntryLife + time.Second },
		"a negative life":       func(e *Entry) { e.Life = -time.Second },
		"before 1970":           func(e *Entry) { e.Issued = time.UnixMilli(-1) },
		"many peers":            func(e *Entry) { e.Peers = make([]string, MaxEntryPeers+1) },
		"an empty peer":         func(e *Entry) { e.Peers = []string{""} },
		"a negative supply":     func(e *Entry) { e.Supply = -1 },
		"an endless supply":     func(e *Entry) { e.Supply = MaxEntrySupply + 1 },
		"a peer that is a text": func(e *Entry) { e.Peers = []string{"/ip4/ 192"} },
	} {
		e := testEntry()
		spoil(&e)
		if _, err := NewKey().SignEntry(e); !errors.Is(err, ErrBadEntry) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestForgedEntryIsRefused(t *testing.T) {
	key := NewKey()
	signed := signedEntry(t, key, testEntry())
	for name, raw := range map[string][]byte{
		"another title":      bytes.Replace(signed.Bytes(), []byte("Keynote"), []byte("Keyhole"), 1),
		"another signature":  append(bytes.Clone(signed.Bytes()[:len(signed.Bytes())-1]), signed.Bytes()[len(signed.Bytes())-1]^1),
		"no signature":       wire.AppendBytes(nil, 1, signed.marshal()),
		"a field more":       wire.AppendUint(bytes.Clone(signed.Bytes()), 9, 1),
		"nothing":            nil,
		"more than is legal": make([]byte, MaxEntrySize+1),
	} {
		if _, err := OpenEntry(raw, entryTime); !errors.Is(err, ErrForgedEntry) && !errors.Is(err, ErrBadEntry) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What the key signed as something else is no entry.
	if _, err := OpenEntry(marshalSigned(signed.marshal(), bytes.Repeat([]byte{1}, 64), nil), entryTime); !errors.Is(err, ErrForgedEntry) {
		t.Errorf("an entry with a signature of nothing: %v", err)
	}
}

func TestLargestEntryFits(t *testing.T) {
	e := Entry{Title: strings.Repeat("x", MaxTitle), Description: strings.Repeat("x", MaxDescription), Issued: entryTime, Life: MaxEntryLife, Supply: MaxEntrySupply}
	for range MaxEntryPeers {
		e.Peers = append(e.Peers, strings.Repeat("x", MaxEntryPeer))
	}
	if _, err := OpenEntry(signedEntry(t, NewKey(), e).Bytes(), entryTime); err != nil {
		t.Error(err)
	}
}

func FuzzOpenEntry(f *testing.F) {
	key := NewKey()
	f.Add(signedEntry(f, key, testEntry()).Bytes())
	f.Add(signedEntry(f, key, Entry{Title: "x", Issued: entryTime}).Bytes())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		// Without its signature more of it is read.
		if e, err := parseEntry(raw); err == nil {
			if again, err := parseEntry(e.marshal()); err != nil || !reflect.DeepEqual(e, again) {
				t.Errorf("%+v is read again as %+v, %v", e, again, err)
			}
		}
		if e, err := OpenEntry(raw, entryTime); err == nil && (e.validate() != nil || !bytes.Equal(e.Bytes(), raw)) {
			t.Errorf("opened %+v", e)
		}
	})
}

// TestEntryVector is for other implementations. The key's seed is that of the headers' vectors.
func TestEntryVector(t *testing.T) {
	const want = "0ab4010a208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c12174b65796e6f746520e28093203c623e6c6976653c2f623e1a10566f6d2067726fc39f656e205361616c20fbf0cc86a63728d80432582f6970342f3139322e302e322e312f7564702f343734372f717569632d76312f7032702f313244334b6f6f5744704a3741733742574177524d6675315655325743714e6a76713338374a45594b44426a346b78366e58544e388c0112402d0367f1875173b7e03b0b4f112b7ab6ddb1a3801d2340549fddbe60e11ef4de96c95a600864e09551da8130b9f40644f7114009044120ecacb0d34edaface0c"
	if got := hex.EncodeToString(signedEntry(t, testKey, testEntry()).Bytes()); got != want {
		t.Errorf("the entry is written\n%s, want\n%s", got, want)
	}
}
