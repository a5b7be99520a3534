package p2p

import (
	"fmt"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/wire"
)

// Bounds of what one answer says of the past.
const (
	// maxPastHeaders and maxPastBytes bound the headers of an answer: at 4 Mbit/s nine
	// minutes of half second parts, in 0.7 MB.
	maxPastHeaders = 1024
	maxPastBytes   = 1 << 20
	maxSpans       = stream.MaxSpans
)

// pastRequest asks what a peer holds, and for headers that are older than a position.
type pastRequest struct {
	rendition string
	from      stream.Position // the oldest wanted
	before    stream.Position // older than this
	headers   int             // at most so many, the newest first; 0 for none
}

func (r pastRequest) marshal() []byte {
	m := wire.AppendBytes(nil, 1, []byte(r.rendition))
	m = wire.AppendBytes(m, 2, marshalPosition(r.from))
	m = wire.AppendBytes(m, 3, marshalPosition(r.before))
	return wire.AppendUint(m, 4, uint64(r.headers))
}

func parsePastRequest(b []byte) (*pastRequest, error) {
	r := &pastRequest{}
	var from, before []byte
	err := wire.Fields(b, func(field int, v uint64, raw []byte) {
		switch field {
		case 1:
			r.rendition = string(raw)
		case 2:
			from = raw
		case 3:
			before = raw
		case 4:
			r.headers = int(min(v, maxPastHeaders))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errWire, err)
	}
	if !stream.ValidRendition(r.rendition) {
		return nil, fmt.Errorf("%w: rendition", errWire)
	}
	if r.from, err = parsePosition(from); err != nil {
		return nil, err
	}
	r.before, err = parsePosition(before)
	return r, err
}

func parseSpan(b []byte) (*stream.Span, error) {
	s, err := stream.ParseSpan(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", errWire, err)
	}
	return &s, nil
}
