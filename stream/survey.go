package stream

import (
	"bytes"
	"crypto/hpke"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/grapevine-live/grapevine/stream/wire"
)

// Bounds of a survey.
const (
	// MaxSampling is the sampling of a survey that asks everybody.
	MaxSampling       = 1 << 32
	MinSurveyInterval = time.Second
	MaxSurveyInterval = time.Minute
	MaxSurveySize     = 256 + maxDelegation // bytes of a serialised SignedSurvey
	surveySalt        = 16                  // bytes
)

const (
	// surveyContext separates surveys' signatures from whatever else the key signs,
	// surveyKeyContext the keys that reports are sealed to from what else is derived.
	surveyContext    = "grapevine survey v1\n"
	surveyKeyContext = "grapevine survey key v1\n"
)

var (
	// ErrBadSurvey is wrapped by errors about what is no survey.
	ErrBadSurvey = errors.New("malformed survey")
	// ErrForgedSurvey is wrapped by errors about surveys that neither the stream's key signed nor
	// one to which it delegated that.
	ErrForgedSurvey = errors.New("survey not signed by the stream's key")
)

// Survey is the broadcaster's question to the nodes of its stream that agreed to answer: how do
// you fare? Each round asks a sample of them, drawn anew, so that the answers stay few.
type Survey struct {
	Stream ID
	Epoch  uint64
	Round  uint64 // from 1 in each epoch, each later than the one before
	// Sampling is how many of 2^32 nodes are to report, from 1 to MaxSampling.
	Sampling uint64
	// Interval is when the next round begins at the earliest, in whole milliseconds: reports are
	// spread over it.
	Interval time.Duration
	salt     [surveySalt]byte // of the draw, so that nobody has keys ready that are drawn
	key      [32]byte         // X25519, to which reports are sealed
}

// Share returns the probability with which a node is to report.
func (s *Survey) Share() float64 { return float64(s.Sampling) / MaxSampling }

// SignedSurvey is a survey whose signature was checked, together with the bytes that carry it.
// It must not be changed.
type SignedSurvey struct {
	Survey
	raw []byte
	by  *Delegation
}

// Delegation returns what let another key sign the survey; nil if the stream's own key did.
func (s *SignedSurvey) Delegation() *Delegation { return s.by }

// Bytes returns the serialised survey and signature, to be passed on. They must not be changed.
func (s *SignedSurvey) Bytes() []byte { return s.raw }

// SurveyKey opens the reports of one run of the broadcaster. It is kept nowhere, so that what was
// reported stays sealed to whoever gets the stream's key later.
type SurveyKey struct {
	key    hpke.PrivateKey
	public [32]byte
}

// NewSurveyKey makes a key from the system's randomness.
func NewSurveyKey(id ID) *SurveyKey {
	seed := NewSecret()
	key, public := hpkeKey(seed[:], surveyKeyContext, id)
	return &SurveyKey{key, public}
}

// Field numbers of message Survey, see the package's documentation.
const (
	fieldSurveyStream = iota + 1
	fieldSurveyEpoch
	fieldSurveyRound
	fieldSurveySampling
	fieldSurveyInterval
	fieldSurveySalt
	fieldSurveyKey
)

// SignSurvey signs a survey of the key's stream, whose reports are sealed to a key. Errors wrap
// [ErrBadSurvey] or [ErrDelegationRole].
func (k Key) SignSurvey(s Survey, to *SurveyKey) (*SignedSurvey, error) {
	s.Stream, s.key = k.ID(), to.public
	s.Interval = s.Interval.Truncate(time.Millisecond)
	_, _ = rand.Read(s.salt[:]) // never fails (Go 1.24)
	if err := errors.Join(s.validate(), k.may(RoleBroadcast)); err != nil {
		return nil, err
	}
	body := s.marshal()
	signature := k.signMessage(append([]byte(surveyContext), body...))
	return &SignedSurvey{s, marshalSigned(body, signature, delegationOf(k.by)), k.by}, nil
}

// OpenSurvey reads a survey of a stream, and checks that its key signed it, or one to which that
// delegated it, byte for byte. It keeps raw. Errors wrap [ErrBadSurvey] or [ErrForgedSurvey]. Whether
// the delegation holds is for who uses it.
func OpenSurvey(id ID, raw []byte) (*SignedSurvey, error) {
	return openSurvey(id, raw, OpenDelegation)
}

func openSurvey(id ID, raw []byte, delegation func(ID, []byte) (*Delegation, error)) (*SignedSurvey, error) {
	if len(raw) > MaxSurveySize {
		return nil, fmt.Errorf("%w: %d bytes", ErrBadSurvey, len(raw))
	}
	body, signature, delegated, err := parseSigned(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadSurvey, err)
	}
	s, err := parseSurvey(body)
	if err != nil {
		return nil, err
	}
	// One survey has one way to be written, or each other way would be news to gossip.
	if !bytes.Equal(raw, marshalSigned(s.marshal(), signature, delegated)) {
		return nil, fmt.Errorf("%w: not written as surveys are", ErrBadSurvey)
	}
	by, err := openDelegated(id, delegated, RoleBroadcast, delegation)
	switch {
	case errors.Is(err, ErrBadDelegation):
		return nil, fmt.Errorf("%w: %w", ErrBadSurvey, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrForgedSurvey, err)
	case s.Stream != id || !verify(id, by, append([]byte(surveyContext), body...), signature):
		return nil, fmt.Errorf("%w: %s", ErrForgedSurvey, id.Short())
	case by != nil && s.Epoch > uint64(by.NotAfter.UnixMilli()):
		return nil, fmt.Errorf("%w: epoch %d, after the delegation", ErrForgedSurvey, s.Epoch)
	}
	return &SignedSurvey{*s, raw, by}, nil
}

// validate checks what every survey must obey, whether read or about to be signed.
func (s *Survey) validate() error {
	switch {
	case s.Round < 1:
		return fmt.Errorf("%w: round %d", ErrBadSurvey, s.Round)
	case s.Sampling < 1 || s.Sampling > MaxSampling:
		return fmt.Errorf("%w: a sampling of %d", ErrBadSurvey, s.Sampling)
	case s.Interval < MinSurveyInterval || s.Interval > MaxSurveyInterval:
		return fmt.Errorf("%w: an interval of %v", ErrBadSurvey, s.Interval)
	}
	return nil
}

// marshal serialises a valid survey.
func (s *Survey) marshal() []byte {
	b := wire.AppendBytes(nil, fieldSurveyStream, s.Stream[:])
	b = wire.AppendUint(b, fieldSurveyEpoch, s.Epoch)
	b = wire.AppendUint(b, fieldSurveyRound, s.Round)
	b = wire.AppendUint(b, fieldSurveySampling, s.Sampling)
	b = wire.AppendUint(b, fieldSurveyInterval, uint64(s.Interval/time.Millisecond))
	b = wire.AppendBytes(b, fieldSurveySalt, s.salt[:])
	return wire.AppendBytes(b, fieldSurveyKey, s.key[:])
}

// parseSurvey reads what marshal writes.
func parseSurvey(b []byte) (*Survey, error) {
	s := &Survey{}
	var id, salt, key []byte
	var interval uint64
	err := wire.Fields(b, func(field int, v uint64, raw []byte) {
		switch field {
		case fieldSurveyStream:
			id = raw
		case fieldSurveyEpoch:
			s.Epoch = v
		case fieldSurveyRound:
			s.Round = v
		case fieldSurveySampling:
			s.Sampling = v
		case fieldSurveyInterval:
			interval = v
		case fieldSurveySalt:
			salt = raw
		case fieldSurveyKey:
			key = raw
		}
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadSurvey, err)
	}
	// Checked before any conversion could wrap.
	if len(id) != len(s.Stream) || len(salt) != surveySalt || len(key) != len(s.key) || interval > uint64(MaxSurveyInterval/time.Millisecond) {
		return nil, fmt.Errorf("%w: a field is out of bounds", ErrBadSurvey)
	}
	s.Stream, s.salt, s.key = ID(id), [surveySalt]byte(salt), [32]byte(key)
	s.Interval = time.Duration(interval) * time.Millisecond
	return s, s.validate()
}

// place is what a report is bound to: the survey that it answers.
func (s *Survey) place(context string) []byte {
	b := append([]byte(context), s.Stream[:]...)
	b = binary.BigEndian.AppendUint64(b, s.Epoch)
	b = binary.BigEndian.AppendUint64(b, s.Round)
	return append(b, s.salt[:]...)
}
