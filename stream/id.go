package stream

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base32"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// ID names a stream: its broadcaster's Ed25519 public key.
type ID [ed25519.PublicKeySize]byte

// idEncoding writes IDs so that they pass through URLs, DNS labels and case-folding:
// lower-case base32 (RFC 4648, section 6) without padding, 52 characters.
var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// String returns the ID's 52 characters.
func (id ID) String() string { return idEncoding.EncodeToString(id[:]) }

// Short returns the first characters of the ID, for people and logs.
func (id ID) Short() string { return id.String()[:8] }

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ID) UnmarshalText(text []byte) error {
	parsed, err := ParseID(string(text))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}

// ErrNotAnID is wrapped by what [ParseID] returns for text that is no stream ID.
var ErrNotAnID = errors.New("not a stream ID")

// ParseID reads what [ID.String] writes, in either case.
func ParseID(s string) (ID, error) {
	var id ID
	raw, err := idEncoding.DecodeString(strings.ToLower(s))
	if err != nil || len(raw) != len(id) || len(s) != idEncoding.EncodedLen(len(id)) {
		return ID{}, fmt.Errorf("%w: %q (want 52 characters of a-z and 2-7)", ErrNotAnID, s)
	}
	copy(id[:], raw)
	if id.String() != strings.ToLower(s) {
		return ID{}, fmt.Errorf("%w: %q has stray bits at its end", ErrNotAnID, s)
	}
	return id, nil
}

// Key is a broadcaster's private key. Its public half is the stream's [ID], unless the key acts
// for another's stream, see [Key.Under].
type Key struct {
	private ed25519.PrivateKey
	by      *Delegation // nil for the stream's own key
}

// NewKey makes a key from the system's randomness.
func NewKey() Key {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err) // crypto/rand never fails (Go 1.24)
	}
	return Key{private: private}
}

// ID returns the stream that the key broadcasts.
func (k Key) ID() ID {
	if k.by != nil {
		return k.by.Stream
	}
	return ID(k.private.Public().(ed25519.PublicKey))
}

const pemType = "PRIVATE KEY"

// MarshalPEM writes the key as PKCS #8 in PEM (RFC 5958, RFC 7468), as
// "openssl genpkey -algorithm ed25519" does.
func (k Key) MarshalPEM() []byte {
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		panic(err) // an Ed25519 key always marshals
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})
}

// ParseKeyPEM reads what [Key.MarshalPEM] writes.
func ParseKeyPEM(data []byte) (Key, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != pemType {
		return Key{}, errors.New("no PEM block of type \"PRIVATE KEY\"")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return Key{}, fmt.Errorf("parse PKCS #8: %w", err)
	}
	private, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return Key{}, fmt.Errorf("key is %T, want Ed25519", parsed)
	}
	return Key{private: private}, nil
}
