package stream

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/grapevine-live/grapevine/stream/wire"
)

// signContext separates header signatures from whatever else the key may sign.
const signContext = "grapevine header v1\n"

// ErrForged is wrapped by errors about headers that neither the stream's key signed nor one to
// which it delegated that, for their time.
var ErrForged = errors.New("header not signed by the stream's key")

// SignedHeader is a header whose signature was checked, together with the bytes
// that carry it. It must not be changed.
type SignedHeader struct {
	Header
	raw []byte
	by  *Delegation
}

// Delegation returns what let another key sign the header; nil if the stream's own key did.
func (s *SignedHeader) Delegation() *Delegation { return s.by }

// Bytes returns the serialised header and signature, to be passed on. They must
// not be changed.
func (s *SignedHeader) Bytes() []byte { return s.raw }

const (
	fieldSignedHeader    = 1
	fieldSignedSignature = 2
)

// OpenHeader reads a header and checks that id's key signed it, or one to which that delegated
// it, byte for byte: no other bytes open as the same header. It keeps raw. Who opens many does so
// by [Roles]. Errors wrap [ErrMalformed] or [ErrForged].
func OpenHeader(id ID, raw []byte) (*SignedHeader, error) {
	return openHeader(id, raw, OpenDelegation)
}

func openHeader(id ID, raw []byte, delegation func(ID, []byte) (*Delegation, error)) (*SignedHeader, error) {
	if len(raw) > MaxHeaderSize {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrMalformed, len(raw), MaxHeaderSize)
	}
	body, signature, delegated, err := parseSigned(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	// Else anybody could write a signed header in many ways, each news to gossip and an
	// equivocation to timelines.
	if !bytes.Equal(raw, marshalSigned(body, signature, delegated)) {
		return nil, fmt.Errorf("%w: header, signature and delegation are not all, or not in order, or written at length", ErrMalformed)
	}
	// Reading costs a hundredth of what verifying does, so nonsense is refused first.
	h, err := parseHeader(id, body)
	if err != nil {
		return nil, err
	}
	by, err := openDelegated(id, delegated, RoleBroadcast, delegation)
	switch {
	case errors.Is(err, ErrBadDelegation):
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrForged, err)
	}
	if by != nil {
		if err := by.covers(h); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrForged, err)
		}
	}
	if !verify(id, by, signedMessage(id, body), signature) {
		return nil, fmt.Errorf("%w: part %v", ErrForged, h.Position)
	}
	return &SignedHeader{*h, raw, by}, nil
}

// parseSigned reads what marshalSigned writes, or what has the same fields written otherwise.
func parseSigned(raw []byte) (body, signature, delegation []byte, err error) {
	err = wire.Fields(raw, func(field int, _ uint64, v []byte) {
		switch field {
		case fieldSignedHeader:
			body = v
		case fieldSignedSignature:
			signature = v
		case fieldDelegated:
			delegation = v
		}
	})
	return body, signature, delegation, err
}

// marshalSigned writes what was signed, and the delegation of who signed it, if there is one.
func marshalSigned(body, signature, delegation []byte) []byte {
	b := make([]byte, 0, len(body)+len(signature)+len(delegation)+16)
	b = wire.AppendBytes(b, fieldSignedHeader, body)
	b = wire.AppendBytes(b, fieldSignedSignature, signature)
	return wire.AppendBytes(b, fieldDelegated, delegation)
}

// sign serialises and signs h, which gets the key's stream. It returns what others
// will read, rounded as the wire does. Errors wrap [ErrMalformed], or [ErrDelegationTime] or
// [ErrDelegationRole] if the key may not sign it.
func (k Key) sign(h Header) (*SignedHeader, error) {
	h.Stream = k.ID()
	if err := h.validate(); err != nil {
		return nil, err
	}
	body := h.marshal()
	read, err := parseHeader(h.Stream, body)
	if err != nil {
		return nil, err
	}
	if k.by != nil {
		if err := errors.Join(k.may(RoleBroadcast), k.by.covers(read)); err != nil {
			return nil, err
		}
	}
	signature := k.signMessage(signedMessage(h.Stream, body))
	return &SignedHeader{*read, marshalSigned(body, signature, delegationOf(k.by)), k.by}, nil
}

func signedMessage(id ID, body []byte) []byte {
	m := make([]byte, 0, len(signContext)+len(id)+len(body))
	m = append(m, signContext...)
	m = append(m, id[:]...)
	return append(m, body...)
}
