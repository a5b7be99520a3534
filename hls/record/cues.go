package record

import "github.com/grapevine-live/grapevine/stream/transport"

// cueMover moves the times of SCTE-35 in MPEG-TS whose timestamps are moved.
type cueMover struct {
	tables transport.Tables
	pids   map[uint16]bool
}

// move adds ticks to the times of all cues that are whole in a segment.
func (m *cueMover) move(segment []byte, ticks int64) {
	open := make(map[uint16][]int) // where the bytes of each PID's section are
	for at := 0; at+transport.PacketSize <= len(segment); at += transport.PacketSize {
		raw := segment[at : at+transport.PacketSize]
		p := transport.ParsePacket(raw)
		if pmt := m.tables.Add(raw, p); pmt != nil {
			m.pids = make(map[uint16]bool)
			for _, es := range pmt.ElementaryStreams {
				m.pids[es.ElementaryPID] = transport.DataOf(pmt, es) == transport.Splices
			}
		}
		if !m.pids[p.PID] || p.Broken || len(p.Payload) == 0 || ticks == 0 {
			continue
		}
		from := at + transport.PacketSize - len(p.Payload)
		if p.Start {
			// A section begins with a packet (SCTE 35:2023, 8.2).
			from, open[p.PID] = from+1+int(p.Payload[0]), []int{}
		}
		if open[p.PID] == nil {
			continue
		}
		for i := from; i < at+transport.PacketSize; i++ {
			open[p.PID] = append(open[p.PID], i)
		}
		if moveSection(segment, open[p.PID], ticks) {
			open[p.PID] = nil
		}
	}
}

// moveSection moves the times of the section whose bytes are at these places, if all are.
func moveSection(segment []byte, places []int, ticks int64) (whole bool) {
	const header = 3
	if len(places) < header {
		return false
	}
	size := header + int(segment[places[1]]&0x0f)<<8 + int(segment[places[2]])
	if len(places) < size {
		return false
	}
	section := make([]byte, size)
	for i := range section {
		section[i] = segment[places[i]]
	}
	if !transport.IsSplice(section) || transport.CRC32(section) != 0 {
		return true // of another kind, or damaged: it stays as it is
	}
	transport.ShiftSplice(section, ticks)
	for i, b := range section {
		segment[places[i]] = b
	}
	return true
}
