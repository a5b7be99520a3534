package stream

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/grapevine-live/grapevine/stream/wire"
)

// signContext separates header signatures from whatever else the key may sign.
const signContext = "grapevine header v1\n"

// ErrForged is wrapped by errors about headers that the stream's key did not sign.
var ErrForged = errors.New("header not signed by the stream's key")

// SignedHeader is a header whose signature was checked, together with the bytes
// that carry it. It must not be changed.
type SignedHeader struct {
	Header
	raw []byte
}

// Bytes returns the serialised header and signature, to be passed on. They must
// not be changed.
func (s *SignedHeader) Bytes() []byte { return s.raw }

const (
	fieldSignedHeader    = 1
	fieldSignedSignature = 2
)

// OpenHeader reads a header and checks that id's key signed it, byte for byte: no
// other bytes open as the same header. It keeps raw.
// Errors wrap [ErrMalformed] or [ErrForged].
func OpenHeader(id ID, raw []byte) (*SignedHeader, error) {
	if len(raw) > MaxHeaderSize {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrMalformed, len(raw), MaxHeaderSize)
	}
	var body, signature []byte
	err := wire.Fields(raw, func(field int, _ uint64, v []byte) {
		switch field {
		case fieldSignedHeader:
			body = v
		case fieldSignedSignature:
			signature = v
		}
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	// Else anybody could write a signed header in many ways, each news to gossip and an
	// equivocation to timelines.
	if !bytes.Equal(raw, marshalSigned(body, signature)) {
		return nil, fmt.Errorf("%w: header and signature are not all, or not in order, or written at length", ErrMalformed)
	}
	// Reading costs a hundredth of what verifying does, so nonsense is refused first.
	h, err := parseHeader(id, body)
	if err != nil {
		return nil, err
	}
	if len(signature) != ed25519.SignatureSize || !ed25519.Verify(id[:], signedMessage(id, body), signature) {
		return nil, fmt.Errorf("%w: part %v", ErrForged, h.Position)
	}
	return &SignedHeader{*h, raw}, nil
}

func marshalSigned(body, signature []byte) []byte {
	b := make([]byte, 0, len(body)+len(signature)+16)
	b = wire.AppendBytes(b, fieldSignedHeader, body)
	return wire.AppendBytes(b, fieldSignedSignature, signature)
}

// sign serialises and signs h, which gets the key's stream. It returns what others
// will read, rounded as the wire does.
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
	signature := ed25519.Sign(k.private, signedMessage(h.Stream, body))
	return &SignedHeader{*read, marshalSigned(body, signature)}, nil
}

func signedMessage(id ID, body []byte) []byte {
	m := make([]byte, 0, len(signContext)+len(id)+len(body))
	m = append(m, signContext...)
	m = append(m, id[:]...)
	return append(m, body...)
}
