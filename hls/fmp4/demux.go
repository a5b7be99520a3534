package fmp4

import (
	"bytes"
	"context"

	"github.com/asticode/go-astits"
)

const (
	packetSize = 188
	syncByte   = 0x47
	// maxTable bounds the packets of one table in a part: a section has at most 1024
	// bytes (ISO 13818-1, 2.4.4), and ingest writes each table once.
	maxTable = 16 * packetSize
)

// packet is what is needed of a transport packet (ISO 13818-1, 2.4.3.2).
type packet struct {
	pid     uint16
	start   bool // payload_unit_start_indicator
	payload []byte
}

// parsePacket returns ok unless the packet is damaged or scrambled.
func parsePacket(b []byte) (p packet, ok bool) {
	if b[0] != syncByte || b[1]&0x80 != 0 || b[3]&0xc0 != 0 {
		return p, false
	}
	p.pid, p.start = uint16(b[1]&0x1f)<<8|uint16(b[2]), b[1]&0x40 != 0
	at := 4
	if b[3]&0x20 != 0 {
		at += 1 + int(b[4])
	}
	if b[3]&0x10 != 0 {
		if at >= packetSize {
			return p, false
		}
		p.payload = b[at:packetSize]
	}
	return p, true
}

// pes is a PES packet: a picture, or audio frames.
type pes struct {
	pts, dts int64 // 33 bits
	data     []byte
}

// collector puts one track's PES packets together. Its memory is used again for each part.
type collector struct {
	buf    []byte
	starts []int // where each PES packet begins in buf
}

func (c *collector) reset() { c.buf, c.starts = c.buf[:0], c.starts[:0] }

func (c *collector) add(p packet) {
	if p.start {
		c.starts = append(c.starts, len(c.buf))
	}
	if len(c.starts) > 0 { // else the end of a frame whose beginning is missing
		c.buf = append(c.buf, p.payload...)
	}
}

// packets returns what was collected, and how many PES packets were no good.
func (c *collector) packets() (out []pes, bad int) {
	for i, start := range c.starts {
		end := len(c.buf)
		if i+1 < len(c.starts) {
			end = c.starts[i+1]
		}
		if p, ok := parsePES(c.buf[start:end]); ok {
			out = append(out, p)
		} else {
			bad++
		}
	}
	return out, bad
}

// parsePES reads a PES packet (ISO 13818-1, 2.4.3.6). One without timestamps is no good:
// ingest writes them with each.
func parsePES(b []byte) (p pes, ok bool) {
	const fixed = 9
	if len(b) < fixed || !bytes.Equal(b[:3], []byte{0, 0, 1}) || b[6]&0xc0 != 0x80 {
		return p, false
	}
	header := fixed + int(b[8])
	end := len(b)
	if n := int(b[4])<<8 | int(b[5]); n > 0 {
		end = 6 + n
	}
	if header > end || end > len(b) {
		return p, false
	}
	switch flags := b[7] >> 6; {
	case flags == 2 && header >= 14:
		p.pts = parseTimestamp(b[9:])
		p.dts = p.pts
	case flags == 3 && header >= 19:
		p.pts, p.dts = parseTimestamp(b[9:]), parseTimestamp(b[14:])
	default:
		return p, false
	}
	p.data = b[header:end]
	return p, len(p.data) > 0
}

func parseTimestamp(b []byte) int64 {
	return int64(b[0]>>1&7)<<30 | int64(b[1])<<22 | int64(b[2]>>1)<<15 | int64(b[3])<<7 | int64(b[4]>>1)
}

// tables are the packets of a PAT and of the PMT of its first program.
type tables struct {
	pat, pmt []byte
	pmtPID   uint16
	payloads []byte // to tell whether they are new: continuity counters differ each time
}

// add keeps a packet if it is of a table, and reports whether it is.
func (t *tables) add(raw []byte, p packet) bool {
	switch {
	case p.pid == astits.PIDPAT && len(t.pat) < maxTable:
		t.pat = append(t.pat, raw...)
		if t.pmtPID == 0 {
			t.pmtPID = firstProgram(p)
		}
	case t.pmtPID != 0 && p.pid == t.pmtPID && len(t.pmt) < maxTable:
		t.pmt = append(t.pmt, raw...)
	default:
		return false
	}
	t.payloads = append(t.payloads, p.payload...)
	return true
}

// firstProgram returns the PID of the first program's PMT in a PAT of one packet, 0 if
// there is none (ISO 13818-1, 2.4.4.3).
func firstProgram(p packet) uint16 {
	if !p.start || len(p.payload) == 0 {
		return 0
	}
	b := p.payload[1:]
	if skip := int(p.payload[0]); skip <= len(b) {
		b = b[skip:]
	}
	const header, crc = 8, 4
	if len(b) < header || b[0] != 0 {
		return 0
	}
	end := min(len(b), 3+int(b[1]&0x0f)<<8+int(b[2])) - crc
	for at := header; at+4 <= end; at += 4 {
		if number := uint16(b[at])<<8 | uint16(b[at+1]); number != 0 { // 0 is the network PID
			return uint16(b[at+2]&0x1f)<<8 | uint16(b[at+3])
		}
	}
	return 0
}

// read returns the PMT, nil if it is not whole.
func (t *tables) read() *astits.PMTData {
	// astits knows from the PAT what a PMT is.
	run := append(bytes.Clone(t.pat), t.pmt...)
	dem := astits.NewDemuxer(context.Background(), bytes.NewReader(run), astits.DemuxerOptPacketSize(packetSize))
	for range len(run)/packetSize + 1 {
		d, err := dem.NextData()
		if err == astits.ErrNoMorePackets {
			break
		}
		if err == nil && d.PMT != nil && d.PID == t.pmtPID {
			return d.PMT
		}
	}
	return nil
}
