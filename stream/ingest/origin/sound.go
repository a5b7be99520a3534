package origin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/ingest"
)

const (
	// maxSounds bounds the playlists of sound that are followed.
	maxSounds = 12
	// patientTargets is for how many target durations after its last segment pictures wait for
	// sound, and leastPatience for how long at least: viewers then are to have no more.
	patientTargets = 3
	leastPatience  = 10 * time.Second
	// soundTargets is how many target durations before the end of a live playlist its first
	// segment of sound begins: it is there when the pictures begin.
	soundTargets = startTargets + 2
)

// sound is audio that has a playlist of its own.
type sound struct {
	*Rendition // which follows the playlist
	*ingest.Sound
}

// aside is a sound that is published as a rendition of its own.
type aside struct {
	*ingest.Aside
	sound   *sound
	publish func(stream.Part) error
}

// openSounds finds out what sounds the variants have, which are the renditions.
func (o *Origin) openSounds(ctx context.Context, variants []variant) error {
	opened := make(map[string]*sound) // by address; nil for what cannot be published
	for i, v := range variants {
		r := o.renditions[i]
		for n, b := range v.sounds {
			own := b.url == "" || b.url == v.url
			if n > 0 && i > 0 {
				break // the languages are the best variant's
			}
			if n == 0 {
				r.label = ingest.NewSound(ingest.SoundConfig{Language: b.language, Name: b.name}).Media()
			}
			if own {
				continue
			}
			s, known := opened[b.url]
			if !known {
				s = o.openSound(ctx, b, len(opened))
				opened[b.url] = s
			}
			switch {
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case s == nil:
			case n == 0:
				r.plays = s
			default:
				o.asides = append(o.asides, &aside{Aside: ingest.NewAside(s.Sound), sound: s})
			}
		}
	}
	return nil
}

// openSound fetches the playlist of a sound; nil if it is left out.
func (o *Origin) openSound(ctx context.Context, b beside, opened int) *sound {
	r := &Rendition{origin: o, name: b.name, url: b.url, stubborn: true, seq: sequence{targets: soundTargets}}
	err := fmt.Errorf("one of more than %d", maxSounds)
	if opened < maxSounds {
		err = o.openPlaylist(ctx, r)
	}
	if err != nil {
		o.leaveSoundOut(b, err.Error())
		return nil
	}
	s := &sound{r, ingest.NewSound(ingest.SoundConfig{
		Language: b.language, Name: b.name, Patience: max(patientTargets*r.list.target, leastPatience),
	})}
	o.sounds = append(o.sounds, s)
	return s
}

func (o *Origin) leaveSoundOut(b beside, why string) {
	if text := fmt.Sprintf("audio %s (%s)", b.name, why); !slices.Contains(o.leftOut, text) {
		o.leftOut = append(o.leftOut, text)
	}
}

// openAsides opens the renditions of what is not put together with pictures.
func (o *Origin) openAsides(publisher func(name string) (func(stream.Part) error, error)) error {
	o.renditions[0].beside = nil
	same := make(map[string]int)
	same[o.renditions[0].label.Language]++
	for n, a := range o.asides {
		tag := a.sound.Media().Language
		same[tag]++
		publish, err := publisher(ingest.RenditionName("audio", tag, n+1, same[tag]))
		if err != nil {
			return err
		}
		a.publish = marked(publish)
		o.renditions[0].beside = append(o.renditions[0].beside, a.Aside)
	}
	return nil
}

// marked has publish's errors known for such.
func marked(publish func(stream.Part) error) func(stream.Part) error {
	return func(p stream.Part) error {
		if err := publish(p); err != nil {
			return &publishError{err}
		}
		return nil
	}
}

// runBeside has sounds and subtitles followed, and published where they are renditions of
// their own. What it returns ends that, and waits.
func (o *Origin) runBeside(ctx context.Context, fail context.CancelCauseFunc) (end func()) {
	following, stop := context.WithCancelCause(ctx)
	var running, publishing sync.WaitGroup
	for _, s := range o.sounds {
		running.Go(func() { s.run(following) })
	}
	publish := func(err error) {
		var failed *publishError
		if errors.As(err, &failed) {
			fail(failed.err)
		} else if err != nil {
			o.log.Warn("a rendition ends", "err", err)
		}
	}
	for _, a := range o.asides {
		publishing.Go(func() { publish(a.Run(a.publish)) })
	}
	for _, c := range o.captions {
		running.Go(func() { c.run(following) })
		publishing.Go(func() { publish(c.Run(c.publish)) })
	}
	return func() {
		publishing.Wait()
		stop(nil)
		running.Wait()
	}
}

// run follows the sound once somebody wants it, until it ends or ctx is done.
func (s *sound) run(ctx context.Context) {
	defer s.End()
	defer context.AfterFunc(ctx, s.End)()
	select {
	case <-s.Wanted():
	case <-ctx.Done():
		return
	}
	if !s.list.ended {
		s.loaded = time.Time{} // it may have gone on since
		if s.reload(ctx, true) != nil {
			return
		}
	}
	if err := s.follow(ctx, &soundOutput{s}); err != nil && ctx.Err() == nil {
		s.origin.log.Warn("a sound ends", "name", s.Rendition.name, "err", err)
	}
}

// soundOutput takes segments of sound.
type soundOutput struct{ *sound }

func (o *soundOutput) ready(ctx context.Context) error {
	if o.pace == nil {
		return nil
	}
	return o.Room(ctx)
}

func (o *soundOutput) init(b []byte) error { return o.Sound.Init(b) }

func (o *soundOutput) Begin(info ingest.SegmentInfo) { o.Sound.Begin(info.Discontinuity) }
func (o *soundOutput) Begun() bool                   { return o.Sound.Begun() }
func (o *soundOutput) Stats() ingest.Stats           { return o.Sound.Stats() }
func (o *soundOutput) missing() uint64               { return 0 }
