package stream

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/grapevine-live/grapevine/stream/wire"
)

const (
	// MaxRevocations bounds the keys that a stream's revocations name.
	MaxRevocations = 64
	// MaxRevocationsSize bounds serialised revocations in bytes.
	MaxRevocationsSize = MaxRevocations*ed25519.PublicKeySize + 128
	revocationsContext = "grapevine revocations v1\n"
	revocationsText    = "grapevine-revocations"
)

var (
	// ErrBadRevocations is wrapped by errors about bytes that are no revocations.
	ErrBadRevocations = errors.New("malformed revocations")
	// ErrRevocationsForged is wrapped by errors about revocations that the stream's own key did not
	// sign.
	ErrRevocationsForged = errors.New("revocations not signed by the stream's key")
)

// Revocations are the keys to which a stream's key has delegated, and which it takes back. Those
// of the largest issue count. They were verified, and must not be changed.
type Revocations struct {
	Stream ID
	Issue  uint64 // larger than that of every earlier one
	Keys   []ID   // sorted
	raw    []byte
}

// Field numbers of messages SignedRevocations and Revocations, see the package's documentation.
// They are none of SignedHeader's, so that both can travel the same way.
const (
	fieldSignedRevocations    = 4
	fieldRevocationsSignature = 5

	fieldRevocationsIssue = 1
	fieldRevocationsKeys  = 2
)

// revocationsTag is the first byte of SignedRevocations, and of no SignedHeader: field 4, bytes.
const revocationsTag = fieldSignedRevocations<<3 | 2

// AreRevocations reports whether bytes that travel as a header are revocations instead.
func AreRevocations(raw []byte) bool { return len(raw) > 0 && raw[0] == revocationsTag }

// Bytes returns the serialised revocations and signature, to be passed on. They must not be
// changed.
func (r *Revocations) Bytes() []byte { return r.raw }

// Revoke takes back what the key delegated to others. The issue must be larger than that of every
// earlier one. Errors wrap [ErrBadRevocations], or [ErrDelegationRole] if the key itself is a
// delegate.
func (k Key) Revoke(issue uint64, keys []ID) (*Revocations, error) {
	if k.by != nil {
		return nil, fmt.Errorf("%w: only the stream's own key revokes", ErrDelegationRole)
	}
	sorted := slices.Clone(keys)
	slices.SortFunc(sorted, func(a, b ID) int { return bytes.Compare(a[:], b[:]) })
	r := &Revocations{Stream: k.ID(), Issue: issue, Keys: slices.Compact(sorted)}
	if err := r.validate(); err != nil {
		return nil, err
	}
	r.raw = r.marshal(ed25519.Sign(k.private, r.message()))
	return r, nil
}

// OpenRevocations reads revocations, and checks that the stream's own key signed them, byte for
// byte. It keeps raw. Errors wrap [ErrBadRevocations] or [ErrRevocationsForged].
func OpenRevocations(id ID, raw []byte) (*Revocations, error) {
	if len(raw) > MaxRevocationsSize {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrBadRevocations, len(raw), MaxRevocationsSize)
	}
	var body, signature, keys []byte
	err := wire.Fields(raw, func(field int, _ uint64, v []byte) {
		switch field {
		case fieldSignedRevocations:
			body = v
		case fieldRevocationsSignature:
			signature = v
		}
	})
	r := &Revocations{Stream: id, raw: raw}
	if err == nil {
		err = wire.Fields(body, func(field int, v uint64, b []byte) {
			switch field {
			case fieldRevocationsIssue:
				r.Issue = v
			case fieldRevocationsKeys:
				keys = b
			}
		})
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrBadRevocations, err)
	case len(keys)%len(ID{}) != 0 || len(signature) != ed25519.SignatureSize:
		return nil, fmt.Errorf("%w: a key or a signature of another length", ErrBadRevocations)
	}
	for k := range slices.Chunk(keys, len(ID{})) {
		r.Keys = append(r.Keys, ID(k))
	}
	if err := r.validate(); err != nil {
		return nil, err
	}
	// Else each other way to write them would be news to gossip.
	if !bytes.Equal(raw, r.marshal(signature)) {
		return nil, fmt.Errorf("%w: not written as revocations are", ErrBadRevocations)
	}
	if !ed25519.Verify(id[:], r.message(), signature) {
		return nil, fmt.Errorf("%w: %s", ErrRevocationsForged, id.Short())
	}
	return r, nil
}

// validate checks what all revocations must obey, whether read or about to be signed.
func (r *Revocations) validate() error {
	switch {
	case r.Issue == 0:
		return fmt.Errorf("%w: they have no issue", ErrBadRevocations)
	case len(r.Keys) == 0 || len(r.Keys) > MaxRevocations:
		return fmt.Errorf("%w: %d keys, 1 to %d are allowed", ErrBadRevocations, len(r.Keys), MaxRevocations)
	case slices.Contains(r.Keys, r.Stream):
		return fmt.Errorf("%w: a stream's own key cannot be revoked", ErrBadRevocations)
	}
	for i := 1; i < len(r.Keys); i++ {
		if bytes.Compare(r.Keys[i-1][:], r.Keys[i][:]) >= 0 {
			return fmt.Errorf("%w: the keys are not in order", ErrBadRevocations)
		}
	}
	return nil
}

// body is what is signed.
func (r *Revocations) body() []byte {
	keys := make([]byte, 0, len(r.Keys)*len(ID{}))
	for _, k := range r.Keys {
		keys = append(keys, k[:]...)
	}
	return wire.AppendBytes(wire.AppendUint(nil, fieldRevocationsIssue, r.Issue), fieldRevocationsKeys, keys)
}

func (r *Revocations) message() []byte {
	m := append([]byte(revocationsContext), r.Stream[:]...)
	return append(m, r.body()...)
}

func (r *Revocations) marshal(signature []byte) []byte {
	return wire.AppendBytes(wire.AppendBytes(nil, fieldSignedRevocations, r.body()), fieldRevocationsSignature, signature)
}

// Has reports whether a key is revoked.
func (r *Revocations) Has(key ID) bool {
	_, found := slices.BinarySearchFunc(r.Keys, key, func(a, b ID) int { return bytes.Compare(a[:], b[:]) })
	return found
}

// String writes the revocations for people to pass on, as [Delegation.String] does.
func (r *Revocations) String() string {
	return revocationsText + " " + r.Stream.String() + " " + base64.RawURLEncoding.EncodeToString(r.raw)
}

// ParseRevocations reads what [Revocations.String] writes, as [OpenRevocations] does.
func ParseRevocations(s string) (*Revocations, error) {
	id, raw, err := parseRoleText(revocationsText, s)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadRevocations, err)
	}
	return OpenRevocations(id, raw)
}
