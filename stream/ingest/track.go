package ingest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/asticode/go-astits"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/substructs"
	"github.com/grapevine-live/grapevine/stream/transport"
)

// maxTracks bounds what is published of an input with many audio tracks.
const maxTracks = 9

// track is an elementary stream of the input that is published.
type track struct {
	pid      uint16 // in the input
	codec    codecs.Codec
	language string // ISO 639-2, as the input says
	tag      string // the same in BCP 47; "" if it is not known
	name     string // for people; "" if there is nothing to tell
	out      *mpegts.Track

	video videoFormat // of the last keyframe
	audio audioFormat // of the last frame

	frames uint64
	end    int64 // where its last frame ends, output time
	last   int64 // decoding time of its last frame, output time
	// spliced is set after a break: audio that overlaps what was before is left out.
	spliced bool
}

// after returns ts, or the first time after the last frame if that is later: decoders want
// rising timestamps.
func (t *track) after(ts int64) int64 {
	if t.frames > 0 && ts <= t.last {
		return t.last + 1
	}
	return ts
}

// splice returns those of a track's audio frames that do not overlap the end of what was
// before a break, which would be heard twice, and counts the others.
func (t *track) splice(frames []audioFrame, offset int64, stats *Stats) []audioFrame {
	for t.spliced && len(frames) > 0 {
		if f := frames[0]; t.end == 0 || f.pts+offset >= t.end-(f.end-f.pts)/2 {
			t.spliced = false
			break
		}
		frames = frames[1:]
		stats.SkippedFrames++
	}
	return frames
}

// wrote notes n frames, the last from last to end, in output time.
func (t *track) wrote(n int, last, end int64) {
	t.frames += uint64(n)
	t.last, t.end = max(last, t.last), max(end, t.end)
}

// describe returns what the track is for the log and the figures.
func (t *track) describe() string {
	if t.isVideo() {
		return t.video.codecs
	}
	return t.audio.codecs
}

// identify returns the tracks of a PMT that are published, video first, and what was
// left out. It fails when all there is of video, or of audio, is in unknown codecs:
// publishing without would surprise.
func identify(pmt *astits.PMTData) (tracks []*track, ignored []string, err error) {
	var bad [2]*UnsupportedCodecError // video, audio
	var have [2]bool
	for _, es := range pmt.ElementaryStreams {
		if transport.DataOf(pmt, es) != transport.NoData {
			continue // see dataStreams
		}
		codec, kind, name := codecOf(es)
		which := 1
		if kind == "video" {
			which = 0
		}
		switch {
		case codec == nil && kind == "":
			ignored = append(ignored, name)
		case codec == nil:
			bad[which] = &UnsupportedCodecError{Kind: kind, Codec: name}
			ignored = append(ignored, name)
		case which == 0 && have[0] || len(tracks) == maxTracks:
			ignored = append(ignored, "another "+name) // HLS has one video per rendition
		default:
			have[which] = true
			t := &track{pid: es.ElementaryPID, codec: codec, language: languageOf(es)}
			t.tag = languageTag(t.language)
			t.audio.codecs = presumed(codec)
			if which == 0 {
				tracks = append([]*track{t}, tracks...)
			} else {
				tracks = append(tracks, t)
			}
		}
	}
	for which, e := range bad {
		if e != nil && !have[which] {
			return nil, ignored, e
		}
	}
	return tracks, ignored, nil
}

// sameTracks reports whether two sets are the same but for what the frames say.
func sameTracks(a, b []*track) bool {
	return sameKinds(a, b) && slices.EqualFunc(a, b, func(a, b *track) bool { return a.pid == b.pid })
}

// sameKinds reports whether two sets are the same but for the PIDs.
func sameKinds(a, b []*track) bool {
	return slices.EqualFunc(a, b, func(a, b *track) bool {
		return a.language == b.language && fmt.Sprintf("%T", a.codec) == fmt.Sprintf("%T", b.codec)
	})
}

// codecOf returns a nil codec for what is not published; kind is then "video",
// "audio" or, for all else, empty.
func codecOf(es *astits.PMTElementaryStream) (codec codecs.Codec, kind, name string) {
	switch es.StreamType {
	case astits.StreamTypeH264Video:
		return &codecs.H264{}, "video", "H.264"
	case astits.StreamTypeH265Video:
		return &codecs.H265{}, "video", "HEVC"
	case astits.StreamTypeAACAudio:
		return &codecs.MPEG4Audio{}, "audio", "AAC"
	case astits.StreamTypeMPEG1Audio, astits.StreamTypeMPEG2Audio:
		return &codecs.MPEG1Audio{}, "audio", "MPEG audio"
	case astits.StreamTypeAC3Audio:
		return &codecs.AC3{}, "audio", "AC-3"
	case astits.StreamTypePrivateData:
		return privateCodec(es)

	case astits.StreamTypeMPEG1Video:
		return nil, "video", "MPEG-1 video"
	case astits.StreamTypeMPEG2Video:
		return nil, "video", "MPEG-2 video"
	case astits.StreamTypeMPEG4Video:
		return nil, "video", "MPEG-4 part 2 video"
	case astits.StreamTypeCAVSVideo:
		return nil, "video", "AVS video"
	case astits.StreamTypeVC1Video:
		return nil, "video", "VC-1"
	case astits.StreamTypeDIRACVideo:
		return nil, "video", "Dirac"
	case 0x21:
		return nil, "video", "JPEG 2000"
	case 0x32:
		return nil, "video", "JPEG XS"
	case 0x33:
		return nil, "video", "VVC"
	case astits.StreamTypeAACLATMAudio:
		return nil, "audio", "AAC in LATM"
	case astits.StreamTypeEAC3Audio:
		return nil, "audio", "E-AC-3"
	case astits.StreamTypeDTSAudio:
		return nil, "audio", "DTS"
	case astits.StreamTypeTRUEHDAudio:
		return nil, "audio", "TrueHD"
	}
	return nil, "", fmt.Sprintf("stream type %#02x", uint8(es.StreamType))
}

func privateCodec(es *astits.PMTElementaryStream) (codec codecs.Codec, kind, name string) {
	opus := &codecs.Opus{Desc: &substructs.OpusAudioDescriptor{ChannelConfigCode: 2}} // stereo
	registered := uint32(0)
	for _, d := range es.ElementaryStreamDescriptors {
		switch {
		case d.Registration != nil:
			registered = d.Registration.FormatIdentifier
		case d.Extension != nil && d.Extension.Tag == transport.DescriptorOpus && d.Extension.Unknown != nil:
			var desc substructs.OpusAudioDescriptor
			if desc.Unmarshal(*d.Extension.Unknown) == nil {
				opus.Desc = &desc
			}
		case d.Tag == astits.DescriptorTagAC3:
			registered = transport.RegistrationAC3
		case d.Tag == astits.DescriptorTagEnhancedAC3:
			return nil, "audio", "E-AC-3"
		case d.Tag == 0x7b: // ETSI EN 300 468, annex G
			return nil, "audio", "DTS"
		case d.Tag == astits.DescriptorTagSubtitling:
			return nil, "", "subtitles"
		case d.Tag == astits.DescriptorTagTeletext:
			return nil, "", "teletext"
		}
	}
	switch registered {
	case transport.RegistrationOpus:
		return opus, "audio", "Opus"
	case transport.RegistrationAC3:
		return &codecs.AC3{}, "audio", "AC-3"
	case transport.RegistrationHEVC:
		return &codecs.H265{}, "video", "HEVC"
	case 'A'<<24 | 'V'<<16 | '0'<<8 | '1':
		return nil, "video", "AV1"
	}
	return nil, "", "private data"
}

func languageOf(es *astits.PMTElementaryStream) string {
	for _, d := range es.ElementaryStreamDescriptors {
		if l := d.ISO639LanguageAndAudioType; l != nil && len(l.Language) >= 3 {
			return strings.ToLower(string(l.Language[:3]))
		}
	}
	return ""
}

// isVideo is not codec.IsVideo, which says yes for MPEG audio.
func (t *track) isVideo() bool {
	switch t.codec.(type) {
	case *codecs.H264, *codecs.H265:
		return true
	}
	return false
}
