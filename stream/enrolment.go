package stream

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/grapevine-live/grapevine/stream/wire"
)

// MaxEnrolment bounds an enrolment in bytes.
const MaxEnrolment = 512 + maxDelegation

var (
	// ErrBadEnrolment is wrapped by errors about bytes that are no enrolment.
	ErrBadEnrolment = errors.New("malformed enrolment")
	// ErrEnrolmentForged is wrapped by errors about enrolments that no invite's key signed.
	ErrEnrolmentForged = errors.New("enrolment not signed by an invite to the stream")
)

// Enrolment asks the broadcaster to give a viewer keys. Everybody can tell that it is made with
// an invite, and only the broadcaster whose it is.
type Enrolment struct {
	Grant
	sealed []byte // the viewer's ID
}

// Field numbers of message Enrolment, see the package's documentation.
const (
	fieldEnrolmentGrant = iota + 1
	fieldEnrolmentSealed
	fieldEnrolmentSignature
)

func enrolmentMessage(id ID, grant, sealed []byte) []byte {
	m := append([]byte(enrolmentContext), id[:]...)
	m = wire.AppendBytes(m, fieldEnrolmentGrant, grant)
	return wire.AppendBytes(m, fieldEnrolmentSealed, sealed)
}

func enrolmentInfo(g *Grant) []byte {
	return append(append([]byte(enrolmentContext), g.Stream[:]...), g.Invite[:]...)
}

// Enrol returns an enrolment of a viewer, different each time.
func (i *Invite) Enrol(v ViewerID) ([]byte, error) {
	sealed, err := hpkeSeal(i.enrol, enrolmentInfo(&i.Grant), v[:])
	if err != nil {
		return nil, fmt.Errorf("seal an enrolment: %w", err)
	}
	grant := i.marshal()
	return marshalEnrolment(grant, sealed, ed25519.Sign(i.secret, enrolmentMessage(i.Stream, grant, sealed))), nil
}

func marshalEnrolment(grant, sealed, signature []byte) []byte {
	b := wire.AppendBytes(nil, fieldEnrolmentGrant, grant)
	b = wire.AppendBytes(b, fieldEnrolmentSealed, sealed)
	return wire.AppendBytes(b, fieldEnrolmentSignature, signature)
}

// OpenEnrolment reads an enrolment, and checks that it was made with an invite that the stream's
// key signed, byte for byte. Errors wrap [ErrBadEnrolment], [ErrBadInvite], [ErrInviteForged] or
// [ErrEnrolmentForged].
func OpenEnrolment(id ID, raw []byte) (*Enrolment, error) {
	return openEnrolment(id, raw, OpenDelegation)
}

func openEnrolment(id ID, raw []byte, delegation func(ID, []byte) (*Delegation, error)) (*Enrolment, error) {
	if len(raw) > MaxEnrolment {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrBadEnrolment, len(raw), MaxEnrolment)
	}
	var grant, sealed, signature []byte
	err := wire.Fields(raw, func(field int, _ uint64, v []byte) {
		switch field {
		case fieldEnrolmentGrant:
			grant = v
		case fieldEnrolmentSealed:
			sealed = v
		case fieldEnrolmentSignature:
			signature = v
		}
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadEnrolment, err)
	}
	if len(sealed) != hpkeOverhead+len(ViewerID{}) || len(signature) != ed25519.SignatureSize {
		return nil, fmt.Errorf("%w: %d and %d bytes", ErrBadEnrolment, len(sealed), len(signature))
	}
	g, err := parseGrant(id, grant, delegation)
	if err != nil {
		return nil, err
	}
	// Else anybody could write it in many ways, each news to gossip.
	if string(raw) != string(marshalEnrolment(g.marshal(), sealed, signature)) {
		return nil, fmt.Errorf("%w: not written as enrolments are", ErrBadEnrolment)
	}
	if !ed25519.Verify(g.Invite[:], enrolmentMessage(id, grant, sealed), signature) {
		return nil, ErrEnrolmentForged
	}
	return &Enrolment{*g, sealed}, nil
}

// OpenEnrolled returns the viewer of an enrolment to the key's stream. Errors wrap
// [ErrBadEnrolment].
func (k Key) OpenEnrolled(e *Enrolment) (v ViewerID, err error) {
	key, _ := k.enrolKey()
	raw, err := hpkeOpen(key, enrolmentInfo(&e.Grant), e.sealed)
	if err != nil || len(raw) != len(v) {
		return v, fmt.Errorf("%w: it does not open", ErrBadEnrolment)
	}
	v = ViewerID(raw)
	if _, err := hpkeSeal(v, nil, nil); err != nil { // of low order, for one
		return v, fmt.Errorf("%w: the viewer's key is none: %w", ErrBadEnrolment, err)
	}
	return v, nil
}
