package stream

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
)

// The first test vector of RFC 8032, section 7.1, and its key as OpenSSL writes it.
const (
	rfcSeed   = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
	rfcPublic = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
	rfcPEM    = `-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
`
)

func TestIDsReadBackInEitherCase(t *testing.T) {
	for range 50 {
		id := NewKey().ID()
		for _, s := range []string{id.String(), strings.ToUpper(id.String())} {
			if got, err := ParseID(s); err != nil || got != id {
				t.Errorf("ParseID(%q) = %v, %v, want %v", s, got, err, id)
			}
		}
		if s := id.String(); len(s) != 52 || !strings.HasPrefix(s, id.Short()) || len(id.Short()) != 8 {
			t.Errorf("ID %q, in short %q: want 52 characters, and the first 8", s, id.Short())
		}
		raw, err := json.Marshal(map[ID]ID{id: id})
		if err != nil {
			t.Fatal(err)
		}
		var back map[ID]ID
		if err := json.Unmarshal(raw, &back); err != nil || back[id] != id {
			t.Errorf("JSON %s reads back as %v, %v", raw, back, err)
		}
	}
}

func TestParseIDRefuses(t *testing.T) {
	good := testKey.ID().String()
	for name, s := range map[string]string{
		"nothing":               "",
		"a character less":      good[1:],
		"a character more":      good + "a",
		"an 8":                  "8" + good[1:],
		"a 1":                   "1" + good[1:],
		"padding":               good + "====",
		"a line feed inside":    good[:9] + "\n" + good[9:],
		"a line feed after":     good + "\n",
		"a space before":        " " + good,
		"stray bits at the end": good[:51] + "b",
		"a letter beyond ASCII": strings.Replace(strings.Repeat("k", 51)+"a", "k", "\u212a", 1), // folds to k
	} {
		id, err := ParseID(s)
		wantError(t, name, err, ErrNotAnID)
		if id != (ID{}) {
			t.Errorf("%s: refused, but ID %v was returned", name, id)
		}
		var into ID
		wantError(t, name, into.UnmarshalText([]byte(s)), ErrNotAnID)
	}
}

func TestKeysReadBackFromPEM(t *testing.T) {
	for _, key := range []Key{NewKey(), seededKey(9)} {
		got, err := ParseKeyPEM(key.MarshalPEM())
		if err != nil || got.ID() != key.ID() || !got.private.Equal(key.private) {
			t.Errorf("key of %v reads back as another, %v", key.ID(), err)
		}
	}
}

func TestPEMIsWhatOpenSSLWrites(t *testing.T) {
	key, err := ParseKeyPEM([]byte(rfcPEM))
	if err != nil {
		t.Fatal(err)
	}
	id := key.ID()
	if got := hex.EncodeToString(id[:]); got != rfcPublic {
		t.Errorf("public key %s, want %s", got, rfcPublic)
	}
	if got := hex.EncodeToString(key.private.Seed()); got != rfcSeed {
		t.Errorf("seed %s, want %s", got, rfcSeed)
	}
	if got := string(key.MarshalPEM()); got != rfcPEM {
		t.Errorf("PEM\n%swant\n%s", got, rfcPEM)
	}
}

func TestParseKeyPEMSaysWhatIsWrong(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecDER, err := x509.MarshalPKCS8PrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	block := func(typ string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der})
	}
	good, _ := pem.Decode([]byte(rfcPEM))
	for _, c := range []struct {
		name, want string
		data       []byte
	}{
		{"nothing", "no PEM block", nil},
		{"no PEM", "no PEM block", []byte("hunter2")},
		{"cut short", "no PEM block", bytes.TrimSuffix([]byte(rfcPEM), []byte("KEY-----\n"))},
		{"a public key", "no PEM block", block("PUBLIC KEY", good.Bytes)},
		{"an encrypted key", "no PEM block", block("ENCRYPTED PRIVATE KEY", good.Bytes)},
		{"no PKCS #8", "PKCS #8", block("PRIVATE KEY", good.Bytes[1:])},
		{"a P-256 key", "ecdsa", block("PRIVATE KEY", ecDER)},
	} {
		if _, err := ParseKeyPEM(c.data); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one about %q", c.name, err, c.want)
		}
	}
}
