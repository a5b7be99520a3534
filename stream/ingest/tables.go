package ingest

import (
	"bytes"
	"context"

	"github.com/asticode/go-astits"
)

// maxSection bounds what is kept of a table that never completes: a section has at
// most 1024 bytes (ISO 13818-1, 2.4.4), which stuffing may spread.
const maxSection = 16 * packetSize

// section collects the packets of one table until it is complete.
type section struct {
	packets []byte
	want    int // bytes of payload that complete it
	have    int
	last    []byte // the payload bytes of the last complete one
}

// add takes one packet of the table's PID and returns true when that completes a table
// that differs from the one before; packets then holds its packets.
func (s *section) add(raw []byte, p packet) bool {
	if p.broken || len(p.payload) == 0 {
		return false
	}
	if p.start {
		s.packets, s.have, s.want = s.packets[:0], 0, 0
		// pointer_field, table_id, section_length: always in the first packet of those
		// that one meets.
		if at := 1; len(p.payload) > at+int(p.payload[0])+2 {
			at += int(p.payload[0])
			s.want = at + 3 + int(p.payload[at+1]&0x0f)<<8 + int(p.payload[at+2])
		}
	}
	if s.want == 0 || len(s.packets) >= maxSection {
		return false
	}
	s.packets = append(s.packets, raw...)
	s.have += len(p.payload)
	if s.have < s.want {
		return false
	}
	s.want = 0
	// Continuity counters differ each time; payloads tell.
	var now []byte
	for at := 0; at < len(s.packets); at += packetSize {
		now = append(now, parsePacket(s.packets[at:at+packetSize]).payload...)
	}
	if bytes.Equal(now, s.last) {
		return false
	}
	s.last = now
	return true
}

// tables follows the PAT, and the PMT of its first program: an encoder sends one.
type tables struct {
	pat, pmt section
	pmtPID   uint16
	programs int
}

// add takes a packet, and returns a PMT when the packet completes one that is new.
func (t *tables) add(raw []byte, p packet) *astits.PMTData {
	switch {
	case p.pid == astits.PIDPAT:
		if t.pat.add(raw, p) {
			t.readPAT()
		}
	case t.pmtPID != 0 && p.pid == t.pmtPID:
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

func (t *tables) readPAT() {
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

func (t *tables) readPMT() *astits.PMTData {
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
	dem := astits.NewDemuxer(context.Background(), bytes.NewReader(packets), astits.DemuxerOptPacketSize(packetSize))
	var out []*astits.DemuxerData
	for range len(packets)/packetSize + 1 {
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
