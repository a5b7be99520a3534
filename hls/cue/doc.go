// Package cue finds SCTE-35 cues in a rendition's MPEG-TS, and says which date ranges of
// playlists they make. It does no I/O and knows no playlists.
//
//	part      MPEG-TS, and when it was live                  scanner.go
//	  |       sections, and the programme time at which they came
//	Cue       out, in, command or cancellation, and its time  decode.go
//	  |       repeats, pairs, cancellations
//	Range     what EXT-X-DATERANGE says                       ranges.go
//
// # Time
//
// A cue names a presentation time. The programme time of that follows from the segment in
// which the cue came: from its first frame's presentation time and the programme time in
// its header. So all nodes give a cue the same date, whatever they have of the stream. A
// cue without a time is of the frame that came before it.
//
// # Which cues
//
// The mapping is that of draft-pantos-hls-rfc8216bis, section 4.4.5.1.1: splice_insert, and
// a time_signal's segmentation descriptors that begin or end a break, an advertisement or a
// placement opportunity, are an out point or an in point; the same event's two are one
// range. All else is a command. Heartbeats are left out: a splice_null without descriptors,
// and bandwidth_reservation, which say nothing to players and come every few seconds. What
// is encrypted, or cannot be read, is a command of the moment when it came.
//
// scte35-go reads commands and descriptors.
package cue
