package transport

import "bytes"

const pesFixedHeader = 9

// PESHeader is what is needed of a PES packet's header (ISO 13818-1, 2.4.3.6).
type PESHeader struct {
	Size     int // of the header
	Total    int // of the PES packet with its header; 0 if open-ended
	Timed    bool
	PTS, DTS int64 // 33 bits
}

// ParsePESHeader returns ok when all of the header is there, and bad when this is no
// PES packet with media.
func ParsePESHeader(b []byte) (h PESHeader, ok, bad bool) {
	if len(b) < pesFixedHeader {
		return h, false, len(b) >= 3 && !bytes.Equal(b[:3], []byte{0, 0, 1})
	}
	if !bytes.Equal(b[:3], []byte{0, 0, 1}) || b[6]&0xc0 != 0x80 {
		return h, false, true
	}
	h.Size = pesFixedHeader + int(b[8])
	if n := int(b[4])<<8 | int(b[5]); n > 0 {
		h.Total = 6 + n
		if h.Total < h.Size {
			return h, false, true
		}
	}
	if len(b) < h.Size {
		return h, false, false
	}
	switch flags := b[7] >> 6; {
	case flags == 2 && h.Size >= 14:
		h.Timed, h.PTS = true, ParseTimestamp(b[9:])
		h.DTS = h.PTS
	case flags == 3 && h.Size >= 19:
		h.Timed, h.PTS, h.DTS = true, ParseTimestamp(b[9:]), ParseTimestamp(b[14:])
	}
	return h, true, false
}

// ParseTimestamp reads the 33 bits of a PES packet's timestamp (ISO 13818-1, 2.4.3.7).
func ParseTimestamp(b []byte) int64 {
	return int64(b[0]>>1&7)<<30 | int64(b[1])<<22 | int64(b[2]>>1)<<15 | int64(b[3])<<7 | int64(b[4]>>1)
}
