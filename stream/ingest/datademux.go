package ingest

import (
	"github.com/asticode/go-astits"

	"github.com/grapevine-live/grapevine/stream/transport"
)

// dataDemuxer turns packets into messages for the cutter. Their times decide nothing: the
// frames' do.
type dataDemuxer struct {
	byPID map[uint16]*dataPID
}

// dataPID puts the messages of one data stream together.
type dataPID struct {
	stream   *dataStream
	pes      pes                // timed ID3
	sections transport.Sections // cues
	lost     int                // of sections, counted
}

// follow reads which data streams there are, and returns what is left out.
func (d *dataDemuxer) follow(cut *cutter, pmt *astits.PMTData) (ignored []string) {
	streams, ignored := dataStreams(pmt)
	d.byPID = make(map[uint16]*dataPID)
	for _, s := range streams {
		d.byPID[s.pid] = &dataPID{stream: s}
	}
	if !cut.base.follows() { // else it has those of the ingest before
		cut.setData(streams)
	}
	return ignored
}

// restart tells that another muxer's output follows.
func (d *dataDemuxer) restart() {
	for _, s := range d.byPID {
		s.pes.counted = false
		s.sections.Cut()
	}
}

// packet takes a packet that is of no track.
func (d *dataDemuxer) packet(cut *cutter, p transport.Packet) {
	s := d.byPID[p.PID]
	switch {
	case s == nil:
	case s.stream.kind == transport.Splices:
		s.section(cut, p)
	default:
		s.metadata(cut, p)
	}
}

func (s *dataPID) section(cut *cutter, p transport.Packet) {
	s.sections.Add(p, func(section []byte) {
		if !transport.IsSplice(section) {
			cut.stats.LeftOutMessages++
			return
		}
		cut.message(dataMessage{stream: s.stream, data: section})
	})
	cut.stats.DamagedMessages += uint64(s.sections.Lost() - s.lost)
	s.lost = s.sections.Lost()
}

func (s *dataPID) metadata(cut *cutter, p transport.Packet) {
	if p.Broken || p.Scrambled {
		cut.stats.LostPackets++
		s.pes.counted, s.pes.damaged = false, true
		return
	}
	if len(p.Payload) == 0 {
		return
	}
	missing, repeated := s.pes.continuity(p)
	if repeated {
		return
	}
	cut.stats.LostPackets += uint64(missing)
	switch {
	case p.Start:
		s.finish(cut) // its length was not told, or is wrong
		s.pes.open = true
	case !s.pes.open:
		return
	case missing > 0:
		s.pes.damaged = true
	}
	if len(s.pes.buf)+len(p.Payload) > maxMessage+packetSize {
		s.pes.damaged = true
		s.finish(cut)
		return
	}
	s.pes.buf = append(s.pes.buf, p.Payload...)
	h, ok, bad := transport.ParsePESHeader(s.pes.buf)
	s.pes.hdr, s.pes.known, s.pes.damaged = h, ok, s.pes.damaged || bad
	if ok && h.Total > 0 && len(s.pes.buf) >= h.Total {
		s.pes.buf = s.pes.buf[:h.Total]
		s.finish(cut)
	}
}

// finish hands on the PES packet that is open.
func (s *dataPID) finish(cut *cutter) {
	defer s.pes.reset()
	if !s.pes.open {
		return
	}
	h := s.pes.hdr
	if s.pes.damaged || !s.pes.known || !h.Timed || len(s.pes.buf) < max(h.Total, h.Size+1) {
		cut.stats.DamagedMessages++
		return
	}
	const alignment = 0x04 // data_alignment_indicator
	cut.message(dataMessage{
		stream:  s.stream,
		data:    s.pes.payload(),
		pts:     h.PTS,
		aligned: s.pes.buf[6]&alignment != 0,
	})
}
