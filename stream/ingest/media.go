package ingest

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"

	"github.com/grapevine-live/grapevine/stream"
)

// Frame rates outside are timing fields that mean something else.
const minRate, maxRate = 1, 300

// videoFormat is what a sequence parameter set says.
type videoFormat struct {
	codecs        string
	width, height int
	rate          float64 // 0 if it does not say
}

// videoFormatOf reads a sequence parameter set. What it cannot read stays zero, but for
// the codecs: those fields are at fixed places.
func videoFormatOf(sps []byte, hevc bool) videoFormat {
	var f videoFormat
	if hevc {
		f.codecs = hevcCodecs(sps)
		var s h265.SPS
		if s.Unmarshal(sps) == nil {
			f.width, f.height, f.rate = s.Width(), s.Height(), s.FPS()
		}
	} else {
		if len(sps) >= 4 {
			f.codecs = fmt.Sprintf("avc1.%02x%02x%02x", sps[1], sps[2], sps[3]) // RFC 6381, section 3.3
		}
		var s h264.SPS
		if s.Unmarshal(sps) == nil {
			f.width, f.height, f.rate = s.Width(), s.Height(), s.FPS()
		}
	}
	if f.width < 0 || f.height < 0 {
		f.width, f.height = 0, 0
	}
	if !(f.rate >= minRate && f.rate <= maxRate) {
		f.rate = 0
	}
	return f
}

// hevcCodecs writes profile, tier and level as ISO 14496-15, annex E.3 says.
func hevcCodecs(sps []byte) string {
	b := h264.EmulationPreventionRemove(sps)
	// NAL unit header (2 bytes), then 8 bits before profile_tier_level.
	if len(b) < 3+12 {
		return ""
	}
	b = b[3:]
	var s strings.Builder
	s.WriteString("hvc1.")
	if space := b[0] >> 6; space > 0 {
		s.WriteByte('A' + space - 1)
	}
	compatible := uint32(b[1])<<24 | uint32(b[2])<<16 | uint32(b[3])<<8 | uint32(b[4])
	tier := 'L'
	if b[0]&0x20 != 0 {
		tier = 'H'
	}
	fmt.Fprintf(&s, "%d.%X.%c%d", b[0]&0x1f, bits.Reverse32(compatible), tier, b[11])
	constraints := b[5:11]
	for len(constraints) > 0 && constraints[len(constraints)-1] == 0 {
		constraints = constraints[:len(constraints)-1]
	}
	for _, c := range constraints {
		fmt.Fprintf(&s, ".%X", c)
	}
	return s.String()
}

// presumed is the codec to name before the first frame of a track says more: nearly
// always right, and a live stream does not wait.
func presumed(c codecs.Codec) string {
	switch c.(type) {
	case *codecs.MPEG4Audio:
		return "mp4a.40.2"
	case *codecs.MPEG1Audio:
		return "mp4a.40.34"
	case *codecs.AC3:
		return "ac-3"
	case *codecs.Opus:
		return "opus"
	}
	return ""
}

// mediaOf describes a rendition. measured is the frame rate by timestamps, for video
// that does not say.
func mediaOf(tracks []*track, measured float64) stream.Media {
	var m stream.Media
	var names []string
	for _, t := range tracks {
		if name := t.describe(); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
		if !t.isVideo() {
			if m.Language == "" && m.Name == "" {
				m.Language, m.Name = t.tag, t.name
			}
			continue
		}
		m.Width, m.Height, m.FrameRate = t.video.width, t.video.height, t.video.rate
		if m.FrameRate == 0 && measured >= minRate && measured <= maxRate {
			m.FrameRate = measured
		}
		m.FrameRate = math.Round(m.FrameRate*1000) / 1000
	}
	m.Codecs = strings.Join(names, ",")
	return m
}
