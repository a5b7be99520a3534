package ingest

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/bluenviron/gortmplib/pkg/amf0"
	"github.com/bluenviron/gortmplib/pkg/message"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"
)

const (
	// maxRTMPHeld bounds by its timestamps, and maxRTMPHeldBytes by its size, what is held
	// until all tracks that the metadata promise are described.
	maxRTMPHeld      = 2 * time.Second
	maxRTMPHeldBytes = 16 << 20
)

// rtmpMessages is a connection that was let in.
type rtmpMessages interface {
	Read() (message.Message, error)
}

// rtmpFeed turns a publisher's messages into MPEG-TS.
//
// gortmplib's own Reader waits for two seconds of stream to find out which tracks there
// are, takes a change of settings for an error, and has no end but the connection's.
// Here, tracks begin as soon as those that the publisher's metadata promise are described,
// and may be described anew.
type rtmpFeed struct {
	conn     net.Conn
	messages rtmpMessages
	log      *slog.Logger
	leftOut  func() // tells of a frame that is left out

	mux     remuxer
	video   *remuxTrack
	audio   map[uint8]*remuxTrack // by track ID
	started bool                  // the tracks are in mux

	promised  bool // the metadata say which tracks there are
	wantVideo bool
	wantAudio bool
	held      []rtmpFrame // until started
	heldBytes int
	since     time.Time     // the first of held came
	delay     time.Duration // how long ago that was when the output began
}

// rtmpFrame is a frame of one track.
type rtmpFrame struct {
	video    bool
	id       uint8 // of an audio track
	dts      time.Duration
	ptsDelta time.Duration
	data     []byte // AVCC, or an audio frame
}

func (f *rtmpFeed) Close() error { return f.conn.Close() }

// Read returns io.EOF when the publisher has ended its stream.
func (f *rtmpFeed) Read(b []byte) (int, error) {
	for f.mux.pending() == 0 {
		m, err := f.messages.Read()
		if err != nil {
			return 0, rtmpError(err)
		}
		if err := f.take(m); err != nil {
			return 0, err
		}
	}
	return f.mux.Read(b)
}

// take takes one message.
func (f *rtmpFeed) take(m message.Message) error {
	switch m := m.(type) {
	case *message.CommandAMF0:
		switch m.Name {
		case "FCUnpublish", "deleteStream", "closeStream":
			return io.EOF
		}
	case *message.DataAMF0:
		f.metadata(m.Payload)
	case *message.Video, *message.VideoExSequenceStart, *message.VideoExCodedFrames, *message.VideoExFramesX:
		return f.takeVideo(m)
	case *message.VideoExMultitrack:
		if m.TrackID == 0 {
			return f.takeVideo(m.Wrapped)
		}
		f.leftOut() // HLS has one video per rendition
	case *message.Audio, *message.AudioExSequenceStart, *message.AudioExCodedFrames:
		return f.takeAudio(0, m)
	case *message.AudioExMultitrack:
		return f.takeAudio(m.TrackID, m.Wrapped)
	}
	return nil
}

// metadata notes which tracks the publisher promises: OBS and ffmpeg tell the codec of
// each, and leave out what they do not send.
func (f *rtmpFeed) metadata(payload amf0.Data) {
	for _, item := range payload {
		var o amf0.Object
		switch item := item.(type) {
		case amf0.Object:
			o = item
		case amf0.ECMAArray:
			o = amf0.Object(item)
		default:
			continue
		}
		has := func(key string) bool {
			v, ok := o.Get(key)
			n, isNumber := v.(float64)
			return ok && !(isNumber && n == 0)
		}
		f.wantVideo, f.wantAudio = has("videocodecid"), has("audiocodecid")
		f.promised = f.wantVideo || f.wantAudio
	}
}

func (f *rtmpFeed) takeVideo(m message.Message) error {
	switch m := m.(type) {
	case *message.Video:
		switch {
		case m.Type == message.VideoTypeAU:
			return f.frame(rtmpFrame{video: true, dts: m.DTS, ptsDelta: m.PTSDelta, data: m.AU})
		case m.AVCConfig != nil:
			var units [][]byte
			for _, s := range m.AVCConfig.SequenceParameterSets {
				units = append(units, s.NALUnit)
			}
			for _, s := range m.AVCConfig.PictureParameterSets {
				units = append(units, s.NALUnit)
			}
			return f.describeVideo(&codecs.H264{}, units)
		case m.HEVCConfig != nil:
			var units [][]byte
			for _, array := range m.HEVCConfig.NaluArrays {
				for _, u := range array.Nalus {
					units = append(units, u.NALUnit)
				}
			}
			return f.describeVideo(&codecs.H265{}, units)
		}
	case *message.VideoExSequenceStart:
		if m.AVCConfig == nil && m.HEVCConfig == nil {
			return &UnsupportedCodecError{Kind: "video", Codec: fourCCName(m.FourCC)}
		}
		return f.takeVideo(&message.Video{AVCConfig: m.AVCConfig, HEVCConfig: m.HEVCConfig})
	case *message.VideoExCodedFrames:
		return f.takeVideo(&message.Video{Type: message.VideoTypeAU, DTS: m.DTS, PTSDelta: m.PTSDelta, AU: m.Payload})
	case *message.VideoExFramesX:
		return f.takeVideo(&message.Video{Type: message.VideoTypeAU, DTS: m.DTS, AU: m.Payload})
	}
	return nil
}

func (f *rtmpFeed) takeAudio(id uint8, m message.Message) error {
	switch m := m.(type) {
	case *message.Audio:
		switch {
		case m.AACConfig != nil:
			return f.describeAAC(id, m.AACConfig)
		case m.Codec == message.CodecMPEG4Audio && m.AACType == message.AudioAACTypeConfig:
			return nil // an empty one
		case m.Codec == message.CodecMPEG1Audio:
			return f.selfDescribed(id, &codecs.MPEG1Audio{}, m.DTS, m.AU)
		case m.Codec != message.CodecMPEG4Audio:
			return &UnsupportedCodecError{Kind: "audio", Codec: flvAudio[m.Codec]}
		}
		return f.frame(rtmpFrame{id: id, dts: m.DTS, data: m.AU})
	case *message.AudioExSequenceStart:
		switch m.FourCC {
		case message.FourCCMP4A:
			return f.describeAAC(id, m.AACConfig)
		case message.FourCCOpus:
			return f.describeOpus(id, m.OpusConfig)
		case message.FourCCMP3, message.FourCCAC3:
			return nil // their frames say all
		}
		return &UnsupportedCodecError{Kind: "audio", Codec: fourCCName(m.FourCC)}
	case *message.AudioExCodedFrames:
		switch m.FourCC {
		case message.FourCCMP3:
			return f.selfDescribed(id, &codecs.MPEG1Audio{}, m.DTS, m.Payload)
		case message.FourCCAC3:
			return f.selfDescribed(id, &codecs.AC3{}, m.DTS, m.Payload)
		}
		return f.frame(rtmpFrame{id: id, dts: m.DTS, data: m.Payload})
	}
	return nil
}

func (f *rtmpFeed) describeVideo(codec codecs.Codec, units [][]byte) error {
	if f.video == nil {
		f.video = &remuxTrack{codec: codec}
		f.video.setParams(units)
		return f.described(f.video)
	}
	if _, hevc := codec.(*codecs.H265); hevc != f.video.isHEVC() {
		return errors.New("publisher changed its video codec") // it is welcome to come anew
	}
	f.video.setParams(units)
	return nil
}

func (f *rtmpFeed) describeAAC(id uint8, config *mpeg4audio.AudioSpecificConfig) error {
	t, err := aacTrack(config)
	if err != nil {
		return err
	}
	return f.describeAudio(id, t)
}

func (f *rtmpFeed) describeOpus(id uint8, header *opus.IDHeader) error {
	// Mapping family 255 has no order of channels (RFC 7845, section 5.1.1).
	if header.ChannelMappingFamily > 1 {
		return &UnsupportedCodecError{Kind: "audio", Codec: fmt.Sprintf("Opus of mapping family %d", header.ChannelMappingFamily)}
	}
	t, err := opusTrack(int(header.ChannelCount))
	if err != nil {
		return err
	}
	return f.describeAudio(id, t)
}

// describeAudio makes an audio track known, or takes its new description.
func (f *rtmpFeed) describeAudio(id uint8, t *remuxTrack) error {
	old := f.audio[id]
	if old == nil {
		if len(f.audio) == maxTracks-1 {
			return nil // its frames are left out
		}
		if f.audio == nil {
			f.audio = make(map[uint8]*remuxTrack)
		}
		f.audio[id] = t
		return f.described(t)
	}
	now, isAAC := t.codec.(*codecs.MPEG4Audio)
	was, wasAAC := old.codec.(*codecs.MPEG4Audio)
	if isAAC && wasAAC {
		was.Config = now.Config // the frames' headers tell
		return nil
	}
	if fmt.Sprintf("%T", t.codec) != fmt.Sprintf("%T", old.codec) {
		return errors.New("publisher changed its audio codec") // it is welcome to come anew
	}
	return nil
}

// selfDescribed takes a frame of a codec that has no description but its frames' headers.
func (f *rtmpFeed) selfDescribed(id uint8, codec codecs.Codec, dts time.Duration, data []byte) error {
	if f.audio[id] == nil {
		if err := f.describeAudio(id, &remuxTrack{codec: codec}); err != nil {
			return err
		}
	}
	return f.frame(rtmpFrame{id: id, dts: dts, data: data})
}

// described begins the output if that was the last track to wait for, or adds one to it.
func (f *rtmpFeed) described(t *remuxTrack) error {
	if f.started {
		f.log.Info("publisher adds a track", "codec", fmt.Sprintf("%T", t.codec))
		return f.mux.add(t)
	}
	if f.complete() {
		return f.start()
	}
	return nil
}

// complete reports whether there is no further track to wait for.
func (f *rtmpFeed) complete() bool {
	video, audio := f.video != nil, len(f.audio) > 0
	if f.promised {
		return (video || !f.wantVideo) && (audio || !f.wantAudio)
	}
	return video && audio
}

// heldFor returns how much later than it came the first frame can be read.
func (f *rtmpFeed) heldFor() time.Duration { return f.delay }

// start begins the output with the tracks that are known, and what was held.
func (f *rtmpFeed) start() error {
	f.started = true
	if len(f.held) > 0 {
		f.delay = time.Since(f.since)
	}
	var tracks []*remuxTrack
	if f.video != nil {
		tracks = append(tracks, f.video)
	}
	for id := range 256 { // in the publisher's order
		if t := f.audio[uint8(id)]; t != nil {
			tracks = append(tracks, t)
		}
	}
	if err := f.mux.add(tracks...); err != nil {
		return err
	}
	held := f.held
	f.held = nil
	for _, frame := range held {
		f.write(frame)
	}
	return nil
}

// frame takes a frame: it is written, or held until the output begins.
func (f *rtmpFeed) frame(frame rtmpFrame) error {
	if f.started {
		f.write(frame)
		return nil
	}
	if len(f.held) == 0 {
		f.since = time.Now()
	}
	f.held = append(f.held, frame)
	f.heldBytes += len(frame.data)
	if frame.dts-f.held[0].dts < maxRTMPHeld && f.heldBytes < maxRTMPHeldBytes {
		return nil
	}
	if f.video == nil && len(f.audio) == 0 {
		return fmt.Errorf("%w: the publisher describes none", ErrNoTracks)
	}
	f.log.Warn("publisher does not send all tracks that it promised", "video", f.wantVideo, "audio", f.wantAudio)
	return f.start()
}

// write writes a frame, or leaves it out if it cannot be written.
func (f *rtmpFeed) write(frame rtmpFrame) {
	var err error
	dts := ticks(frame.dts)
	if frame.video {
		err = f.writeVideo(dts, dts+ticks(signed24(frame.ptsDelta)), frame.data)
	} else if t := f.audio[frame.id]; t != nil {
		err = f.mux.writeAudio(t, dts, [][]byte{frame.data})
	} else {
		err = errors.New("its track was not described")
	}
	if err != nil {
		f.log.Debug("frame left out", "err", err)
		f.leftOut()
	}
}

func (f *rtmpFeed) writeVideo(dts, pts int64, data []byte) error {
	if f.video == nil {
		return errors.New("the video was not described")
	}
	var au h264.AVCC // HEVC has the same form
	if err := au.Unmarshal(data); err != nil {
		if errors.Is(err, h264.ErrAVCCNoNALUs) {
			return nil
		}
		return err
	}
	return f.mux.writeVideo(f.video, pts, dts, au)
}

// signed24 returns a composition time as FLV has it, a number of 24 bits with a sign
// that gortmplib does not know of.
func signed24(d time.Duration) time.Duration {
	if d >= 1<<23*time.Millisecond {
		return d - 1<<24*time.Millisecond
	}
	return d
}

// rtmpError tells a codec that gortmplib does not know from other errors. It has no type
// for them.
func rtmpError(err error) error {
	text := err.Error()
	var n uint32
	for _, e := range []struct {
		format, kind string
		names        map[uint8]string
	}{
		{"unsupported video codec: %d", "video", flvVideo},
		{"unsupported audio codec: %d", "audio", flvAudio},
	} {
		if _, scanErr := fmt.Sscanf(text, e.format, &n); scanErr == nil {
			name := e.names[uint8(n)]
			if name == "" {
				name = fmt.Sprintf("number %d of FLV", n)
			}
			return &UnsupportedCodecError{Kind: e.kind, Codec: name}
		}
	}
	if _, scanErr := fmt.Sscanf(text, "unsupported fourCC: %d", &n); scanErr == nil {
		return &UnsupportedCodecError{Kind: "media", Codec: fourCCName(message.FourCC(n))}
	}
	return err
}

// Codecs of FLV that MPEG-TS has no place for, by their numbers (FLV 10.1, annex E.4).
var (
	flvVideo = map[uint8]string{2: "Sorenson H.263", 3: "Screen video", 4: "VP6", 5: "VP6 with alpha", 6: "Screen video 2", 13: "AV1"}
	flvAudio = map[uint8]string{
		0: "PCM", 1: "ADPCM", 3: "PCM", 4: "Nellymoser", 5: "Nellymoser", 6: "Nellymoser", 7: "G.711", 8: "G.711", 9: "Opus", 11: "Speex", 13: "Opus",
	}
)

func fourCCName(c message.FourCC) string {
	code := string([]byte{byte(c >> 24), byte(c >> 16), byte(c >> 8), byte(c)})
	names := map[string]string{"av01": "AV1", "vp09": "VP9", "vp08": "VP8", "fLaC": "FLAC", "ec-3": "E-AC-3", "vvc1": "VVC"}
	if name, ok := names[code]; ok {
		return name
	}
	return strings.ToValidUTF8(code, "?")
}
