package ingest

import (
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// Stats is what an [Ingest] has seen and done so far.
type Stats struct {
	// Listen is the address listened on, with the port that was bound; empty for
	// inputs that do not listen, and before Run binds.
	Listen string
	// From is the address of the encoder that is, or was last, connected.
	From string
	// Strangers counts connections that were refused, and datagrams of others than From,
	// left unread.
	Strangers uint64
	// Breaks counts how often an encoder broke off and the input went on. Gone is when
	// it last did, and zero while one is connected.
	Breaks uint64
	Gone   time.Time
	// Slate is how much of the slate was published. OnSlate says that it is shown now.
	Slate   time.Duration
	OnSlate bool
	// LeftOut counts an RTMP publisher's frames that MPEG-TS has no place for: of a
	// second video track, of a track that was never described, and malformed ones; and a
	// WHIP publisher's that cannot be decoded without packets that are lost, or whose
	// time is that of others.
	LeftOut uint64
	// LostRTP counts a WHIP publisher's packets that did not come in time, though they
	// were asked for.
	LostRTP uint64

	Bytes       uint64 // read from the input, without the slate
	Garbage     uint64 // bytes left out between packets
	LostPackets uint64 // packets missing by continuity counters, at least

	// SkippedFrames were sent before the first keyframe, or after a break before the
	// next; DamagedFrames lost some of their packets. Neither is published.
	SkippedFrames uint64
	DamagedFrames uint64
	// Discontinuities counts segments marked so.
	Discontinuities uint64

	// Misaligned counts segments of other ingests of the same Base that start where this
	// one has none.
	Misaligned uint64

	// AbsentSegments counts segments that a further audio track has none of, as it had no
	// frames where they begin.
	AbsentSegments uint64

	// LostCues counts subtitles that came too late, or when there was no room.
	LostCues uint64

	Segments       uint64        // begun
	Parts          uint64        // published
	PartBytes      uint64        // published, of all renditions
	MediaTime      time.Duration // published
	LongestSegment time.Duration // published
	LongestPart    time.Duration // published

	// Media describes the rendition, as on the last segment.
	Media stream.Media
	// Tracks are those that are published, Ignored describes the others.
	Tracks  []TrackStats
	Ignored []string
	// Data are the streams of timed metadata and cues that are published. Of their
	// messages, DamagedMessages lost some of their bytes, and LeftOutMessages have no place:
	// on another time line than the frames, too large, too many at a time, or no cue.
	Data            []DataStats
	DamagedMessages uint64
	LeftOutMessages uint64
}

// TrackStats is one track of the input.
type TrackStats struct {
	PID      uint16 // in the input
	Video    bool
	Codec    string // RFC 6381, once known
	Language string // ISO 639-2, if the input says
	Frames   uint64 // published
}

// DataStats is one stream of data of the input.
type DataStats struct {
	PID      uint16 // in the input
	Kind     string // "timed ID3" or "SCTE-35"
	Messages uint64 // published
}

// Stats returns a copy of the figures. It may be called at any time.
func (i *Ingest) Stats() Stats {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.stats
}

// setStats replaces the figures but for those of the connection, which the reading
// goroutine keeps.
func (i *Ingest) setStats(s Stats) {
	i.mu.Lock()
	defer i.mu.Unlock()
	s.Listen, s.From, s.Strangers = i.stats.Listen, i.stats.From, i.stats.Strangers
	s.Breaks, s.Gone = i.stats.Breaks, i.stats.Gone
	s.Slate, s.OnSlate = i.stats.Slate, i.stats.OnSlate
	s.LeftOut, s.LostRTP = i.stats.LeftOut, i.stats.LostRTP
	i.stats = s
}

func (i *Ingest) connection(f func(*Stats)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f(&i.stats)
}
