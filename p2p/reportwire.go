package p2p

import (
	"fmt"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/wire"
)

// reportProtocol passes reports back to the broadcaster, a hop at a time. A stream carries one
// message, with its length as a varint before it, and no answer.
//
//	message Reports {
//	  bytes stream           = 1;  // 32 bytes
//	  repeated bytes reports = 2;  // SealedReports, see package stream; 1 to 32
//	}
const reportProtocol = "/grapevine/report/1"

const (
	maxReportBatch = 32
	maxReportsSize = maxReportBatch*(stream.MaxReportSize+4) + 64
)

func marshalReports(id stream.ID, reports [][]byte) []byte {
	b := wire.AppendBytes(nil, 1, id[:])
	for _, r := range reports {
		b = wire.AppendMessage(b, 2, r)
	}
	return b
}

// parseReports reads what marshalReports writes. Also with an error it returns the stream, if there
// is one.
func parseReports(b []byte) (id stream.ID, reports [][]byte, err error) {
	var name []byte
	err = wire.Fields(b, func(field int, _ uint64, raw []byte) {
		switch {
		case field == 1:
			name = raw
		case field == 2 && len(reports) <= maxReportBatch: // one too many stays one too many
			reports = append(reports, raw)
		}
	})
	if len(name) == len(id) {
		id = stream.ID(name)
	}
	switch {
	case err != nil:
		return id, nil, fmt.Errorf("%w: reports: %w", errWire, err)
	case len(name) != len(id), len(reports) == 0, len(reports) > maxReportBatch:
		return id, nil, fmt.Errorf("%w: %d reports", errWire, len(reports))
	}
	return id, reports, nil
}
