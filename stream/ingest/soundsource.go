package ingest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"

	"github.com/grapevine-live/grapevine/stream/transport"
)

// maxTag bounds the ID3 tags that a segment of packed audio begins with: they may hold a
// picture, and players read them whole.
const maxTag = 1 << 20

// ErrNoTimestamp says that packed audio does not begin with the timestamp that it must have.
var ErrNoTimestamp = errors.New("packed audio tells no timestamp")

// plainSound is sound without an initialisation section: MPEG-TS, or packed audio.
type plainSound struct {
	transport transportSound
	packed    packedSound
	now       soundSource // which of them it is; nil before the segment's first byte
}

func (p *plainSound) begin() { p.now = nil }

func (p *plainSound) write(b []byte, take takeSound) error {
	if len(b) == 0 {
		return nil
	}
	if p.now == nil {
		p.now = &p.packed
		if b[0] == syncByte {
			p.now = &p.transport
		}
		p.now.begin()
	}
	return p.now.write(b, take)
}

func (p *plainSound) end(take takeSound) error {
	if p.now == nil {
		return ErrNoSound
	}
	return p.now.end(take)
}

// transportSound is sound in MPEG-TS: its first audio track.
type transportSound struct {
	tables transport.Tables
	pes    pes // its track is nil before the first table
	rest   []byte
}

func (s *transportSound) begin() {
	s.rest = nil
	s.pes.reset()
	s.pes.framer.reset()
	s.pes.counted = false
}

func (s *transportSound) write(b []byte, take takeSound) error {
	s.rest = append(s.rest, b...)
	for ; len(s.rest) >= packetSize; s.rest = s.rest[packetSize:] {
		if err := s.packet(s.rest[:packetSize], take); err != nil {
			return err
		}
	}
	return nil
}

func (s *transportSound) packet(raw []byte, take takeSound) error {
	if raw[0] != syncByte {
		return fmt.Errorf("%w: a packet starts with %#02x", ErrNotMPEGTS, raw[0])
	}
	p := transport.ParsePacket(raw)
	if pmt := s.tables.Add(raw, p); pmt != nil {
		tracks, _, err := identify(pmt)
		if err != nil {
			return err
		}
		n := slices.IndexFunc(tracks, func(t *track) bool { return !t.isVideo() })
		if n < 0 {
			return fmt.Errorf("%w: the tables name no audio", ErrNoTracks)
		}
		s.pes.reset()
		s.pes.framer.reset()
		s.pes.track = tracks[n]
	}
	if s.pes.track == nil || p.PID != s.pes.track.pid {
		return nil
	}
	if p.Broken || p.Scrambled {
		s.pes.damaged, s.pes.counted = true, false
		return nil
	}
	if len(p.Payload) == 0 {
		return nil
	}
	missing, repeated := s.pes.continuity(p)
	if repeated {
		return nil
	}
	s.pes.damaged = s.pes.damaged || missing > 0
	if p.Start {
		s.finish(take)
		s.pes.open = true
	}
	if s.pes.open {
		s.extend(p.Payload, take)
	}
	return nil
}

// extend adds to the PES packet that is open, which ends where it says.
func (s *transportSound) extend(payload []byte, take takeSound) {
	p := &s.pes
	p.buf = append(p.buf, payload...)
	if !p.known {
		h, ok, bad := transport.ParsePESHeader(p.buf)
		if bad || len(p.buf) > maxPES {
			p.reset()
			return
		}
		p.hdr, p.known = h, ok
	}
	if p.known && p.hdr.Total > 0 && len(p.buf) >= p.hdr.Total {
		p.buf = p.buf[:p.hdr.Total]
		s.finish(take)
	}
}

// finish hands on the frames of the PES packet that is open.
func (s *transportSound) finish(take takeSound) {
	p := &s.pes
	defer p.reset()
	if p.damaged {
		p.framer.reset()
	} else if p.known {
		list, detail := p.framer.frames(p.track.codec, p.payload(), p.hdr.PTS, p.hdr.Timed)
		take(list, p.track.codec, detail)
	}
}

func (s *transportSound) end(take takeSound) error {
	if len(s.rest) > 0 || s.pes.known && s.pes.hdr.Total > 0 {
		return fmt.Errorf("%w: it ends within a packet", ErrCutOff)
	}
	s.finish(take)
	return nil
}

// packedSound is packed audio: frames of AAC, MP3 or AC-3, after an ID3 tag that says when the
// first is heard (RFC 8216, section 3.4).
type packedSound struct {
	head   []byte // what precedes the first frame, as far as it is here
	codec  codecs.Codec
	framer framer
}

func (s *packedSound) begin() { *s = packedSound{} }

func (s *packedSound) write(b []byte, take takeSound) error {
	if s.codec != nil {
		s.frames(b, 0, false, take)
		return nil
	}
	s.head = append(s.head, b...)
	pts, size, err := packedTimestamp(s.head)
	if errors.Is(err, errShort) {
		return nil
	}
	if err == nil {
		s.codec, err = packedCodec(s.head[size:])
	}
	if errors.Is(err, errShort) {
		return nil
	}
	if err == nil {
		s.frames(s.head[size:], pts, true, take)
	}
	return err
}

func (s *packedSound) frames(b []byte, pts int64, timed bool, take takeSound) {
	list, detail := s.framer.frames(s.codec, b, pts, timed)
	take(list, s.codec, detail)
}

func (s *packedSound) end(takeSound) error {
	if s.codec == nil {
		return fmt.Errorf("%w: it ends before its first frame", ErrCutOff)
	}
	return nil
}

// timestampOwner is of the frame that has the timestamp (RFC 8216, section 3.4).
var timestampOwner = []byte("com.apple.streaming.transportStreamTimestamp\x00")

// packedTimestamp returns the timestamp that packed audio begins with, 33 bits at 90 kHz, and
// how long the tags are that say so. It fails with errShort if they go on.
func packedTimestamp(b []byte) (pts int64, size int, err error) {
	const header = 10 // ID3v2.4, section 3.1
	found := false
	for {
		rest := b[size:]
		if len(rest) < header {
			if len(rest) >= 3 && !bytes.HasPrefix(rest, []byte("ID3")) {
				break
			}
			return 0, 0, errShort
		}
		if !bytes.HasPrefix(rest, []byte("ID3")) {
			break
		}
		n := header + syncsafe(rest[6:10])
		if rest[5]&0x10 != 0 { // it has a footer
			n += header
		}
		switch {
		case size+n > maxTag:
			return 0, 0, fmt.Errorf("%w: its tags have more than %d bytes", ErrNoTimestamp, maxTag)
		case len(rest) < n:
			return 0, 0, errShort
		}
		if at := bytes.Index(rest[:n], timestampOwner); at >= 0 && at+len(timestampOwner)+8 <= n {
			pts, found = int64(binary.BigEndian.Uint64(rest[at+len(timestampOwner):]))&(wrap-1), true
		}
		size += n
	}
	if !found {
		return 0, 0, ErrNoTimestamp
	}
	return pts, size, nil
}

// syncsafe reads four bytes of seven bits each (ID3v2.4, section 6.2).
func syncsafe(b []byte) int {
	return int(b[0]&0x7f)<<21 | int(b[1]&0x7f)<<14 | int(b[2]&0x7f)<<7 | int(b[3]&0x7f)
}

// packedCodec returns what the frames are that packed audio has.
func packedCodec(b []byte) (codecs.Codec, error) {
	const enhanced = 11 // the least bsid of E-AC-3 (ETSI TS 102 366, E.1.3.1.6)
	switch {
	case len(b) < 6:
		return nil, errShort
	case b[0] == 0xff && b[1]&0xf6 == 0xf0:
		return &codecs.MPEG4Audio{}, nil
	case b[0] == 0xff && b[1]&0xe0 == 0xe0:
		return &codecs.MPEG1Audio{}, nil
	case b[0] == 0x0b && b[1] == 0x77 && b[5]>>3 < enhanced:
		return &codecs.AC3{}, nil
	case b[0] == 0x0b && b[1] == 0x77:
		return nil, &UnsupportedCodecError{"audio", "E-AC-3"}
	}
	return nil, fmt.Errorf("%w: packed audio begins with % x", ErrNoSound, b[:6])
}
