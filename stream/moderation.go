package stream

import (
	"bytes"
	"crypto/hpke"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/grapevine-live/grapevine/stream/wire"
)

const (
	// MaxModeration bounds a serialised moderation in bytes.
	MaxModeration     = 256 + maxDelegation
	maxModerationTime = maxProgramTime / 1000 // milliseconds
	// moderationContext separates the signatures of moderations from whatever else the same keys sign.
	moderationContext = "grapevine moderation v1\n"
)

var (
	// ErrBadModeration is wrapped by errors about bytes that are no moderation, and no answer to one.
	ErrBadModeration = errors.New("malformed moderation")
	// ErrModerationForged is wrapped by errors about moderations that neither the stream's key signed
	// nor a moderator, and about answers that the broadcaster did not.
	ErrModerationForged = errors.New("moderation not signed by a moderator of the stream")
	// ErrModerationTime is wrapped by errors about moderations that were signed too long ago, or later
	// than now.
	ErrModerationTime = errors.New("the moderation is of another time")
)

// Moderation is what a moderator asks of a private stream's broadcaster: to take an invite back,
// or who is invited. To ask the same again changes nothing.
type Moderation struct {
	Issued time.Time // whole milliseconds
	Revoke InviteID  // the invite to take back; zero to be told who is invited
	From   int       // then, from which invite on, of all in the order in which they were made
}

// Asks reports whether the moderation only asks who is invited.
func (m *Moderation) Asks() bool { return m.Revoke == InviteID{} }

// SignedModeration is a moderation whose signature was checked, together with the bytes that carry
// it. It must not be changed.
type SignedModeration struct {
	Moderation
	Stream ID
	answer [32]byte // X25519, to which the answer is sealed
	raw    []byte
	by     *Delegation
}

// Delegation returns what lets the moderator's key act for the stream; nil if the stream's own key
// signed.
func (m *SignedModeration) Delegation() *Delegation { return m.by }

// Moderator returns the key that signed.
func (m *SignedModeration) Moderator() ID {
	if m.by != nil {
		return m.by.Delegate
	}
	return m.Stream
}

// Bytes returns the serialised moderation and signature, to be passed on. They must not be changed.
func (m *SignedModeration) Bytes() []byte { return m.raw }

// ModerationID is the SHA-256 of a signed moderation's bytes, by which its answer names it.
type ModerationID [sha256.Size]byte

// ID returns how the moderation's answer names it.
func (m *SignedModeration) ID() ModerationID { return sha256.Sum256(m.raw) }

// Field numbers of message Moderation, see the package's documentation.
const (
	fieldModerationIssued = iota + 1
	fieldModerationRevoke
	fieldModerationFrom
	fieldModerationAnswer
)

// ModeratorKey opens the answer to one moderation. It is kept nowhere.
type ModeratorKey struct{ key hpke.PrivateKey }

// Moderate signs a moderation of the key's stream, whose answer a key that it returns opens. Errors
// wrap [ErrBadModeration], or [ErrDelegationRole] or [ErrDelegationTime] if the key may not sign it.
func (k Key) Moderate(m Moderation) (*SignedModeration, *ModeratorKey, error) {
	seed := NewSecret()
	key, public := hpkeKey(seed[:], moderationContext, k.ID())
	s := &SignedModeration{Moderation: m, Stream: k.ID(), answer: public, by: k.by}
	s.Issued = s.Issued.UTC().Truncate(time.Millisecond)
	if err := errors.Join(s.validate(), k.may(RoleModerator)); err != nil {
		return nil, nil, err
	}
	if k.by != nil {
		if err := k.by.HoldsAt(s.Issued); err != nil {
			return nil, nil, err
		}
	}
	s.raw = marshalSigned(s.body(), k.signMessage(s.message()), delegationOf(k.by))
	return s, &ModeratorKey{key}, nil
}

// OpenModeration reads a moderation, and checks that the stream's key signed it, or one to which that
// delegated it, byte for byte. It keeps raw. Errors wrap [ErrBadModeration] or
// [ErrModerationForged]. Whether it and the delegation are of this time is for who uses it.
func OpenModeration(id ID, raw []byte) (*SignedModeration, error) {
	return openModeration(id, raw, OpenDelegation)
}

func openModeration(id ID, raw []byte, delegation func(ID, []byte) (*Delegation, error)) (*SignedModeration, error) {
	if len(raw) > MaxModeration {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrBadModeration, len(raw), MaxModeration)
	}
	body, signature, delegated, err := parseSigned(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadModeration, err)
	}
	m, err := parseModeration(id, body)
	if err != nil {
		return nil, err
	}
	// One moderation has one way to be written, or each other way would be news to gossip.
	if !bytes.Equal(raw, marshalSigned(m.body(), signature, delegated)) {
		return nil, fmt.Errorf("%w: not written as moderations are", ErrBadModeration)
	}
	m.raw = raw
	switch m.by, err = openDelegated(id, delegated, RoleModerator, delegation); {
	case errors.Is(err, ErrBadDelegation):
		return nil, fmt.Errorf("%w: %w", ErrBadModeration, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrModerationForged, err)
	case !verify(id, m.by, m.message(), signature):
		return nil, fmt.Errorf("%w: %s", ErrModerationForged, id.Short())
	}
	return m, nil
}

// parseModeration reads what body writes.
func parseModeration(id ID, body []byte) (*SignedModeration, error) {
	m := &SignedModeration{Stream: id}
	var revoke, answer []byte
	var issued, from uint64
	err := wire.Fields(body, func(field int, v uint64, raw []byte) {
		switch field {
		case fieldModerationIssued:
			issued = v
		case fieldModerationRevoke:
			revoke = raw
		case fieldModerationFrom:
			from = v
		case fieldModerationAnswer:
			answer = raw
		}
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrBadModeration, err)
	case len(revoke) != 0 && len(revoke) != len(m.Revoke) || len(answer) != len(m.answer):
		return nil, fmt.Errorf("%w: a key of another length", ErrBadModeration)
	case issued > maxModerationTime || from > MaxViewers: // before a conversion could wrap
		return nil, fmt.Errorf("%w: a number is out of bounds", ErrBadModeration)
	}
	m.Issued, m.From, m.answer = time.UnixMilli(int64(issued)).UTC(), int(from), [32]byte(answer)
	copy(m.Revoke[:], revoke)
	return m, m.validate()
}

// validate checks what every moderation must obey, whether read or about to be signed.
func (m *SignedModeration) validate() error {
	switch {
	case m.Issued.UnixMilli() <= 0 || m.Issued.UnixMilli() > maxModerationTime:
		return fmt.Errorf("%w: issued at %v", ErrBadModeration, m.Issued)
	case m.From < 0 || m.From > MaxViewers || m.From > 0 && !m.Asks():
		return fmt.Errorf("%w: from %d", ErrBadModeration, m.From)
	}
	return nil
}

// body is what is signed.
func (m *SignedModeration) body() []byte {
	b := wire.AppendUint(nil, fieldModerationIssued, uint64(m.Issued.UnixMilli()))
	if !m.Asks() {
		b = wire.AppendBytes(b, fieldModerationRevoke, m.Revoke[:])
	}
	b = wire.AppendUint(b, fieldModerationFrom, uint64(m.From))
	return wire.AppendBytes(b, fieldModerationAnswer, m.answer[:])
}

func (m *SignedModeration) message() []byte {
	b := append([]byte(moderationContext), m.Stream[:]...)
	return append(b, m.body()...)
}

// OfTime checks that a moderation was signed at a time of this node's clock, which may be
// [DelegationSkew] off. Errors wrap [ErrModerationTime].
func (m *SignedModeration) OfTime(now time.Time) error {
	if d := now.Sub(m.Issued); d > DelegationSkew || d < -DelegationSkew {
		return fmt.Errorf("%w: it was signed at %v", ErrModerationTime, m.Issued)
	}
	return nil
}
