package ingest

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// maxAudioLate is how much later than the pictures that it belongs to audio may come: the
	// longest that a decoder has to hold pictures (ISO 13818-1, 2.4.2.6).
	maxAudioLate = second
	// maxFurtherPES bounds how long the audio of one PES packet lasts, as each brings a clock.
	maxFurtherPES = maxPCRGap
)

// further is an audio track that is a rendition of its own. Its segments and parts last from
// and to the same times as the leader's, and hold the frames that begin then, however late
// they come. Times are output time.
type further struct {
	name    string // of the rendition
	track   *track // nil while the input does not have it
	publish func(stream.Part) error
	stats   *Stats
	mux     muxer

	spans  []span       // the leader's parts that are not published here yet, the oldest first
	frames []audioFrame // that are in none of those published
	size   int          // bytes of frames

	heard  bool   // the open segment has frames
	absent uint64 // segments since the last that had, or since the leader's first
	begun  bool   // one had
}

// span is one of the leader's parts, without its bytes.
type span struct {
	stream.Part
	start, end int64
}

// setFurther has all audio tracks but the first published on their own, and returns the
// tracks that the leader's rendition has.
func (c *cutter) setFurther(tracks []*track) (main []*track, err error) {
	for _, f := range c.further {
		f.track = nil
	}
	if c.openFurther == nil {
		return tracks, nil
	}
	var audio []*track
	for _, t := range tracks {
		if t.isVideo() || len(audio) == 0 {
			main = append(main, t)
		}
		if !t.isVideo() {
			audio = append(audio, t)
		}
	}
	for i, t := range audio {
		rendition := nameAudio(t, i, audio)
		if i == 0 {
			continue
		}
		if err := c.addFurther(t, rendition); err != nil {
			return nil, fmt.Errorf("rendition %s: %w", rendition, err)
		}
	}
	return main, nil
}

// nameAudio names the i-th of the input's audio tracks for people, and returns a name for the
// rendition that it may become.
func nameAudio(t *track, i int, all []*track) (rendition string) {
	same := 1
	for _, o := range all[:i] {
		if o.tag == t.tag {
			same++
		}
	}
	t.name = languageName(t.tag)
	switch {
	case t.tag == "" && len(all) > 1:
		t.name = fmt.Sprintf("Audio %d", i+1)
	case t.tag != "" && same > 1:
		t.name = fmt.Sprintf("%s %d", t.name, same)
	}
	return renditionName("audio", t.tag, i, same)
}

// RenditionName names the i-th rendition of a kind, such as "audio", from 0, whose language
// is tag (BCP 47) and which is so manieth of that, from 1.
func RenditionName(kind, tag string, i, same int) string { return renditionName(kind, tag, i, same) }

// renditionName names the i-th rendition of a kind, from 0, which is so manieth of its
// language, from 1.
func renditionName(kind, tag string, i, same int) string {
	name := kind + "-" + strings.ToLower(tag)
	if same > 1 {
		name += fmt.Sprintf("-%d", same)
	}
	if tag == "" || !stream.ValidRendition(name) { // tags may be longer than names
		name = fmt.Sprintf("%s-%d", kind, i+1)
	}
	return name
}

// addFurther has a track published as the rendition of a name, which may go on with what was
// another track before.
func (c *cutter) addFurther(t *track, name string) error {
	var f *further
	for _, o := range c.further {
		if o.name == name {
			f = o
		}
	}
	if f == nil {
		publish, err := c.openFurther(name)
		if err != nil {
			return err
		}
		if publish == nil {
			c.log.Info("audio track left out", "pid", t.pid, "language", t.language, "rendition", name)
		}
		f = &further{name: name, publish: publish, stats: c.stats, absent: c.stats.Segments}
		c.further = append(c.further, f)
	}
	f.track = t
	return f.mux.start([]*track{t})
}

// leftOut reports whether a track is not published.
func (f *further) leftOut() bool { return f != nil && f.publish == nil }

// furtherOf returns the rendition that a track is published as on its own, or nil.
func (c *cutter) furtherOf(t *track) *further {
	for _, f := range c.further {
		if f.track == t {
			return f
		}
	}
	return nil
}

// spanned tells all other renditions of one of the leader's parts.
func (c *cutter) spanned(s span) error {
	for _, x := range c.text {
		if err := x.span(s, c.offset); err != nil {
			return err
		}
	}
	return c.eachFurther(func(f *further) error { return f.span(s) })
}

// finishFurther has all other renditions publish what the leader has ended.
func (c *cutter) finishFurther() error {
	for _, x := range c.text {
		if err := x.finish(); err != nil {
			return err
		}
	}
	return c.eachFurther((*further).finish)
}

// eachFurther calls do for each rendition of further audio.
func (c *cutter) eachFurther(do func(*further) error) error {
	for _, f := range c.further {
		if f.leftOut() {
			continue
		}
		if err := do(f); err != nil {
			return fmt.Errorf("rendition %s: %w", f.name, err)
		}
	}
	return nil
}

// add takes frames, which are valid during the call, in input time.
func (f *further) add(frames []audioFrame, offset int64) error {
	for _, a := range f.track.splice(frames, offset, f.stats) {
		if f.size += len(a.data); f.size > maxPending {
			f.size -= len(a.data)
			f.stats.SkippedFrames++ // the leader stands still
			continue
		}
		f.frames = append(f.frames, audioFrame{a.pts + offset, a.end + offset, bytes.Clone(a.data)})
		f.track.end = max(f.track.end, a.end+offset)
	}
	return f.advance()
}

// span tells of a part of the leader's.
func (f *further) span(s span) error {
	s.Data = nil
	f.spans = append(f.spans, s)
	return f.advance()
}

// advance publishes the parts of which no more frames are to be expected.
func (f *further) advance() error {
	for len(f.spans) > 0 {
		end := f.spans[0].end
		passed := len(f.frames) > 0 && f.frames[len(f.frames)-1].pts >= end
		late := f.spans[len(f.spans)-1].end-end >= maxAudioLate
		if !passed && !late {
			return nil
		}
		if err := f.part(); err != nil {
			return err
		}
	}
	return nil
}

// finish publishes all that the leader has ended, and lets go of what is beyond.
func (f *further) finish() error {
	for len(f.spans) > 0 {
		if err := f.part(); err != nil {
			return err
		}
	}
	f.stats.SkippedFrames += uint64(len(f.frames))
	f.frames, f.size, f.heard = nil, 0, false
	return nil
}

// part publishes the oldest part that is due.
func (f *further) part() error {
	s := f.spans[0]
	f.spans = f.spans[1:]
	for s.StartsSegment && len(f.frames) > 0 && f.frames[0].end <= s.start {
		f.size -= len(f.frames[0].data)
		f.frames = f.frames[1:]
		f.stats.SkippedFrames++
	}
	n := 0
	for n < len(f.frames) && f.frames[n].pts < s.end {
		f.size -= len(f.frames[n].data)
		n++
	}
	frames := f.frames[:n]
	f.frames = f.frames[n:]
	if s.StartsSegment {
		// Nothing can be played from a beginning that is not there.
		f.heard = n > 0
		if !f.heard {
			f.absent++
			f.stats.AbsentSegments++
		}
	}
	if !f.heard {
		f.stats.SkippedFrames += uint64(n)
		return nil
	}
	var err error
	p := s.Part
	p.Independent = true
	if p.StartsSegment {
		p.Media = stream.Media{Kind: stream.KindAudio, Codecs: f.track.audio.codecs, Language: f.track.tag, Name: f.track.name}
		p.Discontinuity = f.begun && (p.Discontinuity || f.absent > 0)
		p.Absent = f.absent
		f.absent, f.begun = 0, true
	}
	if p.Data, err = f.write(frames); err != nil {
		return err
	}
	f.stats.PartBytes += uint64(len(p.Data))
	return f.publish(p)
}

// write returns frames as MPEG-TS that playing can start with.
func (f *further) write(frames []audioFrame) ([]byte, error) {
	b, err := f.mux.tables(make([]byte, 0, 4*packetSize))
	if err != nil {
		return nil, err
	}
	t := f.track
	for len(frames) > 0 {
		n, data := 0, []byte(nil)
		for n < len(frames) && (n == 0 || len(data)+len(frames[n].data) <= maxAudioPES && frames[n].end-frames[0].pts <= maxFurtherPES) {
			data = append(data, frames[n].data...)
			n++
		}
		pts := t.after(frames[0].pts)
		if b, err = f.mux.audio(b, t, pts, data); err != nil {
			return nil, err
		}
		last := frames[n-1]
		t.wrote(n, max(pts, last.pts), last.end)
		frames = frames[n:]
	}
	return b, nil
}
