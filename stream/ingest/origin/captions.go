package origin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/ingest"
)

const (
	// maxCaptions bounds the playlists of subtitles that are followed.
	maxCaptions = 12
	// captionsTargets is for how many target durations after its end subtitles of a segment may
	// come: their playlist is loaded as often.
	captionsTargets = 2
	// maxText bounds a segment of subtitles.
	maxText = 1 << 20
)

// captions are subtitles that have a playlist of their own.
type captions struct {
	*Rendition // which follows the playlist
	*ingest.Captions
	publish func(stream.Part) error
}

// openCaptions finds out what subtitles the best variant has.
func (o *Origin) openCaptions(ctx context.Context, list []beside) error {
	for _, b := range list {
		if b.url == "" {
			continue
		}
		r := &Rendition{origin: o, name: b.name, url: b.url, stubborn: true, seq: sequence{targets: soundTargets}}
		err := fmt.Errorf("more than %d", maxCaptions)
		if len(o.captions) < maxCaptions {
			err = o.openPlaylist(ctx, r)
		}
		if err == nil && len(r.list.segments) > 0 && r.list.segments[0].init.url != "" {
			err = errors.New("not WebVTT")
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			o.leftOut = append(o.leftOut, fmt.Sprintf("subtitles %s (%v)", b.name, err))
			continue
		}
		o.captions = append(o.captions, &captions{Rendition: r, Captions: ingest.NewCaptions(ingest.CaptionsConfig{
			Language: b.language, Name: b.name, Default: b.chosen, Patience: captionsTargets * r.list.target,
		})})
	}
	return nil
}

// nameCaptions opens the renditions of subtitles.
func (o *Origin) nameCaptions(publisher func(name string) (func(stream.Part) error, error)) error {
	same := make(map[string]int)
	for n, c := range o.captions {
		tag := c.Media().Language
		same[tag]++
		publish, err := publisher(ingest.RenditionName("text", tag, n, same[tag]))
		if err != nil {
			return err
		}
		c.publish = marked(publish)
		o.renditions[0].beside = append(o.renditions[0].beside, c.Captions)
	}
	return nil
}

// run takes subtitles until they end or ctx is done.
func (c *captions) run(ctx context.Context) {
	defer c.End()
	defer context.AfterFunc(ctx, c.End)()
	if err := c.follow(ctx, &captionsOutput{captions: c}); err != nil && ctx.Err() == nil {
		c.origin.log.Warn("subtitles end", "name", c.Rendition.name, "err", err)
	}
}

// captionsOutput takes segments of subtitles.
type captionsOutput struct {
	*captions
	text   []byte
	marked bool
}

func (o *captionsOutput) ready(ctx context.Context) error {
	if o.pace == nil {
		return nil
	}
	return o.Room(ctx)
}

func (o *captionsOutput) init(b []byte) error {
	if b != nil {
		return &UnsupportedError{"subtitles in fragmented MP4"}
	}
	return nil
}

func (o *captionsOutput) Begin(info ingest.SegmentInfo) {
	o.text, o.marked = o.text[:0], info.Discontinuity
}

func (o *captionsOutput) Write(b []byte) (int, error) {
	if len(o.text)+len(b) > maxText {
		return 0, ErrTooLarge
	}
	o.text = append(o.text, b...)
	return len(b), nil
}

func (o *captionsOutput) Close() error {
	err := o.Take(o.text, o.marked)
	if err == nil {
		o.progress = time.Now()
	}
	return err
}

func (o *captionsOutput) Begun() bool         { return false }
func (o *captionsOutput) Stats() ingest.Stats { return o.Captions.Stats() }
func (o *captionsOutput) missing() uint64     { return 0 }
