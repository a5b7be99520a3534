package hls

import (
	"bytes"
	"fmt"
	"time"

	"github.com/grafov/m3u8"

	"github.com/grapevine-live/grapevine/stream"
)

// Media types of what is served (RFC 8216, section 4; RFC 3555).
const (
	playlistType = "application/vnd.apple.mpegurl"
	segmentType  = "video/mp2t"
)

// independentSegments says that every segment starts on a keyframe (RFC 8216,
// section 4.3.5.1). grafov/m3u8 writes it in multivariant playlists only.
type independentSegments struct{}

func (independentSegments) TagName() string { return "#EXT-X-INDEPENDENT-SEGMENTS" }
func (t independentSegments) Encode() *bytes.Buffer {
	return bytes.NewBufferString(t.TagName())
}
func (t independentSegments) String() string { return t.TagName() }

// renderMedia writes the media playlist. The grafov/m3u8 playlist lives for this
// call only: its own sliding loses discontinuities, its target duration grows by
// itself, and encoding it twice races.
func renderMedia(w *window) ([]byte, error) {
	p, err := m3u8.NewMediaPlaylist(0, uint(max(1, len(w.entries))))
	if err != nil {
		return nil, fmt.Errorf("new media playlist: %w", err)
	}
	p.SetCustomTag(independentSegments{})
	p.SeqNo = w.sequence - uint64(len(w.entries))
	p.DiscontinuitySeq = w.discontinuity
	for _, e := range w.entries {
		err := p.AppendSegment(&m3u8.MediaSegment{
			URI:           segmentName(e.key),
			Duration:      e.duration.Seconds(),
			Discontinuity: e.discontinuity,
			// To the millisecond: that is what players' date parsers are sure to read.
			ProgramDateTime: e.programTime.UTC().Truncate(time.Millisecond),
		})
		if err != nil {
			return nil, fmt.Errorf("append segment %d: %w", e.sequence, err)
		}
	}
	p.TargetDuration = float64(w.target)
	p.Closed = w.ended
	return p.Encode().Bytes(), nil
}

// variant is one rendition in the multivariant playlist.
type variant struct {
	rendition string
	media     stream.Media
	peak      int // bits per second of the densest segment
	average   int // bits per second of what is listed
}

// renderMultivariant writes the multivariant playlist of the media playlists called
// name, its addresses relative to /<stream-id>/.
func renderMultivariant(variants []variant, name string) []byte {
	p := m3u8.NewMasterPlaylist()
	p.SetIndependentSegments(true)
	for _, v := range variants {
		params := m3u8.VariantParams{
			Bandwidth:        uint32(min(v.peak, 1<<31-1)),
			AverageBandwidth: uint32(min(v.average, 1<<31-1)),
			Codecs:           v.media.Codecs,
			FrameRate:        v.media.FrameRate,
		}
		if v.media.Width > 0 && v.media.Height > 0 {
			params.Resolution = fmt.Sprintf("%dx%d", v.media.Width, v.media.Height)
		}
		p.Append(v.rendition+"/"+name, nil, params)
	}
	return p.Encode().Bytes()
}
