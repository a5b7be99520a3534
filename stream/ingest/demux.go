package ingest

import (
	"errors"
	"log/slog"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"
	"github.com/grapevine-live/grapevine/stream/transport"
)

const (
	// maxJump is how far timestamps may be from the latest of any track before they
	// count as another time line: above what muxers interleave and encoders stall.
	maxJump = 3 * second
	// maxStepBack is how far one track may fall back before it does; less is jitter.
	maxStepBack = second / 2
	// indicatedJump is how far it may go on after a discontinuity_indicator: timestamps
	// come at least that often (ISO 13818-1, 2.7.4).
	indicatedJump = 7 * second / 10
	// strayTime is for how long after a jump other tracks' packets of the old time
	// line are left out rather than taken for a jump back.
	strayTime = second
)

// demuxer turns packets into frames for the cutter.
type demuxer struct {
	cut   *cutter
	log   *slog.Logger
	stats *Stats

	tables transport.Tables
	patCC  uint8
	known  bool // a PMT was read
	byPID  map[uint16]*pes
	order  []*pes
	data   dataDemuxer

	ref    int64 // the latest decoding time of any track, unwrapped
	hasRef bool
	breaks uint64 // jumps of ref

	oldRef int64 // ref before the last jump
	newRef int64 // ref at the last jump
	stray  map[*pes]bool
}

// packet takes one transport packet.
func (d *demuxer) packet(raw []byte) error {
	p := transport.ParsePacket(raw)
	if p.PID == 0 && !p.Broken {
		if p.CC == 0 && d.patCC != 0x0f {
			// Another muxer's output follows, as in files put together of segments: its
			// counters have nothing to do with those before.
			for _, s := range d.order {
				s.counted = false
			}
			d.data.restart()
		}
		d.patCC = p.CC
	}
	if pmt := d.tables.Add(raw, p); pmt != nil {
		tracks, ignored, err := identify(pmt)
		ignored = append(ignored, d.data.follow(d.cut, pmt)...)
		d.stats.Ignored = ignored
		if err != nil {
			return err
		}
		switch {
		case d.known && sameTracks(tracks, d.cut.tracks):
			return nil
		case !d.known && sameKinds(tracks, d.cut.tracks):
			d.adopt(tracks)
			return nil
		}
		return d.setTracks(tracks, ignored)
	}
	s := d.byPID[p.PID]
	if s == nil {
		d.data.packet(d.cut, p)
		return nil
	}
	if p.Broken || p.Scrambled {
		s.damaged = s.open
		d.stats.LostPackets++
		s.counted = false
		return nil
	}
	if p.Discontinuity {
		for _, o := range d.order {
			o.indicated = true
		}
	}
	if len(p.Payload) == 0 {
		return nil
	}
	missing, repeated := s.continuity(p)
	if repeated {
		return nil
	}
	d.stats.LostPackets += uint64(missing)
	if p.Start {
		return d.startPES(s, p.Payload, missing > 0)
	}
	if !s.open {
		return nil
	}
	s.damaged = s.damaged || missing > 0
	return d.extend(s, p.Payload)
}

func (d *demuxer) setTracks(tracks []*track, ignored []string) error {
	if err := d.flush(nil); err != nil {
		return err
	}
	if d.tables.Programs() > 1 {
		d.log.Warn("input has several programs, the first is used", "programs", d.tables.Programs())
	}
	d.log.Info("input tracks", "published", len(tracks), "left_out", ignored)
	d.follow(tracks)
	return d.cut.setTracks(tracks)
}

// adopt goes on with the tracks that there were before another muxer's output began:
// players that know their PIDs have nothing to find out.
func (d *demuxer) adopt(tracks []*track) {
	for i, t := range d.cut.tracks {
		t.pid = tracks[i].pid
		t.audio.rate = 0 // whatever it is now is no change
	}
	d.follow(d.cut.tracks)
}

// follow puts together the PES packets of these tracks, and no others.
func (d *demuxer) follow(tracks []*track) {
	d.known = true
	d.byPID = make(map[uint16]*pes)
	d.order = nil
	for _, t := range tracks {
		s := &pes{track: t}
		d.byPID[t.pid] = s
		d.order = append(d.order, s)
	}
}

// startPES takes the first packet of a PES packet. tailLost says that packets before it
// are missing.
func (d *demuxer) startPES(s *pes, payload []byte, tailLost bool) error {
	h, ok, bad := transport.ParsePESHeader(payload)
	if s.open {
		video := s.track.isVideo()
		if video && ok && !h.Timed && s.known && s.hdr.Total == 0 && !tailLost {
			// No timestamp: more of the same frame, or its second field.
			return d.extend(s, payload[h.Size:])
		}
		// A frame's end may be among what is missing, unless this is another stream put
		// after the first.
		if tailLost && !(ok && h.Timed && d.isJump(s, unwrap(d.ref, h.DTS))) {
			s.damaged = true
		}
		if err := d.finish(s); err != nil {
			return err
		}
	}
	s.reset()
	if bad {
		return nil
	}
	s.open = true
	return d.extend(s, payload)
}

// extend adds payload to the PES packet that is open.
func (d *demuxer) extend(s *pes, payload []byte) error {
	if len(s.buf)+len(payload) > maxPES {
		s.damaged = true
		d.log.Warn("frame too long", "pid", s.track.pid, "limit", maxPES)
		return d.finish(s)
	}
	s.buf = append(s.buf, payload...)
	if !s.known {
		h, ok, bad := transport.ParsePESHeader(s.buf)
		if bad {
			s.reset()
			return nil
		}
		if !ok {
			return nil
		}
		s.hdr, s.known = h, true
		if h.Timed {
			keep, err := d.place(s)
			if err != nil {
				return err
			}
			if !keep {
				d.stats.SkippedFrames++
				s.reset()
				return nil
			}
		}
	}
	if s.hdr.Total > 0 && len(s.buf) >= s.hdr.Total {
		s.buf = s.buf[:s.hdr.Total]
		return d.finish(s)
	}
	return d.peek(s, false)
}

// peek tells the cutter of a video frame as soon as its first slice is in sight.
func (d *demuxer) peek(s *pes, all bool) error {
	if s.begun || s.damaged || !s.placed || !s.track.isVideo() {
		return nil
	}
	hevc := isHEVC(s.track)
	if !s.head.scan(s.payload(), hevc, all) {
		return nil
	}
	s.begun = true
	return d.cut.begin(s.track, s.pts, s.dts, s.head.head(s.payload(), hevc))
}

// finish hands on the PES packet that is open.
func (d *demuxer) finish(s *pes) error {
	defer s.reset()
	if !s.known {
		return nil
	}
	if !s.track.isVideo() {
		return d.finishAudio(s)
	}
	if err := d.peek(s, true); err != nil {
		return err
	}
	switch {
	case s.damaged:
		d.stats.DamagedFrames++
		if s.begun {
			return d.cut.lost(s.track)
		}
		return nil
	case !s.begun:
		return nil // no slice, or no timestamp: nothing to show
	}
	hevc := isHEVC(s.track)
	return d.cut.video(s.track, s.head.head(s.payload(), hevc), s.payload())
}

func (d *demuxer) finishAudio(s *pes) error {
	if s.damaged {
		d.stats.DamagedFrames++
		s.framer.reset()
		return nil
	}
	lost := s.framer.lost
	frames, format := s.framer.frames(s.track.codec, s.payload(), s.pts, s.placed)
	d.stats.Garbage += s.framer.lost - lost
	if len(frames) == 0 {
		return nil
	}
	return d.cut.audio(s.track, frames, format)
}

// flush hands on all PES packets that are open, but for except's: the input ends or
// breaks here. Those that say how long they are, and are shorter, are damaged.
func (d *demuxer) flush(except *pes) error {
	var errs []error
	for _, s := range d.order {
		if s == except || !s.open {
			continue
		}
		s.damaged = s.damaged || s.known && s.hdr.Total > 0
		errs = append(errs, d.finish(s))
	}
	return errors.Join(errs...)
}

// place puts the timestamps of a PES packet that begins on the time line. It returns
// false if the packet belongs to a time line that was left.
func (d *demuxer) place(s *pes) (keep bool, err error) {
	if !d.hasRef {
		d.ref, d.hasRef = s.hdr.DTS, true
	}
	dts := unwrap(d.ref, s.hdr.DTS)
	if d.isJump(s, dts) {
		old := unwrap(d.oldRef, s.hdr.DTS)
		if d.stray[s] && d.ref-d.newRef < strayTime && abs(old-d.oldRef) <= maxJump {
			return false, nil
		}
		if err := d.jump(s); err != nil {
			return false, err
		}
		dts = s.hdr.DTS
		d.oldRef, d.ref, d.newRef = d.ref, dts, dts
	}
	delete(d.stray, s)
	s.indicated = false
	s.dts, s.pts, s.placed = dts, unwrap(dts, s.hdr.PTS), true
	s.prev, s.hasPrev = dts, true
	d.ref = max(d.ref, dts)
	return true, nil
}

// isJump reports whether a decoding time is on another time line than what came before.
func (d *demuxer) isJump(s *pes, dts int64) bool {
	if !d.hasRef {
		return false
	}
	return abs(dts-d.ref) > maxJump ||
		s.hasPrev && dts < s.prev-maxStepBack ||
		s.hasPrev && s.indicated && (dts < s.prev || dts-s.prev > indicatedJump)
}

// jump ends the time line before s.
func (d *demuxer) jump(s *pes) error {
	d.log.Warn("input timestamps jump", "pid", s.track.pid, "from", d.ref, "to", s.hdr.DTS)
	if err := d.flush(s); err != nil {
		return err
	}
	d.breaks++
	d.stray = make(map[*pes]bool)
	for _, o := range d.order {
		o.hasPrev, o.indicated = false, false
		o.framer.reset()
		if o != s {
			d.stray[o] = true
		}
	}
	return d.cut.discontinuity()
}

// cutOff ends the time line, and prepares for another muxer's output. Unless frames are
// known to be whole, those that may be cut off are damaged: a frame whose length is not
// told ends in a packet with stuffing, but for one in 184.
func (d *demuxer) cutOff(whole bool) error {
	for _, s := range d.order {
		s.damaged = s.damaged || s.open && !whole && s.lastLen == packetSize-4
	}
	if err := d.flush(nil); err != nil && !isOfInput(err) {
		return err
	}
	if d.hasRef {
		d.breaks++
	}
	*d = demuxer{cut: d.cut, log: d.log, stats: d.stats, breaks: d.breaks}
	return d.cut.discontinuity()
}

// rewind prepares for the same file from its start, after flush.
func (d *demuxer) rewind() {
	d.hasRef = false
	for _, s := range d.order {
		s.reset()
		s.counted, s.hasPrev, s.indicated = false, false, false
		s.framer.reset()
	}
}

func isHEVC(t *track) bool {
	_, ok := t.codec.(*codecs.H265)
	return ok
}

func abs(x int64) int64 { return max(x, -x) }
