package stream

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	// SealOverhead is the bytes that a sealed part is longer than what it holds.
	SealOverhead = chacha20poly1305.Overhead
	// partContext separates the keys of parts from whatever else is made of a secret.
	partContext = "grapevine sealed part v1\n"
	// maxKeys bounds the periods of which a keyring has the secrets: more than two days.
	maxKeys = 1 << 14
)

var (
	// ErrNoKey is wrapped by errors about parts of a period whose key is not there.
	ErrNoKey = errors.New("no key of the part's period")
	// ErrSealBroken is wrapped by errors about parts that the period's key does not open.
	ErrSealBroken = errors.New("the part does not open with its period's key")
)

// Secret is what the keys of a period are made of.
type Secret [32]byte

// NewSecret makes a secret from the system's randomness.
func NewSecret() (s Secret) {
	_, _ = rand.Read(s[:]) // never fails (Go 1.24)
	return s
}

// derive returns what opens a rendition's parts in an epoch. A key is of one stream, epoch,
// period and rendition, so a position is a nonce that it sees once.
func (s Secret) derive(context string, id ID, epoch uint64, rest string) (cipher.AEAD, error) {
	info := append([]byte(context), id[:]...)
	info = binary.BigEndian.AppendUint64(info, epoch)
	key, err := hkdf.Key(sha256.New, s[:], nil, string(info)+rest, chacha20poly1305.KeySize)
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	return chacha20poly1305.New(key)
}

// partNonce is all twelve bytes of the segment's and the part's number.
func partNonce(p Position) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, p.Segment), p.Part)
}

// partData is what a sealed part is bound to besides its key: all that says where it belongs.
func partData(id ID, rendition string, p Position, period uint64) []byte {
	b := append([]byte(partContext), id[:]...)
	for _, n := range []uint64{period, p.Epoch, p.Segment, uint64(p.Part)} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return append(b, rendition...)
}

// Sealer seals the parts of one epoch of a stream, in all its renditions, with the secret of
// the period that is in use. It is safe for concurrent use.
type Sealer struct {
	id    ID
	epoch uint64

	mu     sync.Mutex // guards all following
	period uint64     // 0 before the first
	secret Secret
	keys   map[string]cipher.AEAD // by rendition
}

// NewSealer returns a sealer that has no secret yet.
func NewSealer(id ID, epoch uint64) *Sealer { return &Sealer{id: id, epoch: epoch} }

// Use has all further parts sealed with the secret of a period, which must come after the one in
// use. No secret may be used for two periods, or in another run.
func (s *Sealer) Use(period uint64, secret Secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if period > s.period {
		s.period, s.secret, s.keys = period, secret, make(map[string]cipher.AEAD)
	}
}

var errNoPeriod = errors.New("seal a part: no period has begun")

// seal returns the sealed bytes of a part, and the period.
func (s *Sealer) seal(rendition string, p Position, data []byte) ([]byte, uint64, error) {
	s.mu.Lock()
	period, key := s.period, s.keys[rendition]
	var err error
	if key == nil && period > 0 {
		key, err = s.secret.derive(partContext, s.id, s.epoch, rendition)
		s.keys[rendition] = key
	}
	s.mu.Unlock()
	switch {
	case err != nil:
		return nil, 0, err
	case period == 0:
		return nil, 0, errNoPeriod
	case p.Epoch != s.epoch:
		return nil, 0, fmt.Errorf("seal part %v: the sealer is of epoch %d", p, s.epoch)
	}
	out := make([]byte, 0, len(data)+SealOverhead)
	return key.Seal(out, partNonce(p), data, partData(s.id, rendition, p, period)), period, nil
}

// Keyring opens the sealed parts of a stream. It keeps the secrets of the last 16,384 periods.
// It is safe for concurrent use.
type Keyring struct {
	id    ID
	added signal

	mu      sync.Mutex // guards all following
	secrets map[periodOf]Secret
	order   []periodOf // in which they came
	keys    map[partKey]cipher.AEAD
}

type periodOf struct{ epoch, period uint64 }

type partKey struct {
	periodOf
	rendition string
}

// maxDerived bounds the keys that are kept derived: two periods of all renditions, and a player
// that rewinds.
const maxDerived = 128

// NewKeyring returns a keyring without keys.
func NewKeyring(id ID) *Keyring {
	return &Keyring{id: id, secrets: make(map[periodOf]Secret), keys: make(map[partKey]cipher.AEAD)}
}

// Add keeps the secret of a period, and reports whether it was new. The first one stands.
func (k *Keyring) Add(epoch, period uint64, secret Secret) bool {
	if !k.add(periodOf{epoch, period}, secret) {
		return false
	}
	k.added.fire()
	return true
}

func (k *Keyring) add(p periodOf, secret Secret) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, known := k.secrets[p]; known {
		return false
	}
	if len(k.order) == maxKeys {
		delete(k.secrets, k.order[0])
		k.order = slices.Delete(k.order, 0, 1)
	}
	k.secrets[p] = secret
	k.order = append(k.order, p)
	return true
}

// Changed returns a channel that is closed when the next secret is added.
func (k *Keyring) Changed() <-chan struct{} { return k.added.wait() }

// Has reports whether parts of a period can be opened; plain ones always can.
func (k *Keyring) Has(epoch, period uint64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, ok := k.secrets[periodOf{epoch, period}]
	return ok || period == 0
}

// Len returns how many periods can be opened.
func (k *Keyring) Len() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.secrets)
}

func (k *Keyring) key(h *SignedHeader) (cipher.AEAD, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	id := partKey{periodOf{h.Epoch, h.Period}, h.Rendition}
	if key := k.keys[id]; key != nil {
		return key, nil
	}
	secret, ok := k.secrets[id.periodOf]
	if !ok {
		return nil, fmt.Errorf("%w: part %v, period %d", ErrNoKey, h.Position, h.Period)
	}
	key, err := secret.derive(partContext, k.id, h.Epoch, h.Rendition)
	if err != nil {
		return nil, err
	}
	if len(k.keys) >= maxDerived {
		clear(k.keys)
	}
	k.keys[id] = key
	return key, nil
}

// Open returns what a part holds, of which chunks are all chunks in order. A plain part is
// joined. Errors wrap [ErrNoKey] or [ErrSealBroken].
func (k *Keyring) Open(h *SignedHeader, chunks [][]byte) ([]byte, error) {
	sealed := slices.Concat(chunks...)
	if h.Period == 0 {
		return sealed, nil
	}
	key, err := k.key(h)
	if err != nil {
		return nil, err
	}
	// In place: the joined bytes are this function's alone.
	plain, err := key.Open(sealed[:0], partNonce(h.Position), sealed, partData(h.Stream, h.Rendition, h.Position, h.Period))
	if err != nil {
		return nil, fmt.Errorf("%w: part %v, period %d", ErrSealBroken, h.Position, h.Period)
	}
	return plain, nil
}
