package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	mp4codecs "github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/substructs"
)

// ErrNotMP4 says that bytes are not the fragmented MP4 that they should be.
var ErrNotMP4 = errors.New("not fragmented MP4")

const (
	// maxSoundPES and maxSoundTime bound the audio frames that share a PES packet: each
	// costs a header, and is seen when the last of them is there.
	maxSoundPES  = 2800
	maxSoundTime = second / 10
	// FragmentsShift is by how much the timestamps that Fragments makes are later than those
	// in the container, in ticks of 90 kHz.
	FragmentsShift = firstTimestamp
)

// Fragments turns segments of fragmented MP4 (ISO 14496-12) into segments of MPEG-TS, with
// the same frames and the same timestamps, plus ten seconds and modulo 2^33: what MP4
// counts from zero may begin earlier. It is not safe for concurrent use.
type Fragments struct {
	init   []byte // as taken last
	tracks []*fragmentTrack
	mux    muxer
	lead   int64  // by which decoding times are early, so that none is after its presentation
	last   int64  // the leader's decoding time in the container
	rest   []byte // of a fragment that is not whole
	fresh  bool   // a segment began

	counters map[uint16]uint8 // of continuity, when it did

	beside *besideSound // nil unless the sound has segments of its own
}

// fragmentTrack is a track of the init that is published.
type fragmentTrack struct {
	*track
	id       int
	scale    int64 // time units a second
	shift    int64 // by which the edit list moves its presentation, time units
	duration uint32
	params   paramSets
	aac      *mpeg4audio.AudioSpecificConfig
}

// fragmentFrame is a frame, or several of audio that follow each other.
type fragmentFrame struct {
	track    *fragmentTrack
	pts, dts int64
	end      int64 // when the next is decoded
	payload  []byte
	units    [][]byte // of video
}

// Init takes the initialisation section, which holds until the next. Errors wrap
// [ErrNotMP4] or [ErrNoTracks], or are an [*UnsupportedCodecError].
func (f *Fragments) Init(b []byte) error {
	if bytes.Equal(b, f.init) {
		return nil
	}
	var init fmp4.Init
	if err := init.Unmarshal(bytes.NewReader(b)); err != nil {
		return fmt.Errorf("%w: its initialisation section: %w", ErrNotMP4, err)
	}
	more := readMovie(b)
	f.tracks = nil
	var bad *UnsupportedCodecError
	for _, t := range init.Tracks {
		ft, unsupported := newFragmentTrack(t)
		switch {
		case unsupported != nil:
			bad = unsupported
		case ft.isVideo() && len(f.tracks) > 0 && f.tracks[0].isVideo(), len(f.tracks) == maxTracks:
		default:
			m := more[ft.id]
			ft.shift, ft.duration = m.shift(ft.scale), m.duration
			if ft.isVideo() {
				f.tracks = slices.Insert(f.tracks, 0, ft)
			} else {
				f.tracks = append(f.tracks, ft)
			}
		}
	}
	if len(f.tracks) == 0 && bad != nil {
		return bad
	}
	if len(f.tracks) == 0 {
		return fmt.Errorf("%w: the initialisation section names none", ErrNoTracks)
	}
	f.init, f.lead = bytes.Clone(b), 0
	return f.start()
}

// start begins a set of tracks.
func (f *Fragments) start() error {
	tracks := make([]*track, len(f.tracks))
	for i, t := range f.tracks {
		tracks[i] = t.track
	}
	if f.silent() && f.beside.track != nil {
		tracks = append(tracks, f.beside.track)
	}
	return f.mux.start(tracks)
}

// newFragmentTrack returns a track, or why there is none.
func newFragmentTrack(t *fmp4.InitTrack) (*fragmentTrack, *UnsupportedCodecError) {
	f := &fragmentTrack{track: &track{}, id: t.ID, scale: int64(t.TimeScale)}
	switch c := t.Codec.(type) {
	case *mp4codecs.H264:
		f.codec = &codecs.H264{}
		f.params.note(nonEmpty(c.SPS, c.PPS), false)
	case *mp4codecs.H265:
		f.codec = &codecs.H265{}
		f.params.note(nonEmpty(c.VPS, c.SPS, c.PPS), true)
	case *mp4codecs.MPEG4Audio:
		// ADTS has two bits for the object types 1 to 4; SBR and PS are found in the frames.
		if c.Config.Type < 1 || c.Config.Type > 4 || !slices.Contains(adtsRates[:], c.Config.SampleRate) {
			return nil, &UnsupportedCodecError{"audio", fmt.Sprintf("AAC of object type %d with %d samples a second", c.Config.Type, c.Config.SampleRate)}
		}
		f.codec, f.aac = &codecs.MPEG4Audio{Config: c.Config}, &c.Config
	case *mp4codecs.MPEG1Audio:
		f.codec = &codecs.MPEG1Audio{}
	case *mp4codecs.AC3:
		f.codec = &codecs.AC3{}
	case *mp4codecs.Opus:
		f.codec = &codecs.Opus{Desc: &substructs.OpusAudioDescriptor{ChannelConfigCode: uint8(c.ChannelCount)}}
	default:
		kind := "audio"
		if t.Codec.IsVideo() {
			kind = "video"
		}
		return nil, &UnsupportedCodecError{kind, fmt.Sprintf("%T", t.Codec)[len("*codecs."):]}
	}
	return f, nil
}

func nonEmpty(units ...[]byte) [][]byte {
	return slices.DeleteFunc(units, func(u []byte) bool { return len(u) == 0 })
}

// Begin begins a segment.
func (f *Fragments) Begin() {
	f.rest, f.fresh = nil, true
	f.counters = maps.Clone(f.mux.cc)
	if f.beside != nil {
		f.beside.begin()
	}
}

// Undo goes back to before the last Begin, as nobody got what was returned since: packets
// that follow must not seem to have lost some.
func (f *Fragments) Undo() {
	if f.counters != nil {
		f.mux.cc = maps.Clone(f.counters)
	}
	if f.beside != nil {
		f.beside.undo()
	}
}

// Write takes a segment's next bytes, and returns the MPEG-TS of the fragments that are
// whole by now. Errors wrap [ErrNotMP4] or [ErrNoTracks].
func (f *Fragments) Write(b []byte) (out []byte, err error) {
	err = f.each(b, func(fragment []byte) error {
		out, err = f.fragment(out, fragment)
		return err
	})
	return out, err
}

// each hands on the fragments that more of a segment makes whole.
func (f *Fragments) each(b []byte, take func(fragment []byte) error) error {
	f.rest = append(f.rest, b...)
	for {
		n, err := wholeFragment(f.rest)
		if err != nil || n == 0 {
			return err
		}
		if err := take(f.rest[:n]); err != nil {
			return err
		}
		f.rest = f.rest[n:]
	}
}

// End ends a segment, and returns the MPEG-TS that its end made whole. It fails with an
// error that wraps [ErrCutOff] if the segment ends within a fragment.
func (f *Fragments) End() ([]byte, error) {
	for b := f.rest; len(b) > 0; {
		kind, size := nextBox(b)
		if kind == "moof" || size == 0 || size > uint64(len(b)) {
			return nil, fmt.Errorf("%w: it ends within a fragment", ErrCutOff)
		}
		b = b[size:]
	}
	if !f.silent() {
		return nil, nil
	}
	return f.beside.finish(f.writeSound)
}

// fragment appends a fragment's frames to out.
func (f *Fragments) fragment(out, b []byte) ([]byte, error) {
	frames, err := f.frames(b)
	if err != nil {
		return out, err
	}
	for _, fr := range frames {
		f.lead = max(f.lead, fr.dts-fr.pts)
	}
	for _, fr := range frames {
		if out, err = f.soundBefore(out, fr); err != nil {
			return out, err
		}
		if out, err = f.frame(out, fr); err != nil {
			return out, err
		}
	}
	return out, nil
}

// frames returns a fragment's frames in decoding order.
func (f *Fragments) frames(b []byte) ([]*fragmentFrame, error) {
	if len(f.tracks) == 0 {
		return nil, fmt.Errorf("%w: there is no initialisation section", ErrNotMP4)
	}
	var parts fmp4.Parts
	if err := parts.Unmarshal(b); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotMP4, err)
	}
	var frames []*fragmentFrame
	for _, p := range parts {
		for _, pt := range p.Tracks {
			i := slices.IndexFunc(f.tracks, func(t *fragmentTrack) bool { return t.id == pt.ID })
			if i < 0 {
				continue
			}
			more, err := f.tracks[i].frames(pt)
			if err != nil {
				return nil, err
			}
			frames = append(frames, more...)
		}
	}
	slices.SortStableFunc(frames, func(a, b *fragmentFrame) int { return int(max(-1, min(1, a.dts-b.dts))) })
	return frames, nil
}

// frames returns the frames of a track's run of samples.
func (t *fragmentTrack) frames(pt *fmp4.PartTrack) ([]*fragmentFrame, error) {
	var out []*fragmentFrame
	at := int64(pt.BaseTime) - t.shift
	for _, s := range pt.Samples {
		fr := &fragmentFrame{track: t, dts: t.ticks(at), pts: t.ticks(at + int64(s.PTSOffset)), payload: s.Payload}
		d := s.Duration
		if d == 0 {
			d = t.duration
		}
		at += int64(d)
		fr.end = t.ticks(at)
		if t.isVideo() {
			var au h264.AVCC
			if err := au.Unmarshal(s.Payload); err != nil {
				return nil, fmt.Errorf("%w: a picture: %w", ErrNotMP4, err)
			}
			if fr.units = nonEmpty(au...); len(fr.units) > 0 {
				out = append(out, fr)
			}
			continue
		}
		if len(s.Payload) == 0 || len(s.Payload) > maxAudioRest-7 {
			return nil, fmt.Errorf("%w: a sound of %d bytes", ErrNotMP4, len(s.Payload))
		}
		var err error
		if fr.payload, err = t.framed(s.Payload); err != nil {
			return nil, err
		}
		// Few bytes, shortly after each other, share a packet.
		if n := len(out); n > 0 && len(out[n-1].payload)+len(fr.payload) <= maxSoundPES && fr.dts-out[n-1].dts < maxSoundTime {
			out[n-1].payload, out[n-1].end = append(out[n-1].payload, fr.payload...), fr.end
			continue
		}
		out = append(out, fr)
	}
	return out, nil
}

// ticks returns a time in time units as one of MPEG-TS.
func (t *fragmentTrack) ticks(at int64) int64 {
	return at/t.scale*second + at%t.scale*second/t.scale
}

// framed puts the header in front of an audio frame that it has in MPEG-TS.
func (t *fragmentTrack) framed(b []byte) ([]byte, error) {
	switch t.codec.(type) {
	case *codecs.MPEG4Audio:
		out, err := mpeg4audio.ADTSPackets{{
			Type: t.aac.Type, SampleRate: t.aac.SampleRate, ChannelConfig: t.aac.ChannelConfig, AU: b,
		}}.Marshal()
		if err != nil {
			return nil, fmt.Errorf("%w: AAC: %w", ErrNotMP4, err)
		}
		return out, nil
	case *codecs.Opus:
		au := substructs.OpusAccessUnit{ControlHeader: substructs.OpusControlHeader{PayloadSize: len(b)}, Packet: b}
		out := make([]byte, au.MarshalSize())
		if _, err := au.MarshalTo(out); err != nil {
			return nil, fmt.Errorf("%w: Opus: %w", ErrNotMP4, err)
		}
		return out, nil
	}
	return bytes.Clone(b), nil
}

// frame appends one frame.
func (f *Fragments) frame(out []byte, fr *fragmentFrame) ([]byte, error) {
	t := fr.track
	hevc := isHEVC(t.track)
	key := t.isVideo() && isKeyUnit(fr.units, hevc)
	if key {
		t.params.note(fr.units, hevc)
		fr.units = t.params.complete(fr.units, hevc)
	}
	if key || f.fresh {
		f.fresh = false
		var err error
		if out, err = f.mux.tables(out); err != nil {
			return out, err
		}
	}
	pts, dts := (fr.pts+FragmentsShift)&(wrap-1), (fr.dts-f.lead+FragmentsShift)&(wrap-1)
	if t == f.tracks[0] {
		if dts < f.last {
			f.mux.lastPCR = -wrap // they wrapped, or begin anew
		}
		f.last = dts
	}
	if t.isVideo() {
		return f.mux.video(out, t.track, pts, dts, fr.units, hevc)
	}
	return f.mux.audio(out, t.track, pts, fr.payload)
}

// isKeyUnit reports whether decoding can start at an access unit, once it has its
// parameter sets.
func isKeyUnit(units [][]byte, hevc bool) bool {
	for _, u := range units {
		t := nalType(u[0], hevc)
		switch {
		case hevc && t >= 16 && t <= 21, !hevc && t == int(h264.NALUTypeIDR):
			return true
		case !hevc && isExactRecoveryPoint(u):
			return true
		case isSlice(u[0], hevc):
			return false
		}
	}
	return false
}
