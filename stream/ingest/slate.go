package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"

	"github.com/grapevine-live/grapevine/stream"
)

// SlateFormat is what an input is like whose slate is made: the less that differs, the
// less players have to change.
type SlateFormat struct {
	Video         string // RFC 6381; "" if there is no picture
	Width, Height int
	FrameRate     float64       // 0 if it is not known
	Segment       time.Duration // how far apart keyframes shall be, at least
	Audio         []SlateAudio
}

// SlateAudio is one audio track of a slate, which is silent.
type SlateAudio struct {
	Codec    string // RFC 6381
	Language string // ISO 639-2, if known
	Rate     int    // samples per second
	Channels int
}

// Formats of sound that an input has not told yet.
const defaultAudioRate, defaultChannels = 48000, 2

// slateFormatOf describes the tracks that are published, with the segment that m is of.
func slateFormatOf(tracks []*track, m stream.Media, segment time.Duration) SlateFormat {
	f := SlateFormat{Segment: segment}
	for _, t := range tracks {
		if t.isVideo() {
			f.Video, f.Width, f.Height, f.FrameRate = t.video.codecs, m.Width, m.Height, m.FrameRate
			continue
		}
		a := SlateAudio{Codec: t.audio.codecs, Language: t.language, Rate: t.audio.rate, Channels: t.audio.channels}
		if o, ok := t.codec.(*codecs.Opus); ok {
			a.Channels = int(o.Desc.ChannelConfigCode) // packets tell of two at most
		}
		if a.Rate == 0 {
			a.Rate = defaultAudioRate
		}
		if a.Channels < 1 || a.Channels > 8 {
			a.Channels = defaultChannels
		}
		f.Audio = append(f.Audio, a)
	}
	return f
}

// same reports whether a slate for f is one for g: frame rates that are measured differ
// with each segment.
func (f SlateFormat) same(g SlateFormat) bool {
	return f.Video == g.Video && f.Width == g.Width && f.Height == g.Height && f.Segment == g.Segment && slices.Equal(f.Audio, g.Audio)
}

// slate is what is shown again and again while an encoder is awaited.
type slate struct {
	video    codecs.Codec
	pictures []slatePicture // the first is a keyframe
	length   int64          // of the pictures
	sounds   []*slateSound
}

// slatePicture is an access unit, at a time from the beginning on.
type slatePicture struct {
	pts, dts int64
	au       [][]byte
}

// key reports whether decoding can start here.
func (p slatePicture) key(codec codecs.Codec) bool {
	_, hevc := codec.(*codecs.H265)
	return isKeyframe(p.au, hevc)
}

// slateSound is an audio track. Its frames follow each other, and have a loop of their own:
// they do not end with a picture.
type slateSound struct {
	codec    codecs.Codec
	language string
	frames   [][]byte
	samples  int64 // in each frame
	rate     int64 // samples per second
}

// readSlate takes MPEG-TS apart that was made for f.
func readSlate(ts []byte, f SlateFormat) (*slate, error) {
	in := mpegts.Reader{R: bytes.NewReader(ts)}
	if err := in.Initialize(); err != nil {
		return nil, fmt.Errorf("read slate: %w", err)
	}
	s := new(slate)
	var damaged error
	in.OnDecodeError(func(err error) { damaged = err })
	for _, t := range in.Tracks() {
		s.follow(&in, t)
	}
	for {
		err := in.Read()
		if err == nil {
			err = damaged
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read slate: %w", err)
		}
	}
	if err := s.finish(); err != nil {
		return nil, fmt.Errorf("read slate: %w", err)
	}
	for n, sound := range s.sounds {
		if n < len(f.Audio) {
			sound.language = f.Audio[n].Language
		}
	}
	return s, nil
}

// follow collects the frames of a track.
func (s *slate) follow(in *mpegts.Reader, t *mpegts.Track) {
	picture := func(pts, dts int64, au [][]byte) error {
		s.pictures = append(s.pictures, slatePicture{pts, dts, au})
		return nil
	}
	sound := &slateSound{codec: t.Codec}
	sounds := func(_ int64, frames [][]byte) error {
		sound.frames = append(sound.frames, frames...)
		return nil
	}
	switch t.Codec.(type) {
	case *codecs.H264:
		s.video = t.Codec
		in.OnDataH264(t, picture)
		return
	case *codecs.H265:
		s.video = t.Codec
		in.OnDataH265(t, picture)
		return
	case *codecs.MPEG4Audio:
		in.OnDataMPEG4Audio(t, sounds)
	case *codecs.Opus:
		in.OnDataOpus(t, sounds)
	case *codecs.MPEG1Audio:
		in.OnDataMPEG1Audio(t, sounds)
	case *codecs.AC3:
		in.OnDataAC3(t, func(pts int64, frame []byte) error { return sounds(pts, [][]byte{frame}) })
	default:
		return
	}
	s.sounds = append(s.sounds, sound)
}

// finish finds out how long all lasts, and that it can be shown.
func (s *slate) finish() error {
	n := int64(len(s.pictures))
	if n < 2 {
		return fmt.Errorf("%w: it has %d pictures", ErrNoTracks, n)
	}
	if !s.pictures[0].key(s.video) {
		return fmt.Errorf("%w: it begins with another picture", ErrNoKeyframe)
	}
	first := s.pictures[0].dts
	for i := range s.pictures {
		s.pictures[i].pts -= first
		s.pictures[i].dts -= first
		if i > 0 && s.pictures[i].dts <= s.pictures[i-1].dts {
			return errors.New("its timestamps do not rise")
		}
	}
	s.length = s.pictures[n-1].dts * n / (n - 1)
	for _, sound := range s.sounds {
		if err := sound.measure(); err != nil {
			return err
		}
	}
	return nil
}

// measure finds out how long a frame lasts.
func (s *slateSound) measure() error {
	if len(s.frames) == 0 {
		return fmt.Errorf("%w: a track of sound is empty", ErrNoTracks)
	}
	switch c := s.codec.(type) {
	case *codecs.MPEG4Audio:
		s.samples, s.rate = mpeg4Samples, int64(c.Config.SampleRate)
	case *codecs.Opus:
		s.samples, s.rate = opus.PacketDuration2(s.frames[0]), opusRate
	default:
		info, err := parseAudio(s.codec, s.frames[0])
		if err != nil {
			return err
		}
		s.samples, s.rate = int64(info.samples), int64(info.format.rate)
	}
	if s.samples <= 0 || s.rate <= 0 {
		return errors.New("its sound has no length")
	}
	return nil
}

const (
	mpeg4Samples = 1024  // in a frame of AAC (ISO 14496-3, 4.5.1.1)
	opusRate     = 48000 // that packets' lengths are told in (RFC 6716, section 2)
)

// at returns when the n-th frame begins.
func (s *slateSound) at(n int) int64 { return int64(n) * s.samples * second / s.rate }
