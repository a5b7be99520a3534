package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"
	"golang.org/x/text/language"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// maxHole is the longest pause within a time line: what is further away is another.
	maxHole = 60 * second
	// maxKept and maxKeptBytes bound what a Sound keeps for those who are behind.
	maxKept      = 90 * second
	maxKeptBytes = 16 << 20
	// soundAhead is how much more than they need listeners are given of what has ended.
	soundAhead = 10 * second
)

// ErrNoSound says that a segment that should hold sound has none.
var ErrNoSound = errors.New("no sound")

// SoundConfig says what a [Sound] is.
type SoundConfig struct {
	Language string // BCP 47 or ISO 639; "" if it is not known
	Name     string // for people; "" to be named by the language
	// Patience is for how long after the last sound came more is waited for.
	Patience time.Duration
}

// Sound is audio whose segments are its own, and need not begin where those of the pictures
// do that it belongs to. One goroutine writes segments: Begin, Write as often as bytes
// arrive, and Close once all did. Any number of others have it: [Fragments.SetSound] puts
// it together with pictures, an [Aside] makes a rendition of it.
//
// Times of sound and pictures are compared as the containers have them: timestamps of MPEG-TS,
// decode times of fragmented MP4, in 33 bits at 90 kHz.
type Sound struct {
	cfg SoundConfig
	tag string

	// The writer's.
	source soundSource
	marked bool // the segment is said to be a discontinuity
	begun  bool // some of the segment was taken
	stats  Stats

	mu        sync.Mutex // guards all following
	frames    []soundFrame
	first     uint64 // number of frames[0]
	size      int    // bytes of frames
	passed    int64  // ticks of sound, all in all
	era       int    // of the last
	format    *soundFormat
	arrived   time.Time // when the last came
	ended     bool
	news      chan struct{} // closed when any of this changes
	wanted    chan struct{} // closed when somebody asks
	listeners map[*listener]bool
}

// soundFormat is what a run of frames has in common.
type soundFormat struct {
	codec  codecs.Codec
	detail audioFormat
}

// soundFrame is a frame on the sound's time line, which is unwrapped and may jump.
type soundFrame struct {
	audioFrame
	format *soundFormat
	era    int   // how often time jumped before
	at     int64 // ticks of sound before it
}

// NewSound returns a Sound without any.
func NewSound(cfg SoundConfig) *Sound {
	s := &Sound{
		cfg: cfg, tag: languageTag(cfg.Language),
		news: make(chan struct{}), wanted: make(chan struct{}), listeners: make(map[*listener]bool),
	}
	if s.cfg.Name == "" {
		s.cfg.Name = languageName(s.tag)
	}
	return s
}

// Media describes the sound, but for its codec.
func (s *Sound) Media() stream.Media {
	return stream.Media{Kind: stream.KindAudio, Language: s.tag, Name: s.cfg.Name}
}

// newTrack returns a track for what the sound is now.
func (s *Sound) newTrack(f *soundFormat) *track {
	t := &track{codec: f.codec, audio: f.detail, tag: s.tag, name: s.cfg.Name}
	if s.tag != "" {
		base, _ := language.Make(s.tag).Base()
		t.language = base.ISO3()
	}
	return t
}

// Init takes the initialisation section of fragmented MP4, which holds until the next; nil
// says that there is none: the segments are MPEG-TS or packed audio (RFC 8216, section 3.4).
// Errors are those of [Fragments.Init].
func (s *Sound) Init(b []byte) error {
	if b == nil {
		if _, ok := s.source.(*plainSound); !ok {
			s.source = new(plainSound)
		}
		return nil
	}
	f, ok := s.source.(*fragmentSound)
	if !ok {
		f = &fragmentSound{}
	}
	if err := f.init(b); err != nil {
		return err
	}
	s.source = f
	return nil
}

// Begin begins a segment. marked says that times may jump before it.
func (s *Sound) Begin(marked bool) {
	s.marked, s.begun = marked, false
	if s.source != nil {
		s.source.begin()
	}
}

// Begun reports whether some of the segment that is open, or was last, was taken.
func (s *Sound) Begun() bool { return s.begun }

// Write takes the segment's next bytes. Errors wrap [ErrNotMP4], [ErrNotMPEGTS], [ErrNoTracks],
// [ErrNoTimestamp] or [ErrNoSound], or are an [*UnsupportedCodecError].
func (s *Sound) Write(b []byte) (int, error) {
	if s.source == nil {
		return 0, fmt.Errorf("%w: there is no initialisation section", ErrNotMP4)
	}
	err := s.source.write(b, s.take)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Bytes += uint64(len(b))
	return len(b), err
}

// Close takes the end of the segment. Errors wrap [ErrCutOff] or [ErrNoSound].
func (s *Sound) Close() error {
	if err := s.source.end(s.take); err != nil {
		return err
	}
	if !s.begun {
		return ErrNoSound
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Segments++
	return nil
}

// Stats returns a copy of the figures: of segments and bytes. It may be called at any time.
func (s *Sound) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Wanted is closed when somebody wants to have the sound.
func (s *Sound) Wanted() <-chan struct{} { return s.wanted }

// End tells that no more will come: nobody waits any longer.
func (s *Sound) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.tell()
}

// tell wakes whoever waits.
func (s *Sound) tell() {
	close(s.news)
	s.news = make(chan struct{})
}

// take appends frames, which are valid during the call.
func (s *Sound) take(frames []audioFrame, codec codecs.Codec, detail audioFormat) {
	if len(frames) == 0 {
		return
	}
	s.begun = true
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.format; f == nil || f.detail != detail || !reflect.DeepEqual(f.codec, codec) {
		s.format = &soundFormat{codec, detail}
	}
	for _, f := range frames {
		lasts := f.end - f.pts
		if n := len(s.frames); n > 0 {
			last := s.frames[n-1]
			f.pts = unwrap(last.pts, f.pts)
			step := f.pts - last.end
			if step < -maxStepBack || step > maxHole || s.marked && abs(step) > maxJump {
				s.era++
			}
			s.marked = false
		}
		s.frames = append(s.frames, soundFrame{audioFrame{f.pts, f.pts + lasts, bytes.Clone(f.data)}, s.format, s.era, s.passed})
		s.passed += lasts
		s.size += len(f.data)
	}
	n := 0
	for s.passed-s.frames[n].at > maxKept || s.size > maxKeptBytes && n < len(s.frames)-1 {
		s.size -= len(s.frames[n].data)
		n++
	}
	s.frames, s.first = slices.Delete(s.frames, 0, n), s.first+uint64(n)
	s.arrived = time.Now()
	s.tell()
}

// Room returns when listeners have use for more of what has ended, or with the cause of ctx.
func (s *Sound) Room(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.ahead() > soundAhead {
		news := s.news
		s.mu.Unlock()
		select {
		case <-news:
		case <-ctx.Done():
		}
		s.mu.Lock()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// ahead returns how much of the sound the last of those who listen has not had.
func (s *Sound) ahead() (most int64) {
	for l := range s.listeners {
		if n := max(l.next, s.first) - s.first; l.asked && n < uint64(len(s.frames)) {
			most = max(most, s.passed-s.frames[n].at)
		}
	}
	return most
}

// soundSource finds the frames of one container's segments.
type soundSource interface {
	begin()
	write(b []byte, take takeSound) error
	end(take takeSound) error
}

type takeSound func(frames []audioFrame, codec codecs.Codec, detail audioFormat)

// fragmentSound is sound in fragmented MP4.
type fragmentSound struct {
	fragments Fragments
	framer    framer
}

func (f *fragmentSound) init(b []byte) error {
	if err := f.fragments.Init(b); err != nil {
		return err
	}
	if !slices.ContainsFunc(f.fragments.tracks, func(t *fragmentTrack) bool { return !t.isVideo() }) {
		return fmt.Errorf("%w: the initialisation section names no audio", ErrNoTracks)
	}
	return nil
}

func (f *fragmentSound) begin() { f.fragments.Begin() }

func (f *fragmentSound) write(b []byte, take takeSound) error {
	return f.fragments.each(b, func(fragment []byte) error {
		frames, err := f.fragments.frames(fragment)
		if err != nil {
			return err
		}
		var t *fragmentTrack
		for _, fr := range frames {
			if fr.track.isVideo() || t != nil && fr.track != t {
				continue
			}
			t = fr.track
			f.framer.reset()
			list, detail := f.framer.frames(t.codec, fr.payload, fr.pts, true)
			take(list, t.codec, detail)
		}
		return nil
	})
}

func (f *fragmentSound) end(takeSound) error {
	_, err := f.fragments.End()
	return err
}
