package ingest

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// maxPart bounds a part.
	maxPart = stream.MaxPartSize
	// slack is by how much a cut may come early: encoders that count in milliseconds
	// put a keyframe at 1.999 s, and the next would be twice as far.
	slack = 5 * second / 1000
	// maxPending bounds the audio that waits for a frame that began before it.
	maxPending = 4 << 20
	// maxAudioPES is below what the 16-bit length of a PES packet allows.
	maxAudioPES = 60000
	// defaultFrame is how long the last frame lasts if it was the only one.
	defaultFrame = second / 25
)

// cutter makes segments and parts of frames. Its leader, the video or else the first
// audio track, says where they start. Timestamps of its input are unwrapped but may
// jump after discontinuity; those inside are output time: input plus offset.
//
// Segments last from one keyframe's presentation to the next's. In between, pictures
// come in decoding order: a part starts at its first frame's decoding time plus what
// the keyframe's presentation was later than its decoding.
type cutter struct {
	segment, part, timeout int64 // ticks
	publish                func(stream.Part) error
	openFurther            func(rendition string) (func(stream.Part) error, error) // nil: all audio is published together
	log                    *slog.Logger
	stats                  *Stats
	base                   *Base // nil unless it is shared

	tracks  []*track // of the input
	main    []*track // those that are published together, the leader first
	leader  *track
	mux     muxer
	further []*further // the other tracks' renditions, and those that there were
	text    []*text
	params  paramSets
	sps     []byte // that leader.video describes

	first   int64 // output time of the first keyframe
	offset  int64
	based   bool  // offset is set
	lead    int64 // of presentation before decoding, at the segment's keyframe
	needKey bool  // leave the leader's frames out until a keyframe
	rebase  bool  // the next segment continues at ended, whatever its timestamps
	marked  bool  // the next segment is a discontinuity
	changed bool  // the next keyframe starts one

	open       bool // a segment began
	segStart   int64
	partStart  int64
	next       stream.Part // flags of the part that is open
	buf        []byte
	needTables bool // before the next frame
	frames     int  // in buf
	pictures   int  // in buf, of the leader
	sizeHint   int

	begun        bool // the leader's frame at begunDTS began and is not here yet
	begunSegment bool // it started a segment
	begunPTS     int64
	begunDTS     int64
	pending      []pendingAudio
	pendingSize  int
	data         dataMessages

	ended    int64 // the latest end of any frame, the video's plus lead
	frameLen int64 // of the leader's last frame
	measured float64

	keyBase int64 // the last keyframe, or the first frame, in input time
	hasBase bool

	heldFor    time.Duration // the encoder's first frame, before it came here
	heldUntil  int64         // input time from which on frames are not
	anchored   bool          // the wall clock is known for
	fresh      bool          // anchorIn, not yet for anchorOut
	anchorWall time.Time
	anchorIn   int64
	anchorOut  int64

	loopStart  int64 // of the file's first frame in this iteration
	loopOffset int64 // offset at loopStart
	looped     int64 // what iterations before have added
}

type pendingAudio struct {
	track  *track
	frames []audioFrame
}

// setTracks begins a new set of tracks.
func (c *cutter) setTracks(tracks []*track) error {
	if err := c.end(); err != nil {
		return err
	}
	for _, t := range tracks {
		t.spliced = c.based
	}
	main, err := c.setFurther(tracks)
	if err != nil {
		return err
	}
	c.tracks, c.main, c.leader = tracks, main, nil
	c.params, c.sps = paramSets{}, nil
	c.marked, c.changed, c.hasBase = true, false, false
	if len(tracks) == 0 {
		return nil
	}
	c.leader = main[0]
	c.needKey = c.leader.isVideo()
	return c.mux.start(main)
}

// begin tells of a video frame whose first slice is here, and whose rest follows.
func (c *cutter) begin(t *track, pts, dts int64, h head) error {
	hevc := isHEVC(t)
	c.anchor(pts)
	c.params.note(h.units, hevc)
	key := h.key && c.params.sps() != nil
	if err := c.checkKeyframe(dts, key); err != nil {
		return err
	}
	if c.needKey && (!key || !c.admitted(pts)) {
		return nil
	}
	if key {
		c.needKey = false
		c.setFormat(hevc)
	}
	c.begunSegment = false
	switch at := dts + c.offset + c.lead; {
	case key && (!c.open || c.changed || pts+c.offset-c.segStart >= c.segment-slack):
		if err := c.startSegment(pts, dts); err != nil {
			return err
		}
		c.begunSegment = true
	case at-c.partStart >= c.part-slack:
		if err := c.startPart(at, key); err != nil {
			return err
		}
	}
	c.begun = true
	c.begunDTS = t.after(dts + c.offset)
	c.begunPTS = max(pts+c.offset, c.begunDTS)
	return nil
}

// setFormat notes what the parameter sets at a keyframe say.
func (c *cutter) setFormat(hevc bool) {
	sps := c.params.sps()
	if bytes.Equal(sps, c.sps) {
		return
	}
	old := c.leader.video
	c.sps, c.leader.video = sps, videoFormatOf(sps, hevc)
	now := c.leader.video
	if old.codecs != "" && (old.codecs != now.codecs || old.width != now.width || old.height != now.height) {
		c.log.Info("input video changes", "from", old.codecs, "to", now.codecs, "width", now.width, "height", now.height)
		c.changed = true
	}
}

// video takes a frame that began.
func (c *cutter) video(t *track, h head, payload []byte) error {
	if !c.begun {
		c.stats.SkippedFrames++
		return nil
	}
	c.begun = false
	hevc := isHEVC(t)
	units := h.units
	if h.key {
		units = c.params.complete(units, hevc)
	}
	// What follows the first slice's header goes through as it is.
	units = append(slices.Clone(units), payload[h.slice:])
	if err := c.room(len(payload), c.begunDTS+c.lead); err != nil {
		return err
	}
	var err error
	if c.buf, err = c.mux.video(c.buf, t, c.begunPTS, c.begunDTS, units, hevc); err != nil {
		return err
	}
	if d := c.begunDTS - t.last; t.frames > 0 && d > 0 && d < maxJump {
		c.frameLen = d
	}
	c.pictures++
	end := c.begunDTS + c.lead + c.frameTime()
	c.wrote(t, 1, c.begunDTS, end)
	if err := c.writeMessages(end); err != nil {
		return err
	}
	return c.flushPending()
}

// lost tells that a frame that began is damaged.
func (c *cutter) lost(t *track) error {
	if !c.begun {
		return nil
	}
	c.begun = false
	if c.begunSegment && c.frames == 0 {
		// The segment before has ended already, and this one cannot start without.
		c.open, c.buf = false, nil
		c.needKey, c.marked = true, true
	}
	return c.flushPending()
}

// audio takes a track's frames, and what they say of it.
func (c *cutter) audio(t *track, frames []audioFrame, format audioFormat) error {
	f := c.furtherOf(t)
	if f.leftOut() {
		return nil
	}
	if old := t.audio; old.rate != 0 && old != format {
		c.log.Info("input audio changes", "from", old, "to", format)
		c.changed = true
	}
	t.audio = format
	switch {
	case t == c.leader:
		return c.leadAudio(t, frames)
	case !c.open:
		c.stats.SkippedFrames += uint64(len(frames))
		return nil
	case f != nil:
		return f.add(frames, c.offset)
	case c.begun && c.pendingSize < maxPending:
		// It came after the beginning of a frame that starts a part, perhaps a segment.
		for i := range frames {
			frames[i].data = bytes.Clone(frames[i].data)
			c.pendingSize += len(frames[i].data)
		}
		c.pending = append(c.pending, pendingAudio{t, frames})
		return nil
	}
	return c.writeAudio(t, frames)
}

// leadAudio takes frames where there is no video: each may start a segment.
func (c *cutter) leadAudio(t *track, frames []audioFrame) error {
	from := 0
	for i, f := range frames {
		c.anchor(f.pts)
		if !c.admitted(f.pts) {
			c.stats.SkippedFrames++
			from = i + 1
			continue
		}
		out := f.pts + c.offset
		segment := !c.open || c.changed || out-c.segStart >= c.segment-slack
		if !segment && out-c.partStart < c.part-slack {
			continue
		}
		if err := c.writeAudio(t, frames[from:i]); err != nil {
			return err
		}
		from = i
		var err error
		if segment {
			err = c.startSegment(f.pts, f.pts)
		} else {
			err = c.startPart(out, true)
		}
		if err != nil {
			return err
		}
	}
	return c.writeAudio(t, frames[from:])
}

func (c *cutter) flushPending() error {
	pending := c.pending
	c.pending, c.pendingSize = nil, 0
	for _, p := range pending {
		if !c.open {
			c.stats.SkippedFrames += uint64(len(p.frames))
			continue
		}
		if err := c.writeAudio(p.track, p.frames); err != nil {
			return err
		}
	}
	return nil
}

// writeAudio writes frames as PES packets.
func (c *cutter) writeAudio(t *track, frames []audioFrame) error {
	if t != c.leader {
		frames = t.splice(frames, c.offset, c.stats)
	}
	for len(frames) > 0 {
		n, size := 1, len(frames[0].data)
		for n < len(frames) && size+len(frames[n].data) <= maxAudioPES {
			size += len(frames[n].data)
			n++
		}
		data := make([]byte, 0, size)
		for _, f := range frames[:n] {
			data = append(data, f.data...)
		}
		pts := t.after(frames[0].pts + c.offset)
		if err := c.room(size, pts); err != nil {
			return err
		}
		var err error
		if c.buf, err = c.mux.audio(c.buf, t, pts, data); err != nil {
			return err
		}
		last := frames[n-1]
		c.wrote(t, n, last.pts+c.offset, last.end+c.offset)
		if t == c.leader {
			if err := c.writeMessages(last.end + c.offset); err != nil {
				return err
			}
		}
		frames = frames[n:]
	}
	return nil
}

// wrote notes n frames of t, the last from last to end.
func (c *cutter) wrote(t *track, n int, last, end int64) {
	t.wrote(n, last, end)
	c.ended = max(c.ended, t.end)
	c.frames += n
}

// room prepares for a frame of size bytes: it cuts the part if that would grow too long.
func (c *cutter) room(size int, at int64) error {
	const overhead = 16 // one byte in that many: packet headers, stuffing, tables
	if c.frames > 0 && len(c.buf)+size+size/overhead+8*packetSize > maxPart {
		if err := c.startPart(max(at, c.partStart+1), false); err != nil {
			return err
		}
	}
	return c.writeTables()
}

// frameTime is how long a frame of the leader lasts.
func (c *cutter) frameTime() int64 {
	if c.frameLen > 0 {
		return c.frameLen
	}
	return defaultFrame
}

// checkKeyframe fails when there was no keyframe for too long.
func (c *cutter) checkKeyframe(dts int64, key bool) error {
	if key || !c.hasBase {
		c.keyBase, c.hasBase = dts, true
	}
	if dts-c.keyBase > c.timeout {
		return fmt.Errorf("%w in %v", ErrNoKeyframe, micros(c.timeout))
	}
	return nil
}
