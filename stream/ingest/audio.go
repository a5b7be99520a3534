package ingest

import (
	"errors"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/ac3"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg1audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/substructs"
)

// audioFormat is what an audio frame says of its track.
type audioFormat struct {
	codecs   string
	rate     int // samples per second; 0 before the first frame
	channels int
}

// audioFrame is one frame, as it is in the transport stream.
type audioFrame struct {
	pts, end int64
	data     []byte
}

// frameInfo is what a frame's header says.
type frameInfo struct {
	size    int // with its header
	samples int
	format  audioFormat
}

// errShort says that more bytes are needed.
var errShort = errors.New("frame is cut off")

// maxAudioRest bounds what is kept of a frame that goes on in the next PES packet: the
// longest are ADTS frames, with a length of 13 bits.
const maxAudioRest = 8 << 10

// framer cuts a track's PES payloads into frames. Frames may begin in one PES packet
// and end in the next; a timestamp is that of the first frame that begins in its
// packet (ISO 13818-1, 2.4.3.7).
type framer struct {
	rest  []byte // the beginning of a frame
	next  int64  // when the frame in rest is presented
	valid bool   // next is set
	lost  uint64 // bytes that are part of no frame
}

// reset forgets what was begun.
func (f *framer) reset() { f.rest, f.valid = nil, false }

// frames returns the frames that end in payload, and what the last says of the track.
// timed says that pts is set. What is returned is valid until payload changes.
func (f *framer) frames(codec codecs.Codec, payload []byte, pts int64, timed bool) ([]audioFrame, audioFormat) {
	carried := len(f.rest)
	b := payload
	if carried > 0 {
		b = append(f.rest[:carried:carried], payload...)
	}
	var out []audioFrame
	var format audioFormat
	base, samples, stamped := f.next, 0, false
	stamp := func() {
		stamped = true
		if timed {
			base, samples, f.next, f.valid = pts, 0, pts, true
		}
	}
	at := 0
	for at < len(b) {
		if !stamped && at >= carried {
			stamp()
		}
		info, err := parseAudio(codec, b[at:])
		if err == errShort || err == nil && at+info.size > len(b) {
			break
		}
		if err != nil {
			at++ // look for the next sync word
			f.lost++
			continue
		}
		format = info.format
		start := base + int64(samples)*second/int64(format.rate)
		samples += info.samples
		f.next = base + int64(samples)*second/int64(format.rate)
		if f.valid {
			out = append(out, audioFrame{pts: start, end: f.next, data: b[at : at+info.size]})
		}
		at += info.size
	}
	if !stamped && at >= carried {
		stamp()
	}
	if rest := b[at:]; len(rest) <= maxAudioRest {
		f.rest = append([]byte(nil), rest...)
	} else {
		f.lost += uint64(len(rest))
		f.reset()
	}
	return out, format
}

func parseAudio(codec codecs.Codec, b []byte) (frameInfo, error) {
	switch codec.(type) {
	case *codecs.MPEG4Audio:
		return parseADTS(b)
	case *codecs.MPEG1Audio:
		return parseMPEGAudio(b)
	case *codecs.AC3:
		return parseAC3(b)
	case *codecs.Opus:
		return parseOpus(b)
	}
	return frameInfo{}, errors.New("not audio")
}

var adtsRates = [...]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

// parseADTS reads a header of ISO 14496-3, 1.A.2.2. mediacommon's reader refuses
// frames with a CRC, which are as good.
func parseADTS(b []byte) (frameInfo, error) {
	if len(b) < 7 {
		return frameInfo{}, errShort
	}
	rate := int(b[2] >> 2 & 0x0f)
	size := int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5]>>5)
	if b[0] != 0xff || b[1]&0xf6 != 0xf0 || rate >= len(adtsRates) || size < 8 {
		return frameInfo{}, errors.New("not an ADTS frame")
	}
	profile := int(b[2] >> 6)
	return frameInfo{
		size:    size,
		samples: 1024 * (1 + int(b[6]&3)),
		format: audioFormat{
			codecs:   "mp4a.40." + string(rune('1'+profile)), // object type = profile + 1
			rate:     adtsRates[rate],
			channels: int(b[2]&1)<<2 | int(b[3]>>6),
		},
	}, nil
}

func parseMPEGAudio(b []byte) (frameInfo, error) {
	if len(b) < 5 {
		return frameInfo{}, errShort
	}
	var h mpeg1audio.FrameHeader
	if err := h.Unmarshal(b); err != nil {
		return frameInfo{}, err
	}
	// Not h.FrameLen, which takes layer III of MPEG-2 for twice as long as it is.
	size := h.SampleCount() / 8 * h.Bitrate / h.SampleRate
	if h.Padding {
		size++
	}
	info := frameInfo{size: size, samples: h.SampleCount(), format: audioFormat{
		codecs: "mp4a.40.34", rate: h.SampleRate, channels: 2, // ISO 14496-3, table 1.3
	}}
	if h.Layer == 2 {
		info.format.codecs = "mp4a.40.33"
	}
	if h.ChannelMode == mpeg1audio.ChannelModeMono {
		info.format.channels = 1
	}
	return info, nil
}

func parseAC3(b []byte) (frameInfo, error) {
	if len(b) < 8 {
		return frameInfo{}, errShort
	}
	var sync ac3.SyncInfo
	if err := sync.Unmarshal(b); err != nil {
		return frameInfo{}, err
	}
	var bsi ac3.BSI
	if err := bsi.Unmarshal(b[5:]); err != nil {
		return frameInfo{}, err
	}
	return frameInfo{size: sync.FrameSize(), samples: 1536, format: audioFormat{
		codecs: "ac-3", rate: sync.SampleRate(), channels: bsi.ChannelCount(),
	}}, nil
}

func parseOpus(b []byte) (frameInfo, error) {
	if len(b) < 2 {
		return frameInfo{}, errShort
	}
	var au substructs.OpusAccessUnit
	n, err := au.Unmarshal(b)
	if err != nil {
		// The control header's prefix has 11 bits; with it there, the rest is missing.
		if b[0] == 0x7f && b[1]&0xe0 == 0xe0 {
			return frameInfo{}, errShort
		}
		return frameInfo{}, err
	}
	samples := int(opus.PacketDuration2(au.Packet))
	if samples == 0 {
		return frameInfo{}, errors.New("empty Opus packet")
	}
	return frameInfo{size: n, samples: samples, format: audioFormat{codecs: "opus", rate: 48000, channels: 2}}, nil
}
