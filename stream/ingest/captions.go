package ingest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/webvtt"
)

// captionsAhead is how much more than is shown is taken of subtitles that have ended.
const captionsAhead = 30 * second

// CaptionsConfig says what [Captions] are.
type CaptionsConfig struct {
	Language string // BCP 47 or ISO 639; "" if it is not known
	Name     string // for people; "" to be named by the language
	Default  bool   // shown unless the viewer wants none
	// Patience is for how long after a segment's end cues of it may come.
	Patience time.Duration
}

// Captions are subtitles whose segments are their own, see [Sound]. They are published as a
// rendition with a [Splitter]'s segments, each with the cues that are shown in it.
type Captions struct {
	cfg CaptionsConfig
	sidecar
	absent uint64 // segments since the last that is published

	mu     sync.Mutex // guards all following, with text's
	text   text
	stats  Stats
	ref    int64        // of the newest cue, on the cues' time line
	known  bool         // ref is set
	next   []webvtt.Cue // of a time line that the pictures have not jumped to yet
	ahead  bool         // new cues are of that
	marked bool         // cues may be of another time line than before
	shown  int64        // up to where the pictures are, on that line
	begun  bool         // shown is set
	ended  bool
	news   chan struct{} // closed when any of this changes
}

// NewCaptions returns Captions without any. They must be run.
func NewCaptions(cfg CaptionsConfig) *Captions {
	c := &Captions{cfg: cfg, sidecar: newSidecar(), news: make(chan struct{})}
	c.text.stats = new(Stats)
	c.text.media = stream.Media{Kind: stream.KindSubtitles, Codecs: "wvtt", Language: languageTag(cfg.Language), Name: cfg.Name, Default: cfg.Default}
	if cfg.Name == "" {
		c.text.media.Name = languageName(c.text.media.Language)
	}
	return c
}

// Media describes the subtitles.
func (c *Captions) Media() stream.Media { return c.text.media }

// Take takes a segment of WebVTT. marked says that times may jump before it. It fails with
// [webvtt.ErrNotWebVTT].
func (c *Captions) Take(segment []byte, marked bool) error {
	cues, at, err := webvtt.Parse(segment)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Segments++
	c.stats.Bytes += uint64(len(segment))
	c.marked = c.marked || marked
	for _, cue := range cues {
		start := at + ticks(cue.Start)
		if c.marked {
			c.jump(start)
		}
		cue.Start, cue.End = micros(start), micros(start)+cue.End-cue.Start
		if !c.ahead {
			c.add(cue)
		} else if len(c.next) < maxCues {
			c.next = append(c.next, cue)
		} else {
			c.text.lose(1)
		}
	}
	c.wake()
	return nil
}

// jump decides on the first cue after a discontinuity: it is of another time line if it is
// not where the last was. The pictures may be there already.
func (c *Captions) jump(start int64) {
	c.marked = false
	step := unwrap(0, start-c.ref)
	if !c.known || step > -maxJump && step < maxHole {
		return
	}
	if c.begun && abs(unwrap(0, start-c.shown)) < abs(unwrap(0, c.ref-c.shown)) {
		c.known = false // as of now
		return
	}
	c.ahead = true
}

// add places a cue on the time line.
func (c *Captions) add(cue webvtt.Cue) {
	start := ticks(cue.Start)
	if c.known {
		start = unwrap(c.ref, start)
	} else {
		start &= wrap - 1
	}
	c.ref, c.known = start, true
	from := micros(start)
	c.text.add(webvtt.Cue{Start: from, End: from + cue.End - cue.Start, Text: cue.Text})
}

// follow has the pictures' jump to another time line, if cues are ahead on that.
func (c *Captions) follow() {
	if !c.ahead {
		return
	}
	next := c.next
	c.next, c.ahead, c.known = nil, false, false
	c.text.drop(func(webvtt.Cue) bool { return true })
	for _, cue := range next {
		c.add(cue)
	}
}

func (c *Captions) wake() {
	close(c.news)
	c.news = make(chan struct{})
}

// End tells that no more cues will come.
func (c *Captions) End() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	c.wake()
}

// Room returns when there is use for more of what has ended, or with the cause of ctx.
func (c *Captions) Room(ctx context.Context) error {
	return c.await(ctx, func() bool { return !c.ahead && (!c.known || c.begun && c.ref-c.shown < captionsAhead) })
}

// await returns when done does, which is called with c locked.
func (c *Captions) await(ctx context.Context, done func() bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !done() {
		news := c.news
		c.mu.Unlock()
		select {
		case <-news:
		case <-ctx.Done():
		}
		c.mu.Lock()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// Stats returns a copy of the figures: segments and bytes taken, cues lost, bytes published.
// It may be called at any time.
func (c *Captions) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// Run hands each part to publish until Close is called and all that the splitter had is
// published, or publishing fails.
func (c *Captions) Run(publish func(stream.Part) error) error {
	defer close(c.over)
	c.text.publish = publish
	for s := range c.told {
		if err := c.span(s); err != nil {
			return err
		}
	}
	return nil
}

// span takes a part of the splitter's, and publishes the segment that it ends.
func (c *Captions) span(s sidecarSpan) error {
	if s.StartsSegment {
		if len(c.text.parts) > 0 {
			c.absent++ // one that never became whole
		}
		c.text.parts = nil
	}
	c.text.parts = append(c.text.parts, s.span)
	end := c.place(s)
	if !s.EndsSegment {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.cfg.Patience)
	defer cancel()
	// Who is late is left out.
	_ = c.await(ctx, func() bool { return c.ended || c.ahead || c.known && c.ref >= end && c.ref-end < maxHole })
	c.place(s)
	c.text.parts[0].Absent, c.absent = c.absent, 0
	err := c.text.segment(len(c.text.parts))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.LostCues, c.stats.PartBytes = c.text.stats.LostCues, c.text.stats.PartBytes
	return err
}

// place finds a part on the cues' time line, and returns where it ends there. Cues of another
// time line than that of a discontinuity are let go of.
func (c *Captions) place(s sidecarSpan) (end int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.StartsSegment && s.Discontinuity {
		c.follow()
	}
	start := (s.start - s.shift) & (wrap - 1)
	if c.known {
		start = unwrap(c.ref, start)
	}
	c.text.offset = s.start - start
	end = start + s.end - s.start
	c.shown, c.begun = end, true
	if s.StartsSegment && s.Discontinuity {
		c.text.drop(func(cue webvtt.Cue) bool { return abs(ticks(cue.Start)-start) > maxHole })
	}
	c.wake()
	return end
}

// add keeps a cue, unless it is there already, as those are that span segments.
func (x *text) add(cue webvtt.Cue) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case slices.Contains(x.cues, cue):
	case len(x.cues) < maxCues:
		x.cues = append(x.cues, cue)
	default:
		x.lost++
	}
}

// drop lets go of cues, and counts them.
func (x *text) drop(of func(webvtt.Cue) bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	before := len(x.cues)
	x.cues = slices.DeleteFunc(x.cues, of)
	x.lost += uint64(before - len(x.cues))
}

// lose counts cues that have no place.
func (x *text) lose(n uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.lost += n
}
