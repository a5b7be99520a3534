package stream

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/stream/wire"
)

const (
	// maxKnownDelegations bounds the delegations that are remembered as verified.
	maxKnownDelegations = 64
	// delegatedContext separates what delegates sign from what a stream's own key does.
	delegatedContext = "grapevine delegated v1\n"
	// fieldDelegated is the field of a delegation in what a delegate signed.
	fieldDelegated = 3
)

// Roles is what a node knows of who may act for a stream: the delegations that it has verified, so
// that each costs a signature's check once and not with every header, and the newest revocations.
// It is safe for concurrent use.
type Roles struct {
	id ID

	mu          sync.Mutex // guards all following
	delegations map[string]*Delegation
	revocations *Revocations // nil for none
}

// NewRoles returns the roles of a stream of which nothing is known.
func NewRoles(id ID) *Roles { return &Roles{id: id, delegations: make(map[string]*Delegation)} }

// OpenHeader is the function of that name, and remembers delegations. Whether the delegation was
// revoked is not asked here: timelines do.
func (r *Roles) OpenHeader(raw []byte) (*SignedHeader, error) {
	return openHeader(r.id, raw, r.delegation)
}

// OpenEnrolment is the function of that name, and remembers delegations.
func (r *Roles) OpenEnrolment(raw []byte) (*Enrolment, error) {
	return openEnrolment(r.id, raw, r.delegation)
}

// OpenSurvey is the function of that name, and remembers delegations.
func (r *Roles) OpenSurvey(raw []byte) (*SignedSurvey, error) {
	return openSurvey(r.id, raw, r.delegation)
}

// OpenModeration is the function of that name, and remembers delegations.
func (r *Roles) OpenModeration(raw []byte) (*SignedModeration, error) {
	return openModeration(r.id, raw, r.delegation)
}

// OpenModerationAnswer is the function of that name, and remembers delegations.
func (r *Roles) OpenModerationAnswer(raw []byte) (*SealedAnswer, error) {
	return openModerationAnswer(r.id, raw, r.delegation)
}

// delegation is [OpenDelegation] for one that may be known.
func (r *Roles) delegation(_ ID, raw []byte) (*Delegation, error) {
	r.mu.Lock()
	known := r.delegations[string(raw)]
	r.mu.Unlock()
	if known != nil {
		return known, nil
	}
	d, err := OpenDelegation(r.id, bytes.Clone(raw)) // not to keep all that it came with
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.delegations) >= maxKnownDelegations {
		clear(r.delegations) // the stream's key alone makes them
	}
	r.delegations[string(raw)] = d
	return d, nil
}

// Adopt takes revocations of the stream, and reports whether they are newer than those known.
func (r *Roles) Adopt(l *Revocations) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.Stream != r.id || r.revocations != nil && l.Issue <= r.revocations.Issue {
		return false
	}
	r.revocations = l
	return true
}

// Revocations returns the newest that are known, nil for none.
func (r *Roles) Revocations() *Revocations {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.revocations
}

// Revoked checks that a delegation was not revoked, as far as is known; nil stands for the
// stream's own key, which cannot be. Errors wrap [ErrRevoked].
func (r *Roles) Revoked(by *Delegation) error {
	if by == nil {
		return nil
	}
	if l := r.Revocations(); l != nil && l.Has(by.Delegate) {
		return fmt.Errorf("%w: %s", ErrRevoked, by.Delegate.Short())
	}
	return nil
}

// Holds checks that a delegation was not revoked, as far as is known, and holds now. Errors wrap
// [ErrRevoked] or [ErrDelegationTime].
func (r *Roles) Holds(by *Delegation, now time.Time) error {
	if by == nil {
		return nil
	}
	if err := r.Revoked(by); err != nil {
		return err
	}
	return by.HoldsAt(now)
}

// openDelegated opens the delegation of what a stream's key signed, or a delegate whose role it is;
// nil for no bytes.
func openDelegated(id ID, raw []byte, role Role, open func(ID, []byte) (*Delegation, error)) (*Delegation, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	d, err := open(id, raw)
	if err != nil {
		return nil, err
	}
	return d, d.is(role)
}

// signMessage signs with the key, and with what lets it act for the stream.
func (k Key) signMessage(message []byte) []byte {
	return ed25519.Sign(k.private, delegatedMessage(k.by, message))
}

// verify checks that a stream's key signed a message, or the delegate if there is a delegation.
func verify(id ID, by *Delegation, message, signature []byte) bool {
	if by != nil {
		id = by.Delegate
	}
	return len(signature) == ed25519.SignatureSize && ed25519.Verify(id[:], delegatedMessage(by, message), signature)
}

// delegatedMessage is what is signed: by a delegate, with the delegation, so that nobody can put
// another one of the same key in its place.
func delegatedMessage(by *Delegation, message []byte) []byte {
	if by == nil {
		return message
	}
	m := make([]byte, 0, len(delegatedContext)+len(by.raw)+len(message)+8)
	m = append(m, delegatedContext...)
	m = wire.AppendBytes(m, fieldDelegated, by.raw)
	return append(m, message...)
}

// delegationOf returns the bytes of a delegation; none for nil.
func delegationOf(by *Delegation) []byte {
	if by == nil {
		return nil
	}
	return by.raw
}
