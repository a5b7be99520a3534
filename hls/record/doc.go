// Package record writes the streams that a node carries to disk as they go, and cuts
// ranges out of what it wrote.
//
//	timeline, store ──> hls.Tail ──> queue ──> directory ──┬──> <epoch>-<segment>.ts
//	                    (which is    (bounded)             ├──> recording.mp4
//	                     next)                             └──> index.m3u8
//
//	playlist ──> selectRange ──> .mp4: muxer, .ts: joiner ──> one file
//
// What is next, what is waited for and what is left out is decided as for the live
// playlist, by hls, which also keeps a segment's bytes until they are written, whatever the
// store lets go. A hole is waited for three times as long: six target durations.
//
// # Files
//
//	DIR/.lock                                     held by the node that records
//	DIR/<stream-id>/<rendition>/index.m3u8        the playlist
//	DIR/<stream-id>/<rendition>/<epoch>-<segment>.ts
//	DIR/<stream-id>/<rendition>/recording.mp4, recording-2.mp4 …
//
// Segments are byte by byte those that the broadcaster signed. The playlist is an EVENT
// while it grows (RFC 8216, section 4.3.3.5), and a VOD with ENDLIST when the stream has
// ended or the node has; it grows again when more comes. That of a node that was killed stays
// an EVENT, at whose end players wait, until the next one goes on with it. A discontinuity is marked where
// the broadcaster says so, where an epoch begins and where something was left out.
// TARGETDURATION is as hls chooses it, and rises should a later segment be longer.
//
// The MP4 is the same once more, remuxed by hls/fmp4: about as large again. It is fragmented,
// one fragment a segment, so that what is whole can be read however the node ended. It begins
// at zero, and pauses stay as long as they were by the broadcaster's clock; should that be set
// back, what comes follows at once. A further file begins
//
//   - where codecs or their parameters change: an MP4 has one set of them;
//   - after a pause of more than an hour;
//   - when the node starts again: files from before are never touched;
//   - after the disk kept a file from being mended.
//
// What MP4 cannot hold is in the playlist only, and counted.
//
// Each rendition is recorded for itself: a further audio language with its own playlist and
// MP4, subtitles with a playlist of .vtt files alone. An export is of one of them.
//
// # What is promised
//
// A file of a name other than .new and the MP4 is written under another name, synced and
// renamed; the playlist comes last. So whatever is listed is there and whole, after a crash
// and after a power cut. The MP4 is synced when it is closed: after a crash it is whole up to
// its last fragment, after a power cut up to what the system wrote, some 30 s usually.
//
// The next node with the same directory goes on behind the last listed segment, without a
// mark if the stream still has what follows. Listed files that are gone or empty are taken
// off the playlist; numbers stay with their segments. A playlist that cannot be read is not
// overwritten: nothing is recorded there until somebody moves it away.
//
// A disk that is full, or refuses for another reason, stops the recording, not the stream.
// One line of the log, an event and the status tell; it is tried again every ten seconds, and
// what came meanwhile is counted as failed. A slow disk lets at most 32 MB of a rendition
// wait, and what finds no room is counted as slow. When the node ends, what waits is written
// for another second.
//
// The playlist is written anew with each segment, which bounds how long a recording can
// sensibly be; see BenchmarkPlaylist.
//
// # Cuts
//
// A range is cut outwards to whole segments. MPEG-TS keeps its bytes until the first
// discontinuity; after that, timestamps are moved to go on, those of SCTE-35 too, and
// continuity counters count on. MP4 has timed ID3 as events, and no cues; the
// playlist of a recording has no date ranges.
// In both formats pauses stay as long as they were, up to an hour; longer ones are left out.
package record
