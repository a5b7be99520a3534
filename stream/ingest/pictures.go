package ingest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/asticode/go-astits"

	"github.com/grapevine-live/grapevine/stream/transport"
)

const (
	// soundPID is the first of the PIDs that sound gets, and soundPIDs how many there are:
	// each set of tracks has its own, as demuxers keep a PID's codec.
	soundPID, soundPIDs = 0x1d00, 256
	// maxBefore bounds what of a segment is before its first picture.
	maxBefore = 1 << 20
)

// Pictures puts sound into segments of MPEG-TS that have pictures alone. But for the table of
// the tracks all packets stay as they are, and so do timestamps; segments that have sound of
// their own stay as a whole. It is not safe for concurrent use.
type Pictures struct {
	beside *besideSound // nil without sound

	tables   transport.Tables
	sections transport.Sections // of the PMT's PID
	tracks   []*track
	known    bool     // there was a table
	video    *track   // nil if there is none, or sound comes with it
	own      []uint16 // PIDs that the segments have
	mux      muxer
	sets     int
	pid      uint16 // of the sound
	entry    []byte // the table's, of the sound; nil before any came

	rest  []byte // of a packet
	held  []byte // packets that go with the picture that follows
	fresh bool   // a segment began, and has no picture yet
	last  int64  // the newest picture's decoding time
	step  int64  // by which it is after the one before

	counters map[uint16]uint8 // of continuity, when the segment began
}

// SetSound has pictures without sound get it from s; nil ends that. It must be called before
// the first segment, and with nil at last.
func (f *Pictures) SetSound(s *Sound) {
	if f.beside != nil {
		f.beside.listener.close()
		f.beside = nil
	}
	if s != nil {
		f.beside = &besideSound{listener: s.listen()}
	}
}

// MissingSound returns how many segments have not all of the sound that they should have.
func (f *Pictures) MissingSound() uint64 {
	if f.beside == nil {
		return 0
	}
	return f.beside.missing
}

// Begin begins a segment.
func (f *Pictures) Begin() {
	f.rest, f.held, f.fresh = nil, nil, true
	f.sections = transport.Sections{} // packagers may begin to count anew: nothing is repeated
	f.counters = maps.Clone(f.mux.cc)
	f.beside.begin()
}

// Undo goes back to before the last Begin, as nobody got what was returned since: packets
// that follow must not seem to have lost some.
func (f *Pictures) Undo() {
	if f.counters != nil {
		f.mux.cc = maps.Clone(f.counters)
	}
	f.beside.undo()
}

// Write takes a segment's next bytes, and returns the packets that are whole by now. Errors
// wrap [ErrNotMPEGTS], or are an [*UnsupportedCodecError].
func (f *Pictures) Write(b []byte) (out []byte, err error) {
	f.rest = append(f.rest, b...)
	for ; len(f.rest) >= packetSize; f.rest = f.rest[packetSize:] {
		if out, err = f.packet(out, f.rest[:packetSize]); err != nil {
			return out, err
		}
	}
	return out, nil
}

// End ends a segment, and returns the rest of it.
func (f *Pictures) End() ([]byte, error) {
	var out []byte
	if f.video != nil && !f.fresh {
		var err error
		if out, err = f.beside.finish(f.writeSound); err != nil {
			return out, err
		}
	}
	return append(append(out, f.held...), f.rest...), nil
}

// packet appends a packet, and before a picture the sound that is due.
func (f *Pictures) packet(out, raw []byte) ([]byte, error) {
	if raw[0] != syncByte {
		return out, fmt.Errorf("%w: a packet starts with %#02x", ErrNotMPEGTS, raw[0])
	}
	p := transport.ParsePacket(raw)
	if pmt := f.tables.Add(raw, p); pmt != nil {
		if err := f.setTracks(pmt); err != nil {
			return out, err
		}
	}
	if f.known && f.video == nil {
		out = append(append(out, f.held...), raw...)
		f.held = nil
		return out, nil
	}
	if f.video != nil && p.PID == f.video.pid && p.Start {
		var err error
		if out, err = f.picture(out, p.Payload); err != nil {
			return out, err
		}
	}
	if f.fresh || f.tables.Holds(p) || len(p.Payload) == 0 {
		if f.held = append(f.held, raw...); len(f.held) > maxBefore {
			return out, fmt.Errorf("%w: no picture in %d bytes", ErrNoTracks, maxBefore)
		}
		return out, nil
	}
	return append(f.release(out), raw...), nil
}

// setTracks takes a table that is new.
func (f *Pictures) setTracks(pmt *astits.PMTData) error {
	tracks, _, err := identify(pmt)
	if err != nil {
		return err
	}
	same := f.known && sameTracks(tracks, f.tracks)
	f.known, f.tracks, f.own = true, tracks, []uint16{pmt.PCRPID}
	for _, es := range pmt.ElementaryStreams {
		f.own = append(f.own, es.ElementaryPID)
	}
	if same && !slices.Contains(f.own, f.pid) {
		return nil
	}
	if f.video = nil; len(tracks) == 1 && tracks[0].isVideo() {
		f.video = tracks[0]
	}
	return f.start()
}

// start begins a set of tracks.
func (f *Pictures) start() error {
	if f.entry = nil; f.video == nil || f.beside.track == nil {
		return nil
	}
	if err := f.mux.start([]*track{f.video, f.beside.track}); err != nil {
		return err
	}
	for f.sets++; ; f.sets++ {
		if f.pid = soundPID + uint16(f.sets%soundPIDs); !slices.Contains(f.own, f.pid) {
			break
		}
	}
	counters := maps.Clone(f.mux.cc)
	tables, err := f.mux.tables(nil)
	if err != nil {
		return err
	}
	f.mux.cc = counters // nobody gets these packets
	f.entry = lastEntry(tables)
	binary.BigEndian.PutUint16(f.entry[1:], 0xe000|f.pid)
	return nil
}

// Parts of a PMT's section (ISO 13818-1, 2.4.4.8).
const (
	pmtTable  = 2
	pmtHeader = 12 // up to the program's descriptors
	pmtEntry  = 5  // of a track, up to its descriptors
	pmtCRC    = 4
)

// lastEntry returns what a PMT says of its last track.
func lastEntry(tables []byte) (entry []byte) {
	var sections transport.Sections
	for raw := range slices.Chunk(tables, packetSize) {
		p := transport.ParsePacket(raw)
		if p.PID == astits.PIDPAT {
			continue
		}
		sections.Add(p, func(b []byte) {
			rest := b[pmtHeader+int(binary.BigEndian.Uint16(b[10:])&0x0fff) : len(b)-pmtCRC]
			for len(rest) >= pmtEntry {
				n := pmtEntry + int(binary.BigEndian.Uint16(rest[3:])&0x0fff)
				entry, rest = bytes.Clone(rest[:n]), rest[n:]
			}
		})
	}
	return entry
}

// withEntry returns a PMT with another track. Its version is later by so many.
func withEntry(pmt, entry []byte, later int) []byte {
	out := slices.Concat(pmt[:len(pmt)-pmtCRC], entry)
	version := out[5]>>1 + byte(later)
	out[5] = out[5]&0xc1 | version&0x1f<<1
	binary.BigEndian.PutUint16(out[1:], 0xb000|uint16(len(out)+pmtCRC-3))
	return binary.BigEndian.AppendUint32(out, transport.CRC32(out))
}

// picture tells of one whose first packet is here, and appends the sound that comes before it.
func (f *Pictures) picture(out, payload []byte) ([]byte, error) {
	h, ok, _ := transport.ParsePESHeader(payload)
	if !ok || !h.Timed {
		return out, nil // it begins nothing
	}
	b := f.beside
	pts := unwrap(b.place.at, h.PTS)
	dts := unwrap(pts, h.DTS)
	if step := dts - f.last; step > 0 && step < second {
		f.step = step
	} else if f.step == 0 {
		f.step = defaultFrame
	}
	f.last = dts
	fresh := f.fresh
	if f.fresh = false; fresh {
		b.open(pts, dts)
		if b.follow(dts+f.step+b.place.lead) || f.entry == nil {
			if err := f.start(); err != nil {
				return out, err
			}
		}
	}
	b.place.ends = dts + f.step + b.place.lead
	if fresh || !b.due(dts) {
		return out, nil
	}
	return b.until(out, dts+b.place.lead, f.writeSound)
}

// release appends what was held, with sound among the tracks.
func (f *Pictures) release(out []byte) []byte {
	for raw := range slices.Chunk(f.held, packetSize) {
		p := transport.ParsePacket(raw)
		if f.entry == nil || p.PID == astits.PIDPAT || !f.tables.Holds(p) {
			out = append(out, raw...)
			continue
		}
		f.sections.Add(p, func(section []byte) {
			if section[0] == pmtTable && len(section) >= pmtHeader+pmtCRC {
				section = withEntry(section, f.entry, f.sets)
			}
			out = f.mux.section(out, p.PID, section)
		})
	}
	f.held = nil
	return out
}

// writeSound appends frames of sound that are heard at a time.
func (f *Pictures) writeSound(out []byte, pts int64, data []byte) ([]byte, error) {
	from := len(out)
	out, err := f.mux.audio(out, f.beside.track, pts&(wrap-1), data)
	for raw := range slices.Chunk(out[from:], packetSize) {
		raw[1], raw[2] = raw[1]&0xe0|byte(f.pid>>8), byte(f.pid)
	}
	return out, err
}
