package ingest

import (
	"fmt"
	"sync"

	"github.com/grapevine-live/grapevine/stream"
)

// Aside publishes a [Sound] as a rendition of its own, beside that of a [Splitter], with the
// same segments and parts (see [SplitConfig]). A segment for whose beginning there is no
// sound is left out, with its number, and counted.
type Aside struct {
	listener *listener
	format   *soundFormat
	sidecar

	mu    sync.Mutex
	stats Stats // guarded by mu
	further
}

// NewAside returns an aside of s. It must be run.
func NewAside(s *Sound) *Aside {
	a := &Aside{listener: s.listen(), sidecar: newSidecar()}
	a.further.stats = new(Stats)
	return a
}

// Run hands each part to publish until Close is called and all that the splitter had is published, or
// publishing fails.
func (a *Aside) Run(publish func(stream.Part) error) error {
	a.publish = publish
	defer close(a.over)
	defer a.listener.close()
	for s := range a.told {
		err := a.span(s)
		a.mu.Lock()
		a.stats = *a.further.stats
		a.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// Stats returns a copy of the figures. It may be called at any time.
func (a *Aside) Stats() Stats {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stats
}

// span publishes what is heard during a part.
func (a *Aside) span(s sidecarSpan) error {
	from := s.start - s.shift
	frames := a.listener.hear(from, s.end-s.shift)
	if s.StartsSegment && len(frames) > 0 && (frames[0].format != a.format || s.Discontinuity) {
		s.Discontinuity = s.Discontinuity || frames[0].format != a.format
		a.format = frames[0].format
		a.track = a.listener.sound.newTrack(a.format)
		if err := a.mux.start([]*track{a.track}); err != nil {
			return fmt.Errorf("rendition of sound: %w", err)
		}
	}
	for _, f := range frames {
		if f.format != a.format {
			a.further.stats.SkippedFrames++ // what it is now can change with a segment only
			continue
		}
		a.size += len(f.data)
		a.frames = append(a.frames, audioFrame{s.start + f.pts, s.start + f.end, f.data})
	}
	a.spans = append(a.spans, s.span)
	return a.part()
}
