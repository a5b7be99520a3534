package ingest

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// slatePlayer shows a slate from some time on, as an encoder would: without end, at the
// speed of life, with timestamps that rise.
type slatePlayer struct {
	*encoder
	slate *slate
	mux   remuxer
	video *remuxTrack
	sound []*remuxTrack
	began time.Time
	shown int   // pictures
	heard []int // frames of each sound
}

// maxSlateBurst bounds what of a slate is written at a time, as it is behind when it begins.
const maxSlateBurst = 1 << 20

// newSlatePlayer shows a slate from began on.
func newSlatePlayer(s *slate, began time.Time) (*slatePlayer, error) {
	held := time.Since(began)
	p := &slatePlayer{slate: s, began: began, heard: make([]int, len(s.sounds))}
	p.encoder = &encoder{
		ReadCloser: io.NopCloser(&p.mux), from: "the slate", whole: true, own: true,
		heldFor: func() time.Duration { return held },
	}
	p.video = &remuxTrack{codec: s.video}
	for _, sound := range s.sounds {
		p.sound = append(p.sound, &remuxTrack{codec: sound.codec, language: sound.language})
	}
	if err := p.mux.add(append([]*remuxTrack{p.video}, p.sound...)...); err != nil {
		return nil, fmt.Errorf("show slate: %w", err)
	}
	return p, nil
}

// rehearse fails if there is a frame that cannot be written: a slate does not end an input.
func (s *slate) rehearse() error {
	p, err := newSlatePlayer(s, time.Now())
	if err != nil {
		return err
	}
	for !p.through() {
		if err := p.frame(); err != nil {
			return fmt.Errorf("show slate: %w", err)
		}
		p.mux.out.Reset()
	}
	return nil
}

// through reports whether all frames were written once.
func (p *slatePlayer) through() bool {
	for n, s := range p.slate.sounds {
		if p.heard[n] < len(s.frames) {
			return false
		}
	}
	return p.shown >= len(p.slate.pictures)
}

// write writes what is due by now, and returns the time of it.
func (p *slatePlayer) write(now time.Time) (time.Duration, error) {
	before := p.at(p.shown)
	for p.mux.pending() < maxSlateBurst && !p.due().After(now) {
		if err := p.frame(); err != nil {
			return 0, fmt.Errorf("show slate: %w", err)
		}
	}
	return micros(p.at(p.shown) - before), nil
}

// due returns when the next frame is.
func (p *slatePlayer) due() time.Time {
	_, at := p.next()
	return p.began.Add(micros(at))
}

// next returns whether a sound is next, -1 for a picture, and when.
func (p *slatePlayer) next() (sound int, at int64) {
	sound, at = -1, p.at(p.shown)
	for n, s := range p.slate.sounds {
		if t := s.at(p.heard[n]); t < at {
			sound, at = n, t
		}
	}
	return sound, at
}

// at returns when the n-th picture is decoded.
func (p *slatePlayer) at(n int) int64 {
	all := len(p.slate.pictures)
	return int64(n/all)*p.slate.length + p.slate.pictures[n%all].dts
}

// frame writes the next one.
func (p *slatePlayer) frame() error {
	n, at := p.next()
	at += firstTimestamp
	if n < 0 {
		f := p.slate.pictures[p.shown%len(p.slate.pictures)]
		p.shown++
		return p.mux.writeVideo(p.video, at+f.pts-f.dts, at, slices.Clone(f.au))
	}
	frames := p.slate.sounds[n].frames
	data := frames[p.heard[n]%len(frames)]
	p.heard[n]++
	return p.mux.writeAudio(p.sound[n], at, [][]byte{data})
}
