package stream

import "time"

// Part is a slice of a segment as ingest cuts it, before it is numbered and signed.
type Part struct {
	// StartsSegment is set on the first part of each segment.
	StartsSegment bool
	// EndsSegment is set on the last part of each segment.
	EndsSegment bool
	// Independent is set when the part starts with a keyframe, or holds audio only.
	Independent bool
	// Absent is how many segments of the other renditions lie before this one in which this
	// rendition has nothing: their numbers are left out. It is read on parts that start a
	// segment.
	Absent uint64
	// Discontinuity is set on the first part of a segment before which timestamps,
	// codecs, size or tracks break (RFC 8216, section 4.3.2.3).
	Discontinuity bool
	// Duration is the time from this part's first frame to the next part's.
	Duration time.Duration
	// ProgramTime is when the first frame was live, by the broadcaster's clock; the
	// zero value lets the publisher derive it from the durations before, or take now
	// as the end of the first part.
	ProgramTime time.Time
	// Media describes the rendition. It is read on parts that start a segment.
	Media Media
	// Data is the part's bytes in the rendition's container. The bytes of a segment
	// are those of its parts, joined. They must not be changed afterwards.
	Data []byte
}

// Kind is what a rendition holds. Those that are not known here are of a later version.
type Kind uint8

const (
	KindMain      Kind = iota // MPEG-TS: video and its default audio, or audio alone
	KindAudio                 // MPEG-TS: audio to choose instead of the main renditions'
	KindSubtitles             // WebVTT: text to show with the main renditions
	KindKeys                  // key blocks of a private stream, for nodes and not for players
)

// Media describes a rendition to players.
type Media struct {
	Kind      Kind
	Codecs    string  // as in HLS's CODECS (RFC 6381), such as "avc1.64001f,mp4a.40.2"
	Width     int     // pixels; 0 for audio only
	Height    int     // pixels
	FrameRate float64 // frames per second, to the thousandth; 0 if unknown
	Language  string  // of the audio or the text (BCP 47), such as "pt-BR"; "" if unknown
	Name      string  // of the audio or the text, for people, such as "Português"; "" if unknown
	Default   bool    // to be chosen where the viewer has chosen nothing
}
