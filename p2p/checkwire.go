package p2p

import (
	"fmt"
	"time"

	"github.com/grapevine-live/grapevine/stream/wire"
)

// checkProtocol lets a node learn of itself what only another can tell: where it is seen, how
// far its clock is off, and what its uplink carries. A stream carries one question, with its
// length as a varint before it, as all messages:
//
//	message Check {
//	  uint64 upload = 1;  // bytes that the sender would like to send, to measure its uplink
//	}
//	message Checked {
//	  bytes  seen   = 1;  // multiaddr at which the asker is seen
//	  uint64 clock  = 2;  // the answerer's, in nanoseconds since 1970
//	  uint64 upload = 3;  // bytes that the asker may send now, 0 for none
//	}
//
// If any may be sent, that many bytes follow, and after them, or checkFor at most:
//
//	message Received {
//	  uint64 bytes = 1;  // that came once the sender had found its rate, see measure
//	  uint64 nanos = 2;  // in which they came
//	}
const checkProtocol = "/grapevine/check/1"

// maxCheckMessage bounds each.
const maxCheckMessage = 256

type checked struct {
	seen   []byte
	clock  time.Time
	upload int
}

func marshalCheck(upload int) []byte { return wire.AppendUint(nil, 1, uint64(upload)) }

func parseCheck(b []byte) (upload int, err error) {
	err = wire.Fields(b, func(field int, v uint64, _ []byte) {
		if field == 1 {
			upload = int(min(v, maxCheckUpload))
		}
	})
	if err != nil {
		return 0, fmt.Errorf("%w: check: %w", errWire, err)
	}
	return upload, nil
}

func (c checked) marshal() []byte {
	b := wire.AppendBytes(nil, 1, c.seen)
	b = wire.AppendUint(b, 2, uint64(c.clock.UnixNano()))
	return wire.AppendUint(b, 3, uint64(c.upload))
}

func parseChecked(b []byte) (c checked, err error) {
	err = wire.Fields(b, func(field int, v uint64, raw []byte) {
		switch field {
		case 1:
			c.seen = raw
		case 2:
			c.clock = time.Unix(0, int64(v))
		case 3:
			c.upload = int(min(v, maxCheckUpload))
		}
	})
	if err != nil {
		return c, fmt.Errorf("%w: checked: %w", errWire, err)
	}
	return c, nil
}

func marshalReceived(bytes int64, took time.Duration) []byte {
	return wire.AppendUint(wire.AppendUint(nil, 1, uint64(bytes)), 2, uint64(took))
}

func parseReceived(b []byte) (bytes int64, took time.Duration, err error) {
	err = wire.Fields(b, func(field int, v uint64, _ []byte) {
		switch field {
		case 1:
			bytes = int64(min(v, maxCheckUpload))
		case 2:
			took = time.Duration(min(v, uint64(2*checkFor)))
		}
	})
	if err != nil {
		return 0, 0, fmt.Errorf("%w: received: %w", errWire, err)
	}
	return bytes, took, nil
}
