package record

import (
	"slices"

	"github.com/grapevine-live/grapevine/stream/transport"
)

const (
	second = 90000 // ticks of MPEG-TS timestamps
	wrap   = 1 << 33
)

// joiner makes one MPEG-TS of segments: after a discontinuity timestamps go on as the
// clock says, and continuity counters count on.
type joiner struct {
	clock    clock
	begun    bool
	first    int64            // decoding time of the first frame, ticks
	offset   int64            // to add to timestamps, ticks
	newest   int64            // the latest decoding time that was written, ticks
	counters map[uint16]uint8 // continuity_counter by PID
	cues     cueMover
}

// add returns the segment's bytes as they are to be written. The error is errGap if the
// pause before it is too long.
func (j *joiner) add(s shot) ([]byte, error) {
	at, err := j.clock.place(s)
	if err != nil {
		return nil, err
	}
	if j.counters == nil {
		j.counters = make(map[uint16]uint8)
	}
	first, earliest, ok := starts(s.data)
	switch {
	case !ok: // no frames
	case !j.begun:
		j.begun, j.first = true, first
	case s.discontinuity:
		to := j.first + at.Microseconds()*9/100
		// Audio may begin before the picture, and what was written may end later.
		to = max(to, j.newest+1+first-earliest)
		j.offset = to - first
	}
	j.clock.end = at + s.duration
	out := slices.Clone(s.data)
	for at := 0; at+transport.PacketSize <= len(out); at += transport.PacketSize {
		j.rewrite(out[at : at+transport.PacketSize])
	}
	j.cues.move(out, j.offset)
	return out, nil
}

// starts returns the decoding time of the first frame and the earliest of all tracks'
// first frames, in ticks.
func starts(data []byte) (first, earliest int64, ok bool) {
	seen := make(map[uint16]bool)
	for ; len(data) >= transport.PacketSize; data = data[transport.PacketSize:] {
		p := transport.ParsePacket(data[:transport.PacketSize])
		h, timed := timedStart(p)
		if !timed || seen[p.PID] {
			continue
		}
		seen[p.PID] = true
		if !ok {
			first, earliest, ok = h.DTS, h.DTS, true
		}
		earliest = min(earliest, near(first, h.DTS))
	}
	return first, earliest, ok
}

// timedStart returns the header of a PES packet with timestamps that begins in p.
func timedStart(p transport.Packet) (transport.PESHeader, bool) {
	if !p.Start || p.Broken {
		return transport.PESHeader{}, false
	}
	h, ok, _ := transport.ParsePESHeader(p.Payload)
	return h, ok && h.Timed
}

// rewrite moves a packet's timestamps and numbers it (ISO 13818-1, 2.4.3).
func (j *joiner) rewrite(b []byte) {
	p := transport.ParsePacket(b)
	if p.Broken {
		return
	}
	if c, seen := j.counters[p.PID]; seen {
		if b[3]&0x10 != 0 { // only packets with a payload count
			c++
		}
		b[3] = b[3]&0xf0 | c&0x0f
	}
	j.counters[p.PID] = b[3] & 0x0f
	if b[3]&0x20 != 0 && b[4] >= 7 && b[5]&0x10 != 0 {
		movePCR(b[6:], j.offset)
	}
	h, ok := timedStart(p)
	if !ok {
		return
	}
	dts := near(j.newest, h.DTS+j.offset)
	j.newest = max(j.newest, dts)
	if j.offset == 0 {
		return
	}
	moveTimestamp(p.Payload[9:], h.PTS+j.offset)
	if p.Payload[7]>>6 == 3 {
		moveTimestamp(p.Payload[14:], h.DTS+j.offset)
	}
}

// movePCR adds ticks to a program_clock_reference (ISO 13818-1, 2.4.3.5).
func movePCR(b []byte, ticks int64) {
	base := int64(b[0])<<25 | int64(b[1])<<17 | int64(b[2])<<9 | int64(b[3])<<1 | int64(b[4]>>7)
	base = (base + ticks) & (wrap - 1)
	b[0], b[1], b[2], b[3] = byte(base>>25), byte(base>>17), byte(base>>9), byte(base>>1)
	b[4] = b[4]&0x7f | byte(base&1)<<7
}

// moveTimestamp replaces a timestamp, and keeps its marker bits (ISO 13818-1, 2.4.3.7).
func moveTimestamp(b []byte, ts int64) {
	ts &= wrap - 1
	b[0] = b[0]&0xf1 | byte(ts>>29)&0x0e
	b[1] = byte(ts >> 22)
	b[2] = b[2]&1 | byte(ts>>14)&0xfe
	b[3] = byte(ts >> 7)
	b[4] = b[4]&1 | byte(ts<<1)
}

// near returns the value nearest to ref that ts is modulo 2^33 (ISO 13818-1, 2.4.3.6).
func near(ref, ts int64) int64 {
	d := (ts - ref) & (wrap - 1)
	if d >= wrap/2 {
		d -= wrap
	}
	return ref + d
}
