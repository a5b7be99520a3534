package fmp4

import (
	"slices"

	"github.com/asticode/go-astits"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/substructs"
	"github.com/grapevine-live/grapevine/stream/transport"
)

// track is an elementary stream that goes into the fragments.
type track struct {
	source
	id    int          // in MP4
	scale int64        // time units per second
	codec codecs.Codec // as in the init; nil before the first segment that has it
	in    collector

	arena []byte // video: the part's samples
	delta int64  // video: time units from the last picture but one to the last

	begun bool  // it had a sample
	last  int64 // decode time of the last sample, time units
	next  int64 // where that ends
}

// source is a track as the PMT describes it. It is comparable.
type source struct {
	pid      uint16
	kind     kind
	channels int // Opus
}

// sourcesOf returns the first video and the first audio stream of a PMT.
func sourcesOf(pmt *astits.PMTData) []source {
	var video, audio []source
	for _, es := range pmt.ElementaryStreams {
		s, ok := sourceOf(es)
		switch {
		case ok && s.kind.isVideo():
			video = append(video, s)
		case ok:
			audio = append(audio, s)
		}
	}
	return slices.Concat(video[:min(1, len(video))], audio[:min(1, len(audio))])
}

func sourceOf(es *astits.PMTElementaryStream) (s source, ok bool) {
	s.pid = es.ElementaryPID
	switch es.StreamType {
	case astits.StreamTypeH264Video:
		s.kind = kindH264
	case astits.StreamTypeH265Video:
		s.kind = kindHEVC
	case astits.StreamTypeAACAudio:
		s.kind = kindAAC
	case astits.StreamTypeMPEG1Audio, astits.StreamTypeMPEG2Audio:
		s.kind = kindMPEGAudio
	case astits.StreamTypeAC3Audio:
		s.kind = kindAC3
	case astits.StreamTypePrivateData:
		return privateSource(s, es)
	default:
		return s, false
	}
	return s, true
}

func privateSource(s source, es *astits.PMTElementaryStream) (source, bool) {
	s.channels = 2
	registered := uint32(0)
	for _, d := range es.ElementaryStreamDescriptors {
		switch {
		case d.Registration != nil:
			registered = d.Registration.FormatIdentifier
		case d.Tag == astits.DescriptorTagAC3:
			registered = transport.RegistrationAC3
		case d.Extension != nil && d.Extension.Tag == transport.DescriptorOpus && d.Extension.Unknown != nil:
			var desc substructs.OpusAudioDescriptor
			if desc.Unmarshal(*d.Extension.Unknown) == nil && desc.ChannelCount() > 0 {
				s.channels = desc.ChannelCount()
			}
		}
	}
	switch registered {
	case transport.RegistrationOpus:
		s.kind = kindOpus
	case transport.RegistrationAC3:
		s.kind, s.channels = kindAC3, 0
	case transport.RegistrationHEVC:
		s.kind, s.channels = kindHEVC, 0
	default:
		return s, false
	}
	return s, true
}
