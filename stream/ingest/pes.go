package ingest

import "bytes"

const (
	// maxPES bounds one frame, as mediacommon does: a keyframe of 8K video at
	// 100 Mbit/s is smaller.
	maxPES = 8 << 20

	pesFixedHeader = 9
)

// pesHeader is what is needed of a PES packet's header (ISO 13818-1, 2.4.3.6).
type pesHeader struct {
	size     int // of the header
	total    int // of the PES packet with its header; 0 if open-ended
	timed    bool
	pts, dts int64 // 33 bits
}

// parsePESHeader returns ok when all of the header is there, and bad when this is no
// PES packet with media.
func parsePESHeader(b []byte) (h pesHeader, ok, bad bool) {
	if len(b) < pesFixedHeader {
		return h, false, len(b) >= 3 && !bytes.Equal(b[:3], []byte{0, 0, 1})
	}
	if !bytes.Equal(b[:3], []byte{0, 0, 1}) || b[6]&0xc0 != 0x80 {
		return h, false, true
	}
	h.size = pesFixedHeader + int(b[8])
	if n := int(b[4])<<8 | int(b[5]); n > 0 {
		h.total = 6 + n
		if h.total < h.size {
			return h, false, true
		}
	}
	if len(b) < h.size {
		return h, false, false
	}
	switch flags := b[7] >> 6; {
	case flags == 2 && h.size >= 14:
		h.timed, h.pts = true, parseTimestamp(b[9:])
		h.dts = h.pts
	case flags == 3 && h.size >= 19:
		h.timed, h.pts, h.dts = true, parseTimestamp(b[9:]), parseTimestamp(b[14:])
	}
	return h, true, false
}

func parseTimestamp(b []byte) int64 {
	return int64(b[0]>>1&7)<<30 | int64(b[1])<<22 | int64(b[2]>>1)<<15 | int64(b[3])<<7 | int64(b[4]>>1)
}

// pes puts a track's PES packets together.
type pes struct {
	track *track
	buf   []byte // header and payload so far
	open  bool   // a PES packet began and has not ended
	hdr   pesHeader
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

func (s *pes) payload() []byte { return s.buf[s.hdr.size:] }

// continuity checks a packet's counter (ISO 13818-1, 2.4.3.3). It returns how many
// packets are missing before it, and whether it repeats the one before.
func (s *pes) continuity(p packet) (missing int, repeated bool) {
	before, counted := s.cc, s.counted
	s.cc, s.counted = p.cc, true
	if counted && !p.discontinuity {
		if p.cc == before && bytes.Equal(p.payload, s.last[:s.lastLen]) {
			return 0, true
		}
		missing = int(p.cc-before-1) & 0x0f
	}
	s.lastLen = copy(s.last[:], p.payload)
	return missing, false
}
