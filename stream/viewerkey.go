package stream

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
)

// The contexts of what is derived from a viewer's seed, and from a broadcaster's.
const (
	viewerContext = "grapevine viewer key v1\n"
	enrolContext  = "grapevine enrolment key v1\n"
)

// What is sealed to a key of somebody is sealed by HPKE (RFC 9180) in its base mode: DHKEM of
// X25519 with HKDF-SHA256, HKDF-SHA256, ChaCha20-Poly1305.
func hpkeKEM() hpke.KEM { return hpke.DHKEM(ecdh.X25519()) }

const (
	hpkeEncapsulated = 32 // bytes of X25519's public key, before the ciphertext
	hpkeOverhead     = hpkeEncapsulated + SealOverhead
)

func hpkeSeal(to [32]byte, info, plain []byte) ([]byte, error) {
	public, err := hpkeKEM().NewPublicKey(to[:])
	if err != nil {
		return nil, err
	}
	return hpke.Seal(public, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info, plain)
}

func hpkeOpen(key hpke.PrivateKey, info, sealed []byte) ([]byte, error) {
	return hpke.Open(key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), info, sealed)
}

// hpkeKey derives a key pair for a purpose.
func hpkeKey(seed []byte, context string, id ID) (hpke.PrivateKey, [32]byte) {
	ikm, err := hkdf.Key(sha256.New, seed, nil, context+string(id[:]), 32)
	if err != nil {
		panic(err) // 32 bytes are within HKDF's bound
	}
	key, err := hpkeKEM().DeriveKeyPair(ikm)
	if err != nil {
		panic(err) // 32 bytes are enough
	}
	return key, [32]byte(key.PublicKey().Bytes())
}

// ViewerSeed is what a viewer's keys are derived from, one for each stream, so that no two
// broadcasters know that it is the same viewer.
type ViewerSeed [32]byte

// NewViewerSeed makes a seed from the system's randomness.
func NewViewerSeed() (s ViewerSeed) {
	_, _ = rand.Read(s[:]) // never fails (Go 1.24)
	return s
}

// ViewerID is a viewer's X25519 public key for one stream. Only the stream's broadcaster is told.
type ViewerID [32]byte

// String writes the ID in base64url without padding, 43 characters.
func (v ViewerID) String() string { return base64.RawURLEncoding.EncodeToString(v[:]) }

var errViewerID = errors.New("not a viewer's key")

// ParseViewerID reads what [ViewerID.String] writes.
func ParseViewerID(s string) (v ViewerID, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(raw) != len(v) {
		return v, fmt.Errorf("%w: %q", errViewerID, s)
	}
	return ViewerID(raw), nil
}

// ViewerKey opens what is sealed to a viewer of one stream.
type ViewerKey struct {
	stream ID
	key    hpke.PrivateKey
	id     ViewerID
}

// Key returns the viewer's key for a stream.
func (s ViewerSeed) Key(id ID) *ViewerKey {
	key, public := hpkeKey(s[:], viewerContext, id)
	return &ViewerKey{id, key, public}
}

// ID returns the key's public half.
func (k *ViewerKey) ID() ViewerID { return k.id }

// enrolKey is the key to which enrolments are sealed. It follows from the broadcaster's own, so
// that every run of it has it: each delegate lets in whom it invited itself.
func (k Key) enrolKey() (hpke.PrivateKey, [32]byte) {
	return hpkeKey(k.private.Seed(), enrolContext, k.ID())
}
