package stream

import (
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

// OpenHeader reads a header and checks that id's key signed it. It keeps raw.
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

// sign serialises and signs h, which gets the key's stream.
func (k Key) sign(h Header) (*SignedHeader, error) {
	h.Stream = k.ID()
	if err := h.validate(); err != nil {
		return nil, err
	}
	body := h.marshal()
	signature := ed25519.Sign(k.private, signedMessage(h.Stream, body))
	raw := wire.AppendBytes(nil, fieldSignedHeader, body)
	raw = wire.AppendBytes(raw, fieldSignedSignature, signature)
	return &SignedHeader{h, raw}, nil
}

func signedMessage(id ID, body []byte) []byte {
	m := make([]byte, 0, len(signContext)+len(id)+len(body))
	m = append(m, signContext...)
	m = append(m, id[:]...)
	return append(m, body...)
}
