package origin

import (
	"fmt"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/wire"
)

const (
	// Segments is how many of the last segments a timeline has: what a player without low
	// latency starts from, the one under way, and one to spare.
	Segments = 5
	// MaxAfter bounds the headers of one answer about what comes after a part.
	MaxAfter = 64
	// MaxBefore bounds the headers of one answer about what came before a part: nine minutes
	// of half second parts, in 0.7 MB at 4 Mbit/s.
	MaxBefore = 1024
	// maxHeaders and maxHeadersSize bound what a client reads of an answer: 32 renditions of
	// ten parts a segment, and parts of 8 Mbit/s.
	maxHeaders     = 32*Segments*10 + 1
	maxHeadersSize = 4 << 20

	fieldHeader = 1
)

// marshalRevocations writes the revocations of a stream as if they were a header, if there are any.
func marshalRevocations(st Stream) []byte {
	roles := st.Timelines[0].Roles()
	if roles == nil || roles.Revocations() == nil {
		return nil
	}
	return wire.AppendMessage(nil, fieldHeader, roles.Revocations().Bytes())
}

// marshalHeaders writes headers, as many as a client reads.
func marshalHeaders(headers []*stream.SignedHeader) (b []byte) {
	for i, h := range headers {
		if i == maxHeaders-1 || len(b)+len(h.Bytes())+16 > maxHeadersSize-stream.MaxRevocationsSize-16 {
			break
		}
		b = wire.AppendMessage(b, fieldHeader, h.Bytes())
	}
	return b
}

// parseHeaders returns the headers of an answer, which are not verified. Errors wrap
// errMalformed.
func parseHeaders(b []byte) (raw [][]byte, err error) {
	err = wire.Fields(b, func(field int, _ uint64, v []byte) {
		if field == fieldHeader && v != nil {
			raw = append(raw, v)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	if len(raw) > maxHeaders {
		return nil, fmt.Errorf("%w: %d headers", errMalformed, len(raw))
	}
	return raw, nil
}
