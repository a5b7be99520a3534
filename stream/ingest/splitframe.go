package ingest

import (
	"bytes"
	"fmt"

	"github.com/asticode/go-astits"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/transport"
)

const (
	// roomyPart is above what a part should grow to, and fullPart above what it may: it
	// then ends at the next frame, whatever its duration and the other tracks.
	roomyPart = maxPart / 2
	fullPart  = maxPart / 4 * 3

	pidSDT  = 0x11 // ETSI EN 300 468, 5.1.3
	pidNull = 0x1fff
)

// splitTrack is a track whose frames are found, and not taken apart.
type splitTrack struct {
	*track
	left  int    // bytes of the PES packet that are to come, if it tells
	head  []byte // of the PES packet, as far as it is needed
	known bool   // its header was read
	scan  headScanner
	size  int // of the header
}

func (t *splitTrack) reset() {
	t.left, t.head, t.known, t.scan = 0, t.head[:0], false, headScanner{}
}

// packet takes one packet of the segment.
func (s *Splitter) packet(raw []byte) error {
	g := &s.seg
	if raw[0] != syncByte {
		return fmt.Errorf("%w: a packet starts with %#02x", ErrNotMPEGTS, raw[0])
	}
	if len(g.buf) == 0 && cap(g.buf) == 0 {
		g.buf = make([]byte, 0, g.hint+g.hint/4+packetSize)
	}
	p := transport.ParsePacket(raw)
	if pmt := s.tables.Add(raw, p); pmt != nil {
		if err := s.setTracks(pmt); err != nil {
			return err
		}
	}
	at := g.tail
	g.buf = append(g.buf, raw...)
	if len(p.Payload) == 0 || s.tables.Holds(p) || p.PID == pidSDT || p.PID == pidNull {
		return nil // belongs to what follows
	}
	g.tail = len(g.buf)
	t := s.byPID[p.PID]
	if t == nil || p.Broken || p.Scrambled {
		return nil
	}
	if p.Start {
		if t == s.tracks[0] {
			if err := s.endFrame(); err != nil {
				return err
			}
		}
		t.reset()
		return s.extend(t, p.Payload, at)
	}
	t.left -= len(p.Payload)
	if len(t.head) == 0 {
		return nil // its beginning is not in this segment, or it is known already
	}
	return s.extend(t, p.Payload, -1)
}

// setTracks takes a table that is new.
func (s *Splitter) setTracks(pmt *astits.PMTData) error {
	tracks, ignored, err := identify(pmt)
	s.count(func(st *Stats) { st.Ignored = ignored })
	if err != nil {
		return err
	}
	if s.byPID != nil && sameTracks(tracks, s.plainTracks()) {
		return nil
	}
	if s.seg.framed {
		s.log.Warn("tracks change within a segment")
	}
	s.log.Info("input tracks", "published", len(tracks), "left_out", ignored)
	s.broken = s.begun
	s.byPID, s.tracks = make(map[uint16]*splitTrack), nil
	s.params, s.sps, s.len = paramSets{}, nil, 0
	for _, t := range tracks {
		st := &splitTrack{track: t}
		s.byPID[t.pid] = st
		s.tracks = append(s.tracks, st)
	}
	return nil
}

// extend looks at more of a PES packet, which begins at offset at of the part if that is
// not negative.
func (s *Splitter) extend(t *splitTrack, payload []byte, at int) error {
	t.head = append(t.head, payload...)
	if !t.known {
		h, ok, bad := transport.ParsePESHeader(t.head)
		switch {
		case bad:
			t.reset()
			return nil
		case !ok:
			return nil // one that is spread over packets begins no part
		}
		t.known, t.size = true, h.Size
		if h.Total > 0 {
			t.left = h.Total - len(t.head)
		}
		if t == s.tracks[0] && h.Timed && at >= 0 {
			if err := s.beginFrame(h, at); err != nil {
				return err
			}
		}
	}
	return s.look(t, false)
}

// look reads what a frame's beginning says. all says that nothing of it will follow.
func (s *Splitter) look(t *splitTrack, all bool) error {
	if !t.known {
		return nil
	}
	payload := t.head[t.size:]
	if !t.isVideo() {
		if f, err := parseAudio(t.codec, payload); err == nil {
			s.setAudio(t, f.format)
		}
		t.head = t.head[:0]
		if t == s.tracks[0] {
			return s.told(true)
		}
		return nil
	}
	hevc := isHEVC(t.track)
	if !t.scan.scan(payload, hevc, all) {
		if t.scan.done {
			t.head = t.head[:0]
		}
		return nil
	}
	h := t.scan.head(payload, hevc)
	s.params.note(h.units, hevc)
	t.head = t.head[:0]
	if h.key {
		s.setVideo(hevc)
	}
	return s.told(h.key && s.params.sps() != nil)
}

// told notes whether decoding can start at the frame that is under way.
func (s *Splitter) told(key bool) error {
	g := &s.seg
	if g.scanned || !g.framed {
		return nil
	}
	g.scanned = true
	if g.opens {
		g.key = key
	}
	if !s.begun && !key && g.opens {
		return fmt.Errorf("%w at the start of a segment", ErrNoKeyframe)
	}
	return nil
}

// endFrame tells that nothing follows of the leader's frame that is under way.
func (s *Splitter) endFrame() error {
	if len(s.tracks) == 0 {
		return nil
	}
	if t := s.tracks[0]; len(t.head) > 0 {
		if err := s.look(t, true); err != nil {
			return err
		}
	}
	if s.seg.framed {
		return s.told(false)
	}
	return nil
}

// beginFrame takes the beginning of a frame of the leader's, at offset at of the part.
func (s *Splitter) beginFrame(h transport.PESHeader, at int) error {
	g := &s.seg
	if !s.hasRef {
		s.ref, s.hasRef = h.DTS, true
	}
	dts := unwrap(s.ref, h.DTS)
	step := dts - s.ref
	s.ref = dts
	jump := step > maxJump || step < -maxStepBack
	g.scanned = false
	if !g.framed {
		s.beginFrames(unwrap(dts, h.PTS), dts, jump)
		return nil
	}
	if jump {
		s.log.Warn("timestamps jump within a segment", "by", micros(step))
		g.skew += s.frameTime() - step
	} else if step > 0 {
		s.len = step
	}
	now := max(g.last+1, dts+g.lead+g.skew)
	g.last = now
	g.opens = false
	if s.ends(now, at) {
		if err := s.endPart(at, now, false); err != nil {
			return err
		}
	}
	g.frames++
	return nil
}

// beginFrames takes the first frame of a segment.
func (s *Splitter) beginFrames(pts, dts int64, jump bool) {
	g := &s.seg
	if jump && s.begun && !s.broken {
		s.log.Warn("timestamps jump between segments", "from", s.ended, "to", pts)
		s.broken = true
	}
	g.framed, g.opens = true, true
	g.start, g.from, g.last, g.lead = pts, pts, pts, pts-dts
	g.frames = 1
}

// ends reports whether the part that is open ends before a frame at offset at, which
// begins at now.
func (s *Splitter) ends(now int64, at int) bool {
	lasted := now - s.seg.from
	if at == 0 || s.seg.parts == stream.MaxPartsPerSegment-1 {
		return false
	}
	if lasted >= 2*(s.part-slack) || at >= fullPart {
		return true
	}
	if lasted < s.part-slack && at < roomyPart {
		return false
	}
	for _, t := range s.tracks[1:] {
		if t.left > 0 {
			return false
		}
	}
	return true
}

func (s *Splitter) frameTime() int64 {
	if s.len > 0 {
		return s.len
	}
	return defaultFrame
}

// setVideo notes what the parameter sets at a keyframe say.
func (s *Splitter) setVideo(hevc bool) {
	sps := s.params.sps()
	if sps == nil || bytes.Equal(sps, s.sps) {
		return
	}
	t := s.tracks[0]
	old := t.video
	s.sps, t.video = sps, videoFormatOf(sps, hevc)
	if now := t.video; old.codecs != "" && (old.codecs != now.codecs || old.width != now.width || old.height != now.height) {
		s.log.Info("input video changes", "from", old.codecs, "to", now.codecs, "width", now.width, "height", now.height)
		s.breakHere()
	}
}

// setAudio notes what a frame says of its track.
func (s *Splitter) setAudio(t *splitTrack, format audioFormat) {
	if old := t.audio; old.rate != 0 && old != format {
		s.log.Info("input audio changes", "from", old, "to", format)
		s.breakHere()
	}
	t.audio = format
}

// breakHere marks the segment that is open as a discontinuity, if it can be still.
func (s *Splitter) breakHere() {
	if s.seg.parts == 0 {
		s.broken = true
	}
}
