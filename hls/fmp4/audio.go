package fmp4

import (
	"errors"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/ac3"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg1audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/substructs"
)

// kind is a track's codec.
type kind int

const (
	kindH264 kind = iota
	kindHEVC
	kindAAC
	kindMPEGAudio
	kindAC3
	kindOpus
)

func (k kind) isVideo() bool { return k == kindH264 || k == kindHEVC }

// audioFrame is a frame as it is in MP4.
type audioFrame struct {
	size    int    // bytes in the transport stream, with its header
	samples int64  // in time units of the track
	data    []byte // of it, as MP4 wants it; nil if MP4 cannot hold it
	rate    int    // samples per second
	codec   codecs.Codec
}

var (
	errShort = errors.New("frame is cut off")
	errSync  = errors.New("no frame starts here")
)

// parseAudio reads the frame that starts b. opusChannels is what the PMT says.
func parseAudio(k kind, b []byte, opusChannels int) (audioFrame, error) {
	var f audioFrame
	var err error
	switch k {
	case kindAAC:
		f, err = parseADTS(b)
	case kindMPEGAudio:
		f, err = parseMPEGAudio(b)
	case kindAC3:
		f, err = parseAC3(b)
	case kindOpus:
		f, err = parseOpus(b, opusChannels)
	}
	if err == nil && f.size > len(b) {
		err = errShort
	}
	return f, err
}

var adtsRates = [...]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

// parseADTS reads a frame with its header (ISO 14496-3, 1.A.2.2).
func parseADTS(b []byte) (audioFrame, error) {
	if len(b) < 7 {
		return audioFrame{}, errShort
	}
	header := 7
	if b[1]&1 == 0 {
		header += 2 // CRC
	}
	rate := int(b[2] >> 2 & 0x0f)
	size := int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5]>>5)
	if b[0] != 0xff || b[1]&0xf6 != 0xf0 || rate >= len(adtsRates) || size <= header {
		return audioFrame{}, errSync
	}
	blocks := int(b[6]&3) + 1
	f := audioFrame{
		size: size, samples: int64(blocks) * 1024, rate: adtsRates[rate],
		codec: &codecs.MPEG4Audio{Config: mpeg4audio.AudioSpecificConfig{
			Type:          mpeg4audio.ObjectType(b[2]>>6 + 1),
			SampleRate:    adtsRates[rate],
			ChannelConfig: b[2]&1<<2 | b[3]>>6,
		}},
	}
	if blocks == 1 && size <= len(b) {
		f.data = b[header:size] // a sample is one raw_data_block (ISO 14496-14, 3.1.2)
	}
	return f, nil
}

func parseMPEGAudio(b []byte) (audioFrame, error) {
	if len(b) < 5 {
		return audioFrame{}, errShort
	}
	var h mpeg1audio.FrameHeader
	if h.Unmarshal(b) != nil || h.SampleRate == 0 {
		return audioFrame{}, errSync
	}
	// Not h.FrameLen, which takes layer III of MPEG-2 for twice as long as it is.
	size := h.SampleCount() / 8 * h.Bitrate / h.SampleRate
	if h.Padding {
		size++
	}
	if size < 5 {
		return audioFrame{}, errSync
	}
	channels := 2
	if h.ChannelMode == mpeg1audio.ChannelModeMono {
		channels = 1
	}
	f := audioFrame{
		size: size, samples: int64(h.SampleCount()), rate: h.SampleRate,
		codec: &codecs.MPEG1Audio{SampleRate: h.SampleRate, ChannelCount: channels},
	}
	f.data = b[:min(size, len(b))]
	return f, nil
}

func parseAC3(b []byte) (audioFrame, error) {
	if len(b) < 8 {
		return audioFrame{}, errShort
	}
	var sync ac3.SyncInfo
	var bsi ac3.BSI
	if sync.Unmarshal(b) != nil || bsi.Unmarshal(b[5:]) != nil || sync.FrameSize() < 8 {
		return audioFrame{}, errSync
	}
	f := audioFrame{
		size: sync.FrameSize(), samples: ac3.SamplesPerFrame, rate: sync.SampleRate(),
		codec: &codecs.AC3{
			SampleRate: sync.SampleRate(), ChannelCount: bsi.ChannelCount(),
			Bsid: bsi.Bsid, Bsmod: bsi.Bsmod, Acmod: bsi.Acmod, LfeOn: bsi.LfeOn,
			BitRateCode: sync.Frmsizecod >> 1, // ETSI TS 102 366, annex F.4
		},
	}
	f.data = b[:min(f.size, len(b))]
	return f, nil
}

const opusRate = 48000

// parseOpus reads an access unit with its control header (ETSI TS Opus 0.1.3-draft, 5).
func parseOpus(b []byte, channels int) (audioFrame, error) {
	var au substructs.OpusAccessUnit
	n, err := au.Unmarshal(b)
	if err != nil {
		return audioFrame{}, errSync
	}
	samples := opus.PacketDuration2(au.Packet)
	if samples <= 0 {
		return audioFrame{}, errSync
	}
	return audioFrame{
		size: n, samples: int64(samples), data: au.Packet, rate: opusRate,
		codec: &codecs.Opus{ChannelCount: channels},
	}, nil
}
