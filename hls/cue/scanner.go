package cue

import (
	"time"

	"github.com/asticode/go-astits"

	"github.com/grapevine-live/grapevine/stream/transport"
)

const wrap = 1 << 33 // ticks of 90 kHz after which timestamps begin again

// Part is a slice of a rendition in which to look for cues. A part that does not start a
// segment follows the one that was scanned last.
type Part struct {
	// Chunks are the part's bytes: whole packets, joined.
	Chunks [][]byte
	// Epoch is the broadcaster's, in which timestamps mean the same.
	Epoch uint64
	// StartsSegment is set on the first part of each segment.
	StartsSegment bool
	// ProgramTime is when the part's first frame was live.
	ProgramTime time.Time
}

// Scanner finds the cues of one rendition's parts. The zero value is ready to use. It is not
// safe for concurrent use.
type Scanner struct {
	tables   transport.Tables
	sections map[uint16]*transport.Sections
	leader   uint16 // whose first frame begins a segment

	epoch    uint64
	start    time.Time // of the segment
	first    int64     // presentation time of its first frame, 33 bits
	last     int64     // of the newest frame
	anchored bool      // first and last are known
	waiting  [][]byte  // sections that came before the first frame

	rest []byte // the beginning of a packet
	lost int
}

// Scan returns the cues that come in the part.
func (s *Scanner) Scan(p Part) (cues []Cue) {
	if p.StartsSegment {
		s.epoch, s.start, s.anchored = p.Epoch, p.ProgramTime, false
		s.waiting, s.rest = nil, s.rest[:0]
	}
	for _, chunk := range p.Chunks {
		cues = append(cues, s.chunk(chunk)...)
	}
	return cues
}

// Lost returns how many sections were damaged, or came in segments without frames.
func (s *Scanner) Lost() int { return s.lost }

func (s *Scanner) chunk(b []byte) (cues []Cue) {
	if n := len(s.rest); n > 0 {
		fill := min(transport.PacketSize-n, len(b))
		s.rest, b = append(s.rest, b[:fill]...), b[fill:]
		if len(s.rest) < transport.PacketSize {
			return nil
		}
		cues = s.packet(s.rest)
		s.rest = s.rest[:0]
	}
	for ; len(b) >= transport.PacketSize; b = b[transport.PacketSize:] {
		cues = append(cues, s.packet(b[:transport.PacketSize])...)
	}
	s.rest = append(s.rest, b...)
	return cues
}

func (s *Scanner) packet(raw []byte) (cues []Cue) {
	p := transport.ParsePacket(raw)
	if raw[0] != transport.SyncByte {
		return nil
	}
	if pmt := s.tables.Add(raw, p); pmt != nil {
		s.follow(pmt)
	}
	if in := s.sections[p.PID]; in != nil {
		before := in.Lost()
		in.Add(p, func(section []byte) { cues = append(cues, s.section(section)...) })
		s.lost += in.Lost() - before
		return cues
	}
	if p.PID != s.leader || !p.Start || p.Broken {
		return nil
	}
	h, ok, _ := transport.ParsePESHeader(p.Payload)
	if !ok || !h.Timed {
		return nil
	}
	s.last = h.PTS
	if s.anchored {
		return nil
	}
	s.first, s.anchored = h.PTS, true
	for _, section := range s.waiting {
		cues = append(cues, s.cues(section)...)
	}
	s.waiting = nil
	return cues
}

// follow reads which streams of a PMT there are: cues, and the leader, which is the first
// video, or else the first that is not data.
func (s *Scanner) follow(pmt *astits.PMTData) {
	old := s.sections
	s.sections, s.leader = make(map[uint16]*transport.Sections), 0
	video := false
	for _, es := range pmt.ElementaryStreams {
		switch kind := transport.DataOf(pmt, es); {
		case kind == transport.Splices && old[es.ElementaryPID] != nil:
			s.sections[es.ElementaryPID] = old[es.ElementaryPID]
		case kind == transport.Splices:
			s.sections[es.ElementaryPID] = &transport.Sections{}
		case kind == transport.NoData && !video && (s.leader == 0 || es.StreamType.IsVideo()):
			s.leader, video = es.ElementaryPID, es.StreamType.IsVideo()
		}
	}
}

// maxWaiting bounds the sections of a segment that wait for its first frame.
const maxWaiting = 64

func (s *Scanner) section(b []byte) []Cue {
	switch {
	case !transport.IsSplice(b):
		return nil
	case s.anchored:
		return s.cues(b)
	case len(s.waiting) == maxWaiting:
		s.lost++
	default:
		s.waiting = append(s.waiting, append([]byte(nil), b...))
	}
	return nil
}

// cues returns the cues of a section that came now.
func (s *Scanner) cues(section []byte) []Cue {
	return decode(section, s.epoch, s.last, s.time)
}

// time returns the programme time of a presentation time, to the millisecond: so exact are
// playlists.
func (s *Scanner) time(pts int64) time.Time {
	d := (pts - s.first) & (wrap - 1)
	if d >= wrap/2 {
		d -= wrap
	}
	return s.start.Add(time.Duration(d*100/9) * time.Microsecond).Truncate(time.Millisecond)
}
