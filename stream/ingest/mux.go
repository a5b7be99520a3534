package ingest

import (
	"bytes"
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
)

const (
	// pcrLead is how far the clock is behind the decoding time of the frame that
	// carries it: audio comes later than the pictures it belongs to, in the input too,
	// and must not be late by the clock. ffmpeg's muxer has the same.
	pcrLead = 7 * second / 10
	// maxPCRGap bounds the time between clocks (ISO 13818-1, 2.7.2), if frames come that
	// often.
	maxPCRGap = second / 10

	// Tracks' PIDs, below the PMT's, 0x1000.
	firstPID = 0x100
	pidSets  = 400
)

// muxer writes frames as transport packets. mpegts.Writer does the work; what it
// writes is gone over, because it writes tables before each audio frame, knows no
// continuity from one writer to the next, and keeps the clock 0.1 s behind.
type muxer struct {
	w       *mpegts.Writer
	out     bytes.Buffer // what w wrote of one frame
	tracks  []*track
	sets    int // of tracks so far
	cc      map[uint16]uint8
	lastDTS int64 // of the leader
	lastPCR int64 // the leader's decoding time that had one
	data    dataMuxer
}

// start begins a new set of tracks, the leader first.
func (m *muxer) start(tracks []*track) error {
	if !sameKinds(tracks, m.tracks) {
		m.sets++
	}
	m.tracks = tracks
	m.lastPCR = -wrap
	if m.cc == nil {
		m.cc = make(map[uint16]uint8)
	}
	outs := make([]*mpegts.Track, len(tracks))
	for i, t := range tracks {
		// Each set has its own PIDs, as demuxers keep a PID's codec; but one that is like the
		// one before, as when further audio changes: ffmpeg plays no track that is new.
		pid := firstPID + (m.sets-1)%pidSets*maxTracks + i
		t.out = &mpegts.Track{PID: uint16(pid), Codec: t.codec, Language: t.language}
		outs[i] = t.out
	}
	m.w = &mpegts.Writer{W: &m.out, Tracks: outs}
	if err := m.w.Initialize(); err != nil {
		return fmt.Errorf("start MPEG-TS output: %w", err)
	}
	return nil
}

// tables appends the PAT and the PMT.
func (m *muxer) tables(to []byte) ([]byte, error) {
	m.out.Reset()
	if _, err := m.w.WriteTables(); err != nil {
		return to, fmt.Errorf("write MPEG-TS tables: %w", err)
	}
	for b := m.out.Bytes(); len(b) >= packetSize; b = b[packetSize:] {
		if pidOf(b) != 0 && m.data.changes > 0 {
			to = m.programMap(to, b[:packetSize])
			continue
		}
		to = m.packet(to, b[:packetSize])
	}
	return to, nil
}

// video appends an access unit: NAL units, of which the last may hold more than one
// with start codes between them.
func (m *muxer) video(to []byte, t *track, pts, dts int64, units [][]byte, hevc bool) ([]byte, error) {
	m.out.Reset()
	write := m.w.WriteH264
	if hevc {
		write = m.w.WriteH265
	}
	if err := write(t.out, pts, dts, units); err != nil {
		return to, fmt.Errorf("write video frame: %w", err)
	}
	return m.frame(to, t, dts), nil
}

// audio appends frames as one PES packet.
func (m *muxer) audio(to []byte, t *track, pts int64, data []byte) ([]byte, error) {
	m.out.Reset()
	// WriteAC3 writes what it is given, in any codec; the codecs' own functions would
	// take headers apart and drop what they do not know: CRCs, and Opus's trimming.
	if err := m.w.WriteAC3(t.out, pts, data); err != nil {
		return to, fmt.Errorf("write audio frames: %w", err)
	}
	return m.frame(to, t, pts), nil
}

// frame appends the packets in m.out, of a frame that is decoded at dts.
func (m *muxer) frame(to []byte, t *track, dts int64) []byte {
	first := true
	for b := m.out.Bytes(); len(b) >= packetSize; b = b[packetSize:] {
		p := b[:packetSize]
		if pid := pidOf(p); pid != t.out.PID {
			continue // tables: the cutter asks for them where they belong
		}
		if first && t == m.tracks[0] {
			if hasPCR(p) {
				m.lastPCR = dts
				putPCR(p, dts-pcrLead)
			} else if dts+(dts-m.lastDTS)-m.lastPCR > maxPCRGap {
				m.lastPCR = dts
				to = m.clock(to, t.out.PID, dts-pcrLead)
			}
			m.lastDTS = dts
		}
		first = false
		to = m.packet(to, p)
	}
	return to
}

// packet appends one packet with the continuity counter that it should have.
func (m *muxer) packet(to, p []byte) []byte {
	pid := pidOf(p)
	p[3] = p[3]&0xf0 | m.cc[pid]
	m.cc[pid] = (m.cc[pid] + 1) & 0x0f
	return append(to, p...)
}

// clock appends a packet that carries a PCR and no payload; its continuity counter is
// that of the packet before (ISO 13818-1, 2.4.3.3).
func (m *muxer) clock(to []byte, pid uint16, pcr int64) []byte {
	var p [packetSize]byte
	for i := range p {
		p[i] = 0xff
	}
	p[0], p[1], p[2], p[3] = syncByte, byte(pid>>8), byte(pid), 0x20|(m.cc[pid]-1)&0x0f
	p[4], p[5] = packetSize-5, 0x10
	putPCR(p[:], pcr)
	return append(to, p[:]...)
}

func pidOf(p []byte) uint16 { return uint16(p[1]&0x1f)<<8 | uint16(p[2]) }

func hasPCR(p []byte) bool { return p[3]&0x20 != 0 && p[4] >= 7 && p[5]&0x10 != 0 }

// putPCR writes a program clock reference, in ticks of 90 kHz (ISO 13818-1, 2.4.3.4).
func putPCR(p []byte, base int64) {
	base &= wrap - 1
	p[6], p[7], p[8], p[9] = byte(base>>25), byte(base>>17), byte(base>>9), byte(base>>1)
	p[10], p[11] = byte(base<<7)|0x7e, 0
}
