package ingest

import (
	"fmt"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// startSegment ends the segment that is open, and begins one with the leader's frame
// at pts and dts, in input time.
func (c *cutter) startSegment(pts, dts int64) error {
	if c.changed {
		c.changed, c.marked = false, true
	}
	tied, isTied, now := place{}, false, c.came(pts)
	if !c.based || c.rebase {
		tied, isTied = c.base.find(pts, c.ended, now)
	}
	switch {
	case isTied:
		c.tie(pts, tied)
	case !c.based:
		c.offset, c.based = c.first-pts, true
		if due, ok := c.base.due(now); ok {
			c.offset = max(due, c.first) - pts
		}
		c.loopStart, c.loopOffset = pts+c.offset, c.offset
		c.marked = false // nothing came before
	case c.rebase, !c.open && pts+c.offset < c.partStart:
		at := max(c.ended, c.partStart)
		if due, ok := c.base.due(now); ok {
			at = max(at, due)
		}
		c.offset = max(at-pts, c.leader.last+1-dts)
	}
	c.rebase = false
	if err := c.endPart(pts+c.offset, true); err != nil {
		return err
	}
	if c.fresh {
		c.fresh, c.anchorOut = false, c.anchorIn+c.offset
		c.base.note(place{c.anchorOut, c.anchorWall, c.offset})
	}
	if at := pts + c.offset; at > lastTimestamp {
		c.log.Info("output timestamps start again")
		if err := c.finishFurther(); err != nil {
			return err
		}
		c.shift(firstTimestamp - at)
	}
	c.lead = pts - dts
	c.open = true
	c.segStart = pts + c.offset
	c.partStart = c.segStart
	c.stats.Misaligned += c.base.started(c, c.segStart, c.marked)
	c.next = stream.Part{StartsSegment: true, Independent: true, Discontinuity: c.marked}
	c.marked = false
	c.beginPart()
	return nil
}

// tie takes the offset and the program time from a place.
func (c *cutter) tie(pts int64, at place) {
	out := pts + at.offset
	if !c.based {
		c.based, c.marked = true, false // nothing came before
		c.loopStart, c.loopOffset = out, at.offset
	}
	if out < c.partStart {
		c.move(out - c.partStart)
	}
	c.offset = at.offset
	c.anchorOut, c.anchorWall, c.fresh = at.out, at.wall, false
}

// admitted reports whether the ingest may begin with the keyframe at pts, if it has not.
func (c *cutter) admitted(pts int64) bool {
	if c.based {
		return true
	}
	offset := c.first - pts
	return c.base.admits(c, pts, place{c.anchorIn + offset, c.anchorWall, offset}, c.came(pts))
}

// shift moves output time, before a segment that is a discontinuity.
func (c *cutter) shift(by int64) {
	c.anchorWall = c.programTime(firstTimestamp - by)
	c.anchorOut = firstTimestamp
	c.offset += by
	c.base.note(place{c.anchorOut, c.anchorWall, c.offset})
	c.loopStart += by
	c.loopOffset += by
	c.move(by)
	c.marked = true
}

// move tells that output time goes back, or on.
func (c *cutter) move(by int64) {
	c.ended += by
	for _, t := range c.tracks {
		t.last += by
		t.end += by
	}
	c.mux.lastPCR = -wrap
}

// startPart ends the part that is open, and begins the next at ts, in output time.
func (c *cutter) startPart(ts int64, independent bool) error {
	if !c.open || c.frames == 0 {
		return nil // all of its frames were lost: go on with it
	}
	if err := c.endPart(ts, false); err != nil {
		return err
	}
	c.next = stream.Part{Independent: independent}
	c.beginPart()
	return nil
}

// beginPart makes room for a part. If playing can start there, the tables come first,
// with the first frame.
func (c *cutter) beginPart() {
	c.buf = make([]byte, 0, c.sizeHint+c.sizeHint/4+4*packetSize)
	c.needTables = c.next.Independent
}

// writeTables writes the tables if they are due.
func (c *cutter) writeTables() (err error) {
	if c.needTables {
		c.needTables = false
		c.buf, err = c.mux.tables(c.buf)
	}
	return err
}

// endPart publishes the part that is open, if any; it lasts until end, in output time.
func (c *cutter) endPart(end int64, endsSegment bool) error {
	if !c.open {
		return nil
	}
	if len(c.buf) == 0 { // a segment whose last frame was lost
		c.needTables = true
		if err := c.writeTables(); err != nil {
			return err
		}
	}
	end = max(end, c.partStart+1)
	p := c.next
	p.EndsSegment = endsSegment
	p.Duration = micros(end) - micros(c.partStart)
	p.ProgramTime = c.programTime(c.partStart)
	p.Data = c.buf
	if c.pictures > 1 {
		c.measured = float64(c.pictures) / p.Duration.Seconds()
	}
	if p.StartsSegment {
		p.Media = mediaOf(c.main, c.measured)
		c.stats.Media = p.Media
		c.stats.Segments++
		if p.Discontinuity {
			c.stats.Discontinuities++
		}
	}
	c.stats.Parts++
	c.stats.PartBytes += uint64(len(p.Data))
	c.stats.MediaTime += p.Duration
	c.stats.LongestPart = max(c.stats.LongestPart, p.Duration)
	c.stats.LongestSegment = max(c.stats.LongestSegment, micros(end)-micros(c.segStart))

	c.sizeHint = len(c.buf)
	c.buf, c.frames, c.pictures = nil, 0, 0
	start := c.partStart
	c.partStart = end
	c.open = !endsSegment
	if err := c.publish(p); err != nil {
		return fmt.Errorf("publish part: %w", err)
	}
	return c.spanned(span{p, start, end})
}

// end ends the segment that is open after the leader's last frame.
func (c *cutter) end() error {
	if c.leader != nil && c.open {
		if err := c.endMessages(); err != nil {
			return err
		}
		if err := c.endPart(c.mediaEnd(), true); err != nil {
			return err
		}
	}
	return c.finishFurther()
}

// mediaEnd returns where what was written ends: with the leader, unless other tracks
// go on for more than their frames' length.
func (c *cutter) mediaEnd() int64 {
	if c.ended-c.leader.end > second/5 {
		return c.ended
	}
	return c.leader.end
}

// discontinuity tells that timestamps of what follows have nothing to do with those of
// what was before.
func (c *cutter) discontinuity() error {
	if err := c.end(); err != nil {
		return err
	}
	c.dropMessages()
	c.rebase, c.marked = true, true
	c.needKey = c.leader != nil && c.leader.isVideo()
	c.begun, c.hasBase, c.anchored = false, false, false
	for _, t := range c.tracks {
		t.spliced = true
	}
	return nil
}

// loop tells that the file starts again. It fails if that takes no time.
func (c *cutter) loop() error {
	if c.leader == nil || !c.based || c.leader.end <= c.loopStart {
		return ErrNoTracks
	}
	if err := c.endMessages(); err != nil {
		return err
	}
	c.dropMessages()
	by := c.mediaEnd() - c.loopStart
	c.looped += by
	c.loopStart += by
	c.loopOffset += by
	c.offset = c.loopOffset
	c.needKey = c.leader.isVideo()
	c.hasBase = false
	for _, t := range c.tracks {
		t.spliced = true
	}
	return nil
}

// anchor notes the wall clock at the first frame, in input time, after a break.
func (c *cutter) anchor(ts int64) {
	if !c.anchored {
		c.anchored, c.fresh = true, true
		c.anchorWall, c.anchorIn = time.Now().Add(-c.heldFor), ts
		c.heldUntil, c.heldFor = ts+ticks(c.heldFor), 0
	}
}

// came returns when the frame at pts, which is here now, came from the encoder.
func (c *cutter) came(pts int64) time.Time {
	return time.Now().Add(-micros(max(0, c.heldUntil-pts)))
}

// programTime returns the wall clock of ts, in output time.
func (c *cutter) programTime(ts int64) time.Time {
	return c.anchorWall.Add(micros(ts) - micros(c.anchorOut)).Round(0)
}
