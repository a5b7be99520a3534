// Package ingest turns an encoder's MPEG-TS into [stream.Part]s: segments that start
// on keyframes, cut into slices of half a second.
//
// # The way through
//
//	input    stdin, file, UDP or the built-in sample            input.go, pace.go
//	  |      encoders that come and go: TCP, RTMP, SRT, WHIP    reception.go, tcp.go, rtmp.go, srt.go, whip.go
//	  |      RTMP's messages -> access units -> MPEG-TS         rtmpfeed.go, remux.go
//	  |      WebRTC's RTP -> the same                           whipsession.go, whipfeed.go, rtp*.go, remux.go
//	  |      while none is there: the slate                      absence.go, slate*.go, remux.go
//	  |      bytes
//	syncer   finds the packets, leaves out what lies between    sync.go
//	  |      188-byte packets
//	demux    PES packets, continuity, time line                 pes.go, demux.go; stream/transport
//	  |      frames, with 64-bit timestamps
//	cutter   keyframes -> segments, time -> parts               cut.go, clock.go, base.go
//	  |      frames, with output timestamps
//	muxer    tables, PES, PCR, continuity counters              mux.go, further.go
//	  |
//	publish(stream.Part), of each rendition
//
// All of it but the reading runs on the goroutine that called [Ingest.Run]; a slow
// publish slows the input down.
//
// # When a part is complete
//
// A part ends where a frame starts at or beyond the target, and that is known as soon
// as the first bytes of that frame are here: the demuxer tells the cutter that a frame
// began once it has seen the frame's first slice, before the rest of it arrives. So a
// part leaves one frame interval after its last frame entered, and no later.
//
// RTMP and WHIP deliver frames whole: there, a part leaves when the frame after it is
// here. SRT delivers what came when its latency has passed.
//
// # Encoders that come and go
//
// A reception greets who connects, lets one in at a time, and is the input's source of
// bytes. When the encoder breaks off, what it began is ended: frames that may be cut off
// are left out and counted, the part and the segment end with the last whole frame, and
// the parts are published. The next encoder's first keyframe starts a segment that is a
// discontinuity and continues the output's timestamps. An encoder that sends what is of
// no use is dismissed in the same way, and the input goes on.
//
// # The slate
//
// Slates are made beside the input, when its format is known and when that has changed
// (slatemaker.go); one is kept as access units. When an encoder has been gone for a second,
// the reception plays it as an encoder of its own: at the speed of life, without end, its
// sounds and its pictures each in their own loop, so that there is no seam. It begins with the
// time at which the encoder went, and catches up with the clock at once: players that had a
// second in hand see no stop, and fall back by nothing. It ends where the next encoder's first
// bytes are here, with [ErrBreak]. So there is a discontinuity at its beginning and one at its
// end, and frames of neither side are lost. Among several inputs it is put where the clock says,
// as encoders are that do not agree on time.
//
// # WHIP
//
// WHIP (RFC 9725) is one request with an offer of WebRTC and the stream key, and one
// answer; media come by UDP on the port of the HTTP endpoint, by host candidates only. A
// publisher is let in when it is connected: until then it is in nobody's way, and the
// next one with the key takes its place. The endpoint's listener serves the page that
// publishes from a browser (page/), beside the node's own server, which the audience may
// reach: encoders and audience have an address each.
//
// The answer has H.264 and Opus only, which MPEG-TS carries. Packets are put in order,
// and missing ones of the video asked for (NACK) and waited for half a second; what they
// spoil is left out up to a keyframe, which is asked for (PLI), as when a segment's time
// is over. Sound and picture have clocks of their own, whose relation RTCP sender reports
// tell (RFC 3550, section 6.4.1): the output waits for those up to a second, and later
// moves the sound if it turns out to be more than 15 ms off. There are no B-frames in
// WebRTC; an encoder that sends them is dismissed. Trickle ICE and ICE restarts are
// refused with 405, as the RFC allows (section 4.3.1).
//
// # Timed metadata and cues
//
// ID3 tags and SCTE-35 sections take a way beside the frames' (datademux.go, data.go,
// datamux.go) and decide nothing: no part waits for one, and their times are no jump. A tag
// is written after the leader's first frame that reaches its time, and so is in the part in
// which it is shown; a cue, after the leader's next frame. What comes before the first
// keyframe waits for that. Times of cues follow the output's by their pts_adjustment, which
// is in the clear in encrypted ones, too. What is on another time line than the frames, or
// damaged, is left out and counted.
//
// Where the output is encoded to several renditions, encoders leave data out: it goes beside
// them, by way of the [Base], to each rendition's ingest (basedata.go). So do subtitles, to the
// first one's (basetext.go).
//
// Streams of data may come and go within a segment: the next tables say so. Their
// descriptors are written anew (a metadata descriptor and its pointer, the registration of
// cues), with PIDs that stay.
//
// # Time
//
// Input timestamps have 33 bits at 90 kHz and wrap after 26.5 hours (ISO 13818-1,
// 2.4.3.6); they are unwrapped to 64 bits. Output timestamps start at 10 s in each run
// and continue through all that happens to the input: after a jump, the next keyframe
// follows where the last frame ended, in a segment marked as a discontinuity, so that
// even a player that misses the mark has nothing to trip over. Before the output itself
// would wrap, a discontinuity takes it back to 10 s. Durations and program times are
// differences of one clock in whole microseconds, so that they add up without drift. What
// RTMP and WHIP hold back until they know the tracks counts from when it came.
//
// # One time line for several ingests
//
// Where one ingest's output is encoded to several renditions, the ingests of those have
// the first one's [Base]: their input has its output timestamps, which stay as they are,
// and program times are looked up there. Where another encoder's output follows, their
// input returns [ErrBreak].
//
// Several inputs from encoders that agree on time share a base, too ([NewSharedBase]): the
// first makes the place where input and output time and the wall clock meet, and others,
// and those that come back, take it if it puts their frames where the clock lets expect
// them. They begin together, with the first keyframe that none had sent when the last one
// came, so that segments have the same numbers. What starts a segment in one and not in
// another is counted.
//
// # Further audio
//
// The first audio track is in the video's rendition, so that the simplest players have
// sound. Each other is a rendition of its own if [Config.Further] opens one, with the same
// segments and parts: it is told of each of the leader's, and publishes its own when a frame
// beyond the end has come, or the leader is a second ahead (further.go). Frames are where
// their timestamps say, however far apart the input has sound and picture. A segment for
// whose beginning there is no frame is left out, with its number, and counted.
//
// # Subtitles
//
// MPEG-TS has no place for text that players of HLS show. It comes beside the input
// ([Config.Subtitles]), and its cues have the input's timestamps. When a segment has ended
// half a second ago, so that those who are late may come, the cues that are shown in it
// become its WebVTT, those that span segments in each (text.go; stream/webvtt).
//
// # Segments that are there
//
// [Splitter] takes another way: it cuts segments that are MPEG-TS already into parts without
// changing a byte, with the same knowledge of tables, frames and codecs (split.go,
// splitframe.go). [Fragments] makes such segments of fragmented MP4 (fragments.go, boxes.go).
// stream/ingest/origin fetches them.
//
// A [Sound] has segments of its own, in fragmented MP4 (sound.go), MPEG-TS or packed audio
// (soundsource.go), and those who listen to it go through it at their own pace (listener.go):
// Fragments and [Pictures], which put it together with pictures frame by frame (beside.go,
// pictures.go), and an [Aside], a rendition with the Splitter's segments (aside.go). All times
// are compared as the containers have them. Pictures wait for sound, but no longer than
// [SoundConfig].Patience since the last came; then they go on without, and segments that lack
// sound are counted. Where time jumps, sound follows the pictures, whichever jumps first.
// [Captions] are the like for WebVTT, whose cues are put in their places (captions.go). What
// has the Splitter's segments runs beside it, and is told of its parts (sidecar.go).
//
// # Libraries
//
// mediacommon writes the container (mpegts.Writer) and reads codec headers; astits,
// which it builds on, reads the tables. Packets and PES are put together here rather
// than by mpegts.Reader, which copies all of a PES for each packet that joins it (at
// 20 Mbit/s and keyframes of 1 MB: 15% of a core, and stops of 0.2 s), drops frames of
// more than 50 NAL units, knows no change of tables and counts no loss. Neither library
// writes sections, or descriptors of the program: datamux.go adds what data needs to the
// PMT that mpegts.Writer makes. pion is WebRTC, in the version that libp2p brings.
package ingest
