package stream

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/grapevine-live/grapevine/stream/wire"
)

const (
	// reportContext separates reports from whatever else is signed or sealed, drawContext the draw
	// of those who report.
	reportContext = "grapevine report v1\n"
	drawContext   = "grapevine report draw v1\n"

	// reportPlain is how long every signed report is made before it is sealed, so that its length
	// tells nothing.
	reportPlain  = 448
	reportSealed = reportPlain + hpkeOverhead
	// MaxReportSize bounds a serialised SealedReport.
	MaxReportSize = reportSealed + 32
)

var (
	// ErrForgedReport is wrapped by errors about reports that do not open, or that their own key
	// did not sign for this survey.
	ErrForgedReport = errors.New("report not signed by its key for this survey")
	// ErrNotDrawn is wrapped by errors about reports of who was not to report this time.
	ErrNotDrawn = errors.New("report of who was not drawn")
)

// Field numbers of messages SignedReport and SealedReport, see the package's documentation.
const (
	fieldReport         = 1
	fieldReportKey      = 2
	fieldReportSign     = 3
	fieldSealedEpoch    = 1
	fieldSealedRound    = 2
	fieldSealedEnvelope = 3
)

// ReporterID is the Ed25519 public key of who reports, made anew for each epoch of each stream: two
// reports are told to be of one node by it, and nothing else is.
type ReporterID [ed25519.PublicKeySize]byte

// Reporter signs the reports of a node in one epoch of a stream.
type Reporter struct {
	private ed25519.PrivateKey
	id      ReporterID
}

// NewReporter makes a key from the system's randomness.
func NewReporter() *Reporter {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err) // crypto/rand never fails (Go 1.24)
	}
	return &Reporter{private, ReporterID(public)}
}

// ID returns the public key.
func (r *Reporter) ID() ReporterID { return r.id }

// Drawn reports whether this node is among those whom a survey asks.
func (r *Reporter) Drawn(s *SignedSurvey) bool { return s.draws(r.id) }

// draws reports whether a survey asks a node: everybody who knows its key can tell.
func (s *Survey) draws(id ReporterID) bool {
	sum := sha256.Sum256(append(s.place(drawContext), id[:]...))
	return uint64(binary.BigEndian.Uint32(sum[:])) < s.Sampling
}

// Seal signs a report that answers a survey, and seals it to the broadcaster: different bytes each
// time. What is beyond a bound is cut to it. Errors wrap [ErrBadReport].
func (r *Reporter) Seal(s *SignedSurvey, report Report) ([]byte, error) {
	report.clamp()
	if err := report.validate(); err != nil {
		return nil, err
	}
	body := report.marshal()
	signed := marshalSignedReport(body, r.id, ed25519.Sign(r.private, append(s.place(reportContext), body...)))
	plain := make([]byte, reportPlain)
	if len(signed)+2 > len(plain) {
		return nil, fmt.Errorf("%w: %d bytes", ErrBadReport, len(signed))
	}
	binary.BigEndian.PutUint16(plain, uint16(len(signed)))
	copy(plain[2:], signed)
	sealed, err := hpkeSeal(s.key, s.place(reportContext), plain)
	if err != nil {
		return nil, fmt.Errorf("%w: seal it: %w", ErrBadReport, err)
	}
	return (&SealedReport{Epoch: s.Epoch, Round: s.Round, sealed: sealed}).marshal(), nil
}

func marshalSignedReport(body []byte, id ReporterID, signature []byte) []byte {
	b := wire.AppendMessage(nil, fieldReport, body) // present even when empty
	b = wire.AppendBytes(b, fieldReportKey, id[:])
	return wire.AppendBytes(b, fieldReportSign, signature)
}

// SealedReport is a report on its way, which only the broadcaster can open.
type SealedReport struct {
	Epoch, Round uint64 // of the survey that it answers
	sealed       []byte
	raw          []byte
}

// Bytes returns the serialised report, to be passed on. They must not be changed.
func (r *SealedReport) Bytes() []byte { return r.raw }

func (r *SealedReport) marshal() []byte {
	b := wire.AppendUint(nil, fieldSealedEpoch, r.Epoch)
	b = wire.AppendUint(b, fieldSealedRound, r.Round)
	return wire.AppendBytes(b, fieldSealedEnvelope, r.sealed)
}

// ParseSealedReport reads a report that is on its way. It keeps raw. Errors wrap [ErrBadReport].
func ParseSealedReport(raw []byte) (*SealedReport, error) {
	if len(raw) > MaxReportSize {
		return nil, fmt.Errorf("%w: %d bytes", ErrBadReport, len(raw))
	}
	r := &SealedReport{raw: raw}
	err := wire.Fields(raw, func(field int, v uint64, b []byte) {
		switch field {
		case fieldSealedEpoch:
			r.Epoch = v
		case fieldSealedRound:
			r.Round = v
		case fieldSealedEnvelope:
			r.sealed = b
		}
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadReport, err)
	}
	if len(r.sealed) != reportSealed || !bytes.Equal(raw, r.marshal()) {
		return nil, fmt.Errorf("%w: not written as reports are", ErrBadReport)
	}
	return r, nil
}

// SignedReport is a report whose signature was checked.
type SignedReport struct {
	Report
	Reporter ReporterID
}

// Open opens a report that answers a survey, and checks that its key signed it and was drawn.
// Errors wrap [ErrBadReport], [ErrForgedReport] or [ErrNotDrawn].
func (k *SurveyKey) Open(s *SignedSurvey, r *SealedReport) (*SignedReport, error) {
	plain, err := hpkeOpen(k.key, s.place(reportContext), r.sealed)
	if err != nil {
		return nil, fmt.Errorf("%w: it does not open: %w", ErrForgedReport, err)
	}
	return openReport(s, plain)
}

// openReport reads what was sealed.
func openReport(s *SignedSurvey, plain []byte) (*SignedReport, error) {
	if len(plain) != reportPlain || int(binary.BigEndian.Uint16(plain)) > reportPlain-2 {
		return nil, fmt.Errorf("%w: a length", ErrBadReport)
	}
	signed, padding := plain[2:][:binary.BigEndian.Uint16(plain)], plain[2:][binary.BigEndian.Uint16(plain):]
	var body, key, signature []byte
	err := wire.Fields(signed, func(field int, _ uint64, b []byte) {
		switch field {
		case fieldReport:
			body = b
		case fieldReportKey:
			key = b
		case fieldReportSign:
			signature = b
		}
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadReport, err)
	}
	if len(key) != len(ReporterID{}) || len(signature) != ed25519.SignatureSize || len(bytes.Trim(padding, "\x00")) > 0 {
		return nil, fmt.Errorf("%w: a field is out of bounds", ErrBadReport)
	}
	out := &SignedReport{Reporter: ReporterID(key)}
	if out.Report, err = parseReport(body); err != nil {
		return nil, err
	}
	switch {
	case !bytes.Equal(signed, marshalSignedReport(body, out.Reporter, signature)):
		return nil, fmt.Errorf("%w: not written as reports are", ErrBadReport)
	case !ed25519.Verify(key, append(s.place(reportContext), body...), signature):
		return nil, ErrForgedReport
	case !s.draws(out.Reporter):
		return nil, ErrNotDrawn
	}
	return out, nil
}
