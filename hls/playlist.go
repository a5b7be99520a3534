package hls

import (
	"bytes"
	"fmt"
	"time"

	"github.com/grafov/m3u8"
)

// Media types of what is served (RFC 8216, section 4; RFC 3555).
const (
	playlistType = "application/vnd.apple.mpegurl"
	segmentType  = "video/mp2t"
	textType     = "text/vtt; charset=utf-8"
)

// independentSegments says that every segment starts on a keyframe (RFC 8216,
// section 4.3.5.1). grafov/m3u8 writes it in multivariant playlists only.
type independentSegments struct{}

func (independentSegments) TagName() string { return "#EXT-X-INDEPENDENT-SEGMENTS" }
func (t independentSegments) Encode() *bytes.Buffer {
	return bytes.NewBufferString(t.TagName())
}
func (t independentSegments) String() string { return t.TagName() }

// blockingReload says that a playlist may be asked for with what comes next
// (draft-pantos-hls-rfc8216bis, section 4.4.3.8), which grafov/m3u8 does not know.
type blockingReload struct{}

func (blockingReload) TagName() string { return "#EXT-X-SERVER-CONTROL" }
func (t blockingReload) Encode() *bytes.Buffer {
	return bytes.NewBufferString(t.String())
}
func (t blockingReload) String() string { return t.TagName() + ":CAN-BLOCK-RELOAD=YES" }

// Kinds of playlists that are not live (RFC 8216, section 4.3.3.5).
const (
	TypeEvent = "EVENT" // it grows at its end only
	TypeVOD   = "VOD"   // it does not change any more
)

// MediaPlaylist is a media playlist of MPEG-TS or WebVTT segments.
type MediaPlaylist struct {
	Type          string // [TypeEvent] or [TypeVOD]; "" for a live one
	Target        int    // EXT-X-TARGETDURATION, seconds
	Sequence      uint64 // EXT-X-MEDIA-SEQUENCE, the first segment's
	Discontinuity uint64 // EXT-X-DISCONTINUITY-SEQUENCE
	Segments      []PlaylistSegment
	Ended         bool
	Blocks        bool // it may be asked for with what comes next

	ranges dateRanges
}

// PlaylistSegment is a segment in a [MediaPlaylist].
type PlaylistSegment struct {
	Name          string // its address, relative to the playlist's
	Duration      time.Duration
	ProgramTime   time.Time
	Discontinuity bool // marked before it
}

// playlistKind writes EXT-X-PLAYLIST-TYPE. grafov/m3u8 does, too, but for an EVENT with
// EXT-X-ALLOW-CACHE, which RFC 8216 knows no more.
type playlistKind string

func (playlistKind) TagName() string { return "#EXT-X-PLAYLIST-TYPE" }
func (k playlistKind) Encode() *bytes.Buffer {
	return bytes.NewBufferString(k.String())
}
func (k playlistKind) String() string { return k.TagName() + ":" + string(k) }

// Render writes the playlist. The grafov/m3u8 playlist lives for this call only: its own
// sliding loses discontinuities, its target duration grows by itself, and encoding it
// twice races.
func (m *MediaPlaylist) Render() ([]byte, error) {
	p, err := m3u8.NewMediaPlaylist(0, uint(max(1, len(m.Segments))))
	if err != nil {
		return nil, fmt.Errorf("new media playlist: %w", err)
	}
	p.SetCustomTag(independentSegments{})
	if m.Type != "" {
		p.SetCustomTag(playlistKind(m.Type))
	}
	if m.Blocks {
		p.SetCustomTag(blockingReload{})
	}
	p.SeqNo = m.Sequence
	p.DiscontinuitySeq = m.Discontinuity
	for i, s := range m.Segments {
		listed := &m3u8.MediaSegment{
			URI:           s.Name,
			Duration:      s.Duration.Seconds(),
			Discontinuity: s.Discontinuity,
			// To the millisecond: that is what players' date parsers are sure to read.
			ProgramDateTime: s.ProgramTime.UTC().Truncate(time.Millisecond),
		}
		if i == 0 && len(m.ranges) > 0 {
			// Header tags that it does not know come in any order.
			listed.Custom = map[string]m3u8.CustomTag{m.ranges.TagName(): m.ranges}
		}
		if err := p.AppendSegment(listed); err != nil {
			return nil, fmt.Errorf("append segment %d: %w", m.Sequence+uint64(i), err)
		}
	}
	p.TargetDuration = float64(m.Target)
	p.Closed = m.Ended
	return p.Encode().Bytes(), nil
}

// renderMedia writes the media playlist of a window, with the date ranges that it has.
func renderMedia(w *window, ranges dateRanges) ([]byte, error) { return w.media(ranges).Render() }

// media returns the media playlist of a window.
func (w *window) media(ranges dateRanges) *MediaPlaylist {
	m := &MediaPlaylist{
		Target:        w.target,
		Sequence:      w.sequence - uint64(len(w.entries)),
		Discontinuity: w.discontinuity,
		Segments:      make([]PlaylistSegment, 0, len(w.entries)),
		Ended:         w.ended,
		ranges:        ranges,
	}
	for _, e := range w.entries {
		m.Segments = append(m.Segments, PlaylistSegment{nameOf(e.key, e.media.Kind), e.duration, e.programTime, e.discontinuity})
	}
	return m
}
