package transport

import "bytes"

// maxPrivateSection is the most bytes that a private section has (ISO 13818-1, 2.4.4.11).
const maxPrivateSection = 4096

// Sections puts the private sections of one PID together (ISO 13818-1, 2.4.4). The zero
// value is ready to use.
type Sections struct {
	buf     []byte // of the section that began
	open    bool   // it did
	cc      uint8
	counted bool // cc is set
	last    [PacketSize]byte
	lastLen int
	lost    int
}

// Add takes a packet of the PID, and hands on each section that it completes. The slice is
// valid during the call. What is damaged or too long is left out and counted.
func (s *Sections) Add(p Packet, yield func(section []byte)) {
	if p.Broken || p.Scrambled {
		s.Cut()
		return
	}
	b := p.Payload
	if len(b) == 0 {
		return
	}
	if s.counted && !p.Discontinuity && p.CC == s.cc && bytes.Equal(b, s.last[:s.lastLen]) {
		return // repeated
	}
	if s.counted && p.CC != (s.cc+1)&0x0f {
		s.drop()
	}
	s.cc, s.counted = p.CC, true
	s.lastLen = copy(s.last[:], b)
	if p.Start {
		at := 1 + int(b[0])
		if at > len(b) {
			s.drop()
			return
		}
		s.extend(b[1:at], yield) // the end of the section before
		s.drop()
		b, s.open = b[at:], true
	}
	s.extend(b, yield)
}

// extend adds bytes to the section that is open, and to those that follow it.
func (s *Sections) extend(b []byte, yield func([]byte)) {
	if !s.open {
		return
	}
	s.buf = append(s.buf, b...)
	rest := s.buf
	for len(rest) > 0 {
		if rest[0] == 0xff { // stuffing
			rest, s.open = nil, false
			break
		}
		if len(rest) < 3 {
			break
		}
		n := sectionSize(rest)
		if n > maxPrivateSection {
			s.buf = rest
			s.drop()
			return
		}
		if len(rest) < n {
			break
		}
		if CRC32(rest[:n]) == 0 {
			yield(rest[:n])
		} else {
			s.lost++
		}
		rest = rest[n:]
	}
	s.buf = append(s.buf[:0], rest...)
}

// Cut tells that packets are missing, or that another muxer's follow: the section that is
// open is lost.
func (s *Sections) Cut() {
	s.drop()
	s.counted = false
}

// Lost returns how many sections were left out so far, at least.
func (s *Sections) Lost() int { return s.lost }

func (s *Sections) drop() {
	if s.open && len(s.buf) > 0 {
		s.lost++
	}
	s.buf, s.open = s.buf[:0], false
}

// sectionSize returns the length of a section, of which three bytes are there.
func sectionSize(b []byte) int { return 3 + int(b[1]&0x0f)<<8 + int(b[2]) }

// CRC32 returns the CRC of sections (ISO 13818-1, annex A). It is 0 over a whole one that
// ends in its own. hash/crc32 has the reflected kind only.
func CRC32(b []byte) uint32 {
	crc := ^uint32(0)
	for _, x := range b {
		crc = crc<<8 ^ crcTable[byte(crc>>24)^x]
	}
	return crc
}

var crcTable = func() (table [256]uint32) {
	const polynomial = 0x04c11db7
	for i := range table {
		crc := uint32(i) << 24
		for range 8 {
			if crc>>31 == 1 {
				crc = crc<<1 ^ polynomial
			} else {
				crc <<= 1
			}
		}
		table[i] = crc
	}
	return table
}()
