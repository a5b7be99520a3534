package ingest

import (
	"slices"

	"github.com/grapevine-live/grapevine/stream/webvtt"
)

// shareCues hands cues of the n-th subtitles to what is encoded, in output time, and returns
// how many there was no room for.
func (b *Base) shareCues(n int, cues []webvtt.Cue) (lost int) {
	b.line.mu.Lock()
	defer b.line.mu.Unlock()
	for len(b.line.cues) <= n {
		b.line.cues = append(b.line.cues, nil)
	}
	taken := min(len(cues), maxCues-len(b.line.cues[n]))
	b.line.cues[n] = append(b.line.cues[n], cues[:taken]...)
	return len(cues) - taken
}

// takeCues returns the cues of the n-th subtitles that were shared since.
func (b *Base) takeCues(n int) []webvtt.Cue {
	b.line.mu.Lock()
	defer b.line.mu.Unlock()
	if n >= len(b.line.cues) {
		return nil
	}
	cues := b.line.cues[n]
	b.line.cues[n] = nil
	return cues
}

// share hands on the cues that begin before a part of the leader's ends, whose timestamps were
// so much less in the input. What is encoded comes to them later.
func (x *text) share(s span, offset int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	var due []webvtt.Cue
	x.cues = slices.DeleteFunc(x.cues, func(c webvtt.Cue) bool {
		start, end := ticks(c.Start)+offset, ticks(c.End)+offset
		if start >= s.end {
			return false
		}
		due = append(due, webvtt.Cue{Start: micros(start), End: micros(end), Text: c.Text})
		return true
	})
	x.stats.LostCues += x.lost + uint64(x.base.shareCues(x.number, due))
	x.lost = 0
}
