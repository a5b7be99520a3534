package ingest

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/substructs"
)

const (
	// maxADTS is the longest frame that an ADTS header can tell (ISO 13818-7, 6.2.2).
	maxADTS = 1<<13 - 1
	// maxAudioData leaves room for headers in a PES packet, whose length has 16 bits.
	maxAudioData = maxAudioPES
)

// remuxTrack is one track of an input that is not MPEG-TS.
type remuxTrack struct {
	codec    codecs.Codec
	language string // ISO 639-2, if known

	// params are a video track's parameter sets, each a NAL unit, as the input told them
	// last. They are put in front of keyframes that come without.
	params paramSets

	out *mpegts.Track
}

// setParams replaces the parameter sets of a video track. It takes effect with the next
// keyframe.
func (t *remuxTrack) setParams(units [][]byte) {
	t.params = paramSets{}
	t.params.note(slices.DeleteFunc(units, func(u []byte) bool { return len(u) == 0 }), t.isHEVC())
}

func (t *remuxTrack) isHEVC() bool {
	_, ok := t.codec.(*codecs.H265)
	return ok
}

// remuxer turns access units into MPEG-TS, which is read from it: what demultiplexers of
// other containers, and depacketisers, hand to the stages that all inputs go through. It
// keeps nothing back: what a frame becomes can be read once it is written.
//
// Timestamps are in ticks of 90 kHz, and may have any value.
type remuxer struct {
	out    bytes.Buffer
	w      *mpegts.Writer
	tracks []*remuxTrack
}

// Read returns io.EOF when all that was written is read.
func (m *remuxer) Read(b []byte) (int, error) { return m.out.Read(b) }

// pending returns how many bytes are to be read.
func (m *remuxer) pending() int { return m.out.Len() }

// add adds tracks. Those that come after the first frames make what follows a
// discontinuity, which begins with the next keyframe.
func (m *remuxer) add(tracks ...*remuxTrack) error {
	m.tracks = append(m.tracks, tracks...)
	outs := make([]*mpegts.Track, len(m.tracks))
	for i, t := range m.tracks {
		t.out = &mpegts.Track{PID: uint16(firstPID + i), Codec: t.codec, Language: t.language}
		outs[i] = t.out
	}
	m.w = &mpegts.Writer{W: &m.out, Tracks: outs}
	if err := m.w.Initialize(); err != nil {
		return fmt.Errorf("remux: %w", err)
	}
	if _, err := m.w.WriteTables(); err != nil {
		return fmt.Errorf("remux: write tables: %w", err)
	}
	return nil
}

// writeVideo writes an access unit: NAL units without start codes, none of them empty.
func (m *remuxer) writeVideo(t *remuxTrack, pts, dts int64, au [][]byte) error {
	hevc := t.isHEVC()
	if isKeyframe(au, hevc) {
		au = t.params.complete(au, hevc)
	}
	write := m.w.WriteH264
	if hevc {
		write = m.w.WriteH265
	}
	if err := write(t.out, pts&(wrap-1), dts&(wrap-1), au); err != nil {
		return fmt.Errorf("remux video: %w", err)
	}
	return nil
}

// writeAudio writes frames that follow each other: raw ones of AAC, packets of Opus, and
// with their headers those of MPEG audio and AC-3.
func (m *remuxer) writeAudio(t *remuxTrack, pts int64, frames [][]byte) error {
	size := 0
	for _, f := range frames {
		size += len(f)
		if _, aac := t.codec.(*codecs.MPEG4Audio); len(f) == 0 || aac && len(f) > maxADTS-7 {
			return fmt.Errorf("remux audio: a frame of %d bytes", len(f))
		}
	}
	if size > maxAudioData {
		return fmt.Errorf("remux audio: %d bytes at once", size)
	}
	pts &= wrap - 1
	var err error
	switch t.codec.(type) {
	case *codecs.MPEG4Audio:
		err = m.w.WriteMPEG4Audio(t.out, pts, frames)
	case *codecs.Opus:
		err = m.w.WriteOpus(t.out, pts, frames)
	default:
		// WriteAC3 writes what it is given; WriteMPEG1Audio refuses half the sample rates.
		err = m.w.WriteAC3(t.out, pts, slices.Concat(frames...))
	}
	if err != nil {
		return fmt.Errorf("remux audio: %w", err)
	}
	return nil
}

// isKeyframe reports whether decoding can start at an access unit, once it has its
// parameter sets.
func isKeyframe(au [][]byte, hevc bool) bool {
	for _, u := range au {
		if isSlice(u[0], hevc) {
			return isKeySlice(u[0], hevc)
		}
		if !hevc && isExactRecoveryPoint(u) {
			return true
		}
	}
	return false
}

// aacTrack returns a track for raw AAC frames. It fails with an [*UnsupportedCodecError]
// if ADTS has no way to tell what they are.
func aacTrack(config *mpeg4audio.AudioSpecificConfig) (*remuxTrack, error) {
	// ADTS has two bits for the object types 1 to 4; SBR and PS are found in the frames.
	if config.Type < 1 || config.Type > 4 {
		return nil, &UnsupportedCodecError{Kind: "audio", Codec: fmt.Sprintf("AAC of object type %d", config.Type)}
	}
	if !slices.Contains(adtsRates[:], config.SampleRate) {
		return nil, &UnsupportedCodecError{Kind: "audio", Codec: fmt.Sprintf("AAC with %d samples a second", config.SampleRate)}
	}
	return &remuxTrack{codec: &codecs.MPEG4Audio{Config: *config}}, nil
}

// opusTrack returns a track for Opus packets of so many channels, in Vorbis's order.
func opusTrack(channels int) (*remuxTrack, error) {
	if channels < 1 || channels > 8 {
		return nil, &UnsupportedCodecError{Kind: "audio", Codec: fmt.Sprintf("Opus with %d channels", channels)}
	}
	return &remuxTrack{codec: &codecs.Opus{Desc: &substructs.OpusAudioDescriptor{ChannelConfigCode: uint8(channels)}}}, nil
}
