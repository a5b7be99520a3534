package ingest

import (
	"bytes"

	"github.com/grapevine-live/grapevine/stream/transport"
)

const (
	// maxPES bounds one frame, as mediacommon does: a keyframe of 8K video at
	// 100 Mbit/s is smaller.
	maxPES = 8 << 20
)

// pes puts a track's PES packets together.
type pes struct {
	track *track
	buf   []byte // header and payload so far
	open  bool   // a PES packet began and has not ended
	hdr   transport.PESHeader
	known bool // hdr is set

	damaged bool // packets are missing
	cc      uint8
	counted bool // cc is set
	last    [packetSize]byte
	lastLen int

	pts, dts int64 // unwrapped; of the packet in buf
	placed   bool  // they are set
	prev     int64 // the decoding time before
	hasPrev  bool

	indicated bool // discontinuity_indicator, not yet judged

	head  headScanner // video: what precedes the first slice
	begun bool        // video: the cutter knows of this frame

	framer framer // audio
}

// reset makes room for the next PES packet.
func (s *pes) reset() {
	s.buf = s.buf[:0]
	s.open, s.known, s.damaged, s.placed, s.begun = false, false, false, false, false
	s.head = headScanner{}
}

func (s *pes) payload() []byte { return s.buf[s.hdr.Size:] }

// continuity checks a packet's counter (ISO 13818-1, 2.4.3.3). It returns how many
// packets are missing before it, and whether it repeats the one before.
func (s *pes) continuity(p transport.Packet) (missing int, repeated bool) {
	before, counted := s.cc, s.counted
	s.cc, s.counted = p.CC, true
	if counted && !p.Discontinuity {
		if p.CC == before && bytes.Equal(p.Payload, s.last[:s.lastLen]) {
			return 0, true
		}
		missing = int(p.CC-before-1) & 0x0f
	}
	s.lastLen = copy(s.last[:], p.Payload)
	return missing, false
}
