package ingest

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/webvtt"
)

const (
	// maxTextLate is how much later than the pictures it belongs to a cue may come.
	maxTextLate = second / 2
	// maxCues bounds what is kept of subtitles: of a film, and an hour of talk.
	maxCues = 4096
)

// Subtitles are a rendition of text beside the input, see [Config.Subtitles].
type Subtitles struct {
	Language string // BCP 47 or ISO 639; "" if it is not known
	Name     string // for people; "" to be named by the language
	Default  bool   // shown unless the viewer wants none
	// Cues is plain text in SubRip, with the input's timestamps, each cue about when it is
	// to be shown. A Read that does not return outlives Run: nothing can interrupt it.
	Cues io.Reader
}

// text is subtitles that are published. Its segments last from and to the same times as the
// leader's, and each is a part, or more where that would be too long.
type text struct {
	media   stream.Media
	publish func(stream.Part) error
	stats   *Stats
	base    *Base // by way of which cues come, or go; nil for neither
	number  int   // among the input's subtitles

	parts  []span // the leader's, that are not published here yet
	offset int64  // from input to output time, of those

	mu   sync.Mutex // guards all following
	cues []webvtt.Cue
	lost uint64 // that came when there was no room
}

// read takes cues until there are no more.
func (x *text) read(r io.Reader) error {
	cues := webvtt.NewReader(r)
	for {
		c, err := cues.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		x.keep(c)
	}
}

// keep keeps cues that are to be shown, as far as there is room.
func (x *text) keep(cues ...webvtt.Cue) {
	x.mu.Lock()
	defer x.mu.Unlock()
	taken := min(len(cues), maxCues-len(x.cues))
	x.cues = append(x.cues, cues[:taken]...)
	x.lost += uint64(len(cues) - taken)
}

// span tells of a part of the leader's, whose timestamps were so much less in the input.
func (x *text) span(s span, offset int64) error {
	if x.base.leads() {
		x.share(s, offset)
		return nil
	}
	if x.publish == nil {
		return nil
	}
	s.Data = nil
	x.parts, x.offset = append(x.parts, s), offset
	for {
		n := 1 + slices.IndexFunc(x.parts, func(s span) bool { return s.EndsSegment })
		if n == 0 || x.parts[len(x.parts)-1].end-x.parts[n-1].end < maxTextLate {
			return nil
		}
		if err := x.segment(n); err != nil {
			return err
		}
	}
}

// finish publishes all segments that the leader has ended.
func (x *text) finish() error {
	for {
		n := 1 + slices.IndexFunc(x.parts, func(s span) bool { return s.EndsSegment })
		if n == 0 {
			return nil
		}
		if err := x.segment(n); err != nil {
			return err
		}
	}
}

// segment publishes the segment that the first n parts are.
func (x *text) segment(n int) error {
	if x.base.follows() {
		x.keep(x.base.takeCues(x.number)...)
	}
	parts := x.parts[:n]
	x.parts = x.parts[n:]
	p := parts[0].Part
	p.Media, p.Independent, p.EndsSegment = x.media, true, true
	p.Data = webvtt.Segment(x.shown(parts[0].start, parts[n-1].end))
	var rest time.Duration
	for _, s := range parts[1:] {
		rest += s.Duration
	}
	p.Duration += rest
	x.stats.PartBytes += uint64(len(p.Data))
	for p.Duration > stream.MaxPartDuration {
		head := p
		head.Duration, head.EndsSegment = stream.MaxPartDuration, false
		if err := x.publish(head); err != nil {
			return err
		}
		p = stream.Part{
			EndsSegment: true, Independent: true, Data: []byte("\n"),
			Duration: p.Duration - head.Duration, ProgramTime: p.ProgramTime.Add(head.Duration),
		}
	}
	return x.publish(p)
}

// shown returns the cues that are shown between two times, in output time, and lets go of
// those that are over by then.
func (x *text) shown(from, to int64) (list []webvtt.Cue) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.stats.LostCues += x.lost
	x.lost = 0
	x.cues = slices.DeleteFunc(x.cues, func(c webvtt.Cue) bool {
		start, end := ticks(c.Start)+x.offset, ticks(c.End)+x.offset
		switch {
		case end <= from:
			x.stats.LostCues++ // it came too late
			return true
		case start < to:
			list = append(list, webvtt.Cue{Start: micros(start), End: micros(end), Text: c.Text})
		}
		return end <= to
	})
	return list
}

// openText opens the renditions of subtitles, and has their cues read. If what the ingest makes
// is encoded again, the ingest of that has the renditions.
func (r *runner) openText() error {
	tags := make(map[string]int)
	for n, s := range r.i.cfg.Subtitles {
		tag := languageTag(s.Language)
		tags[tag]++
		x := &text{stats: &r.stats, base: r.i.cfg.Base, number: n, media: stream.Media{
			Kind: stream.KindSubtitles, Codecs: "wvtt", Language: tag, Name: s.Name, Default: s.Default,
		}}
		if x.media.Name == "" {
			x.media.Name = languageName(tag)
		}
		rendition := renditionName("text", tag, n, tags[tag])
		if !x.base.leads() {
			var err error
			if x.publish, err = r.cut.openFurther(rendition); err != nil {
				return fmt.Errorf("rendition %s: %w", rendition, err)
			}
		}
		r.cut.text = append(r.cut.text, x)
		if x.base.follows() {
			continue
		}
		go func() {
			if err := x.read(s.Cues); err != nil {
				r.i.log.Warn("subtitles end", "rendition", rendition, "err", err)
			}
		}()
	}
	return nil
}
