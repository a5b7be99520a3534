package transport

import (
	"bytes"
	"context"

	"github.com/asticode/go-astits"
)

// Registrations (format_identifier) and descriptors that name what stream type 6,
// private data, holds.
const (
	RegistrationOpus = 'O'<<24 | 'p'<<16 | 'u'<<8 | 's'
	RegistrationAC3  = 'A'<<24 | 'C'<<16 | '-'<<8 | '3'
	RegistrationHEVC = 'H'<<24 | 'E'<<16 | 'V'<<8 | 'C'

	DescriptorOpus = 0x80 // descriptor_tag_extension, ETSI TS Opus 0.1.3-draft
)

// maxSection bounds what is kept of a table that never completes: a section has at
// most 1024 bytes (ISO 13818-1, 2.4.4), which stuffing may spread.
const maxSection = 16 * PacketSize

// section collects the packets of one table until it is complete.
type section struct {
	packets []byte
	want    int // bytes of payload that complete it
	have    int
	last    []byte // the payload bytes of the last complete one
}

// add takes one packet of the table's PID and returns true when that completes a table
// that differs from the one before; packets then holds its packets.
func (s *section) add(raw []byte, p Packet) bool {
	if p.Broken || len(p.Payload) == 0 {
		return false
	}
	if p.Start {
		s.packets, s.have, s.want = s.packets[:0], 0, 0
		// pointer_field, table_id, section_length: always in the first packet of those
		// that one meets.
		if at := 1; len(p.Payload) > at+int(p.Payload[0])+2 {
			at += int(p.Payload[0])
			s.want = at + 3 + int(p.Payload[at+1]&0x0f)<<8 + int(p.Payload[at+2])
		}
	}
	if s.want == 0 || len(s.packets) >= maxSection {
		return false
	}
	s.packets = append(s.packets, raw...)
	s.have += len(p.Payload)
	if s.have < s.want {
		return false
	}
	s.want = 0
	// Continuity counters differ each time; payloads tell.
	var now []byte
	for at := 0; at < len(s.packets); at += PacketSize {
		now = append(now, ParsePacket(s.packets[at:at+PacketSize]).Payload...)
	}
	if bytes.Equal(now, s.last) {
		return false
	}
	s.last = now
	return true
}

// Tables follows the PAT, and the PMT of its first program: an encoder sends one.
type Tables struct {
	pat, pmt section
	pmtPID   uint16
	programs int
}

// Add takes a packet, and returns a PMT when the packet completes one that is new.
func (t *Tables) Add(raw []byte, p Packet) *astits.PMTData {
	switch {
	case p.PID == astits.PIDPAT:
		if t.pat.add(raw, p) {
			t.readPAT()
		}
	case t.pmtPID != 0 && p.PID == t.pmtPID:
		if t.pmt.add(raw, p) {
			pmt := t.readPMT()
			if pmt == nil {
				t.pmt.last = nil // damaged: the same again may be whole
			}
			return pmt
		}
	}
	return nil
}

// Holds reports whether a packet is of a table that is followed.
func (t *Tables) Holds(p Packet) bool {
	return p.PID == astits.PIDPAT || t.pmtPID != 0 && p.PID == t.pmtPID
}

// Programs returns how many programs the PAT names.
func (t *Tables) Programs() int { return t.programs }

func (t *Tables) readPAT() {
	for _, d := range parseTables(t.pat.packets) {
		if d.PAT == nil {
			continue
		}
		t.programs = 0
		pid := uint16(0)
		for _, p := range d.PAT.Programs {
			if p.ProgramNumber == 0 { // the network PID
				continue
			}
			if t.programs == 0 {
				pid = p.ProgramMapID
			}
			t.programs++
		}
		if pid != 0 && pid != t.pmtPID {
			t.pmtPID, t.pmt = pid, section{}
		}
		return
	}
	t.pat.last = nil
}

func (t *Tables) readPMT() *astits.PMTData {
	// astits knows from the PAT what a PMT is.
	run := append(bytes.Clone(t.pat.packets), t.pmt.packets...)
	for _, d := range parseTables(run) {
		if d.PMT != nil && d.PID == t.pmtPID {
			return d.PMT
		}
	}
	return nil
}

// parseTables returns what of packets is whole by its CRC.
func parseTables(packets []byte) []*astits.DemuxerData {
	dem := astits.NewDemuxer(context.Background(), bytes.NewReader(packets), astits.DemuxerOptPacketSize(PacketSize))
	var out []*astits.DemuxerData
	for range len(packets)/PacketSize + 1 {
		d, err := dem.NextData()
		if err == astits.ErrNoMorePackets {
			break
		}
		if err == nil {
			out = append(out, d)
		}
	}
	return out
}
