// Package fmp4 turns the MPEG-TS parts of a rendition into fragmented MP4: an init
// (ftyp, moov) for each set of codec parameters and, for each part, one fragment (moof,
// mdat). It does no I/O and knows no playlists.
//
//	part      MPEG-TS, whole packets and whole frames        demux.go
//	  |       PES packets, of the first video and the first audio track
//	frames    NAL units; audio frames                        video.go, audio.go
//	  |       samples: decoding time, presentation offset
//	Fragment  init where it is new, moof and mdat            remux.go
//
// # Tracks
//
// Track 1 is the video if there is any; then comes the first audio track. Others are
// left out: media source extensions take one of each in a buffer.
//
// Timed ID3 becomes emsg boxes of version 1 in front of the fragment in which it begins
// (AOM, "Carriage of ID3 Timed Metadata in the Common Media Application Format"), written
// with go-mp4, which mediacommon builds on. SCTE-35 is for playlists, see hls/cue.
//
// # Time
//
// A fragment is never changed, but how long its last picture lasts is known for certain
// only when the next part is here. Waiting for that would cost half a second. The part's
// duration says it: a part lasts from its first frame to the next part's (see
// [github.com/grapevine-live/grapevine/stream.Part]). Should the next part begin elsewhere,
// because a frame was lost or the encoder's clock jumped, its decode time (tfdt) says so,
// and nothing accumulates. Audio counts samples, which is exact; timestamps move it only
// where they are half a frame off.
//
// Timestamps have 33 bits (ISO 13818-1, 2.4.3.6) and are unwrapped. After a discontinuity
// decode times go on where the last frame ended, whatever the timestamps, so that a player
// that misses the mark has nothing to trip over. Who keeps what was live when says where a
// part goes instead (Part.Placed): a file then begins at zero and keeps its gaps.
//
// # Why not mpegts.Reader
//
// mediacommon writes the boxes. Its reader of MPEG-TS is not used, for the reasons that
// stream/ingest gives and because it takes one AC-3 frame in a PES packet only. A part
// holds whole frames, so taking packets apart with stream/transport is short.
package fmp4
