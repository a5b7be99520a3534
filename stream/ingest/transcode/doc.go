// Package transcode has ffmpeg do what ingest cannot: it makes several renditions of one
// input, a [Ladder], MPEG-TS of files of any kind, [File], and what viewers see while an
// encoder is gone, a [Slate].
//
// # A ladder
//
//	ingest.Config.Input
//	      │
//	  ingest             the input's packets, times and breaks; parts of 50 ms
//	      │
//	    queue            what ffmpeg has not taken yet: how far it is behind
//	      │ stdin
//	   ffmpeg            decodes once, scales, encodes each picture and the sound once
//	      │ a pipe per rendition
//	    joint            one ffmpeg's output after the other's
//	      │
//	  ingest …           one per rendition: segments and parts
//	      │
//	  publish(stream.Part)
//
// All sound of the input is encoded, and goes to the first rendition's pipe; the others get
// the first language only. So the first rendition's ingest publishes further audio, once.
//
// # One time line
//
// ffmpeg is given the first ingest's output, and keeps its timestamps (-copyts). The
// ingests behind it have that one's [ingest.Base]: they keep the timestamps too, so that a
// frame has the same output timestamp and program time in all renditions. All encoders
// get the same frames, and a keyframe is forced by the same rule on their timestamps, so
// segments begin with the same frames. That holds for what comes between: the program
// time is when a frame came in, not when it left the encoder.
//
// Timed metadata, cues and subtitles do not go through ffmpeg: the base hands them from the
// first ingest to the others.
//
// # Breaks
//
// An ffmpeg lives from one break of the input to the next: the first ingest marks a
// discontinuity, ffmpeg is let finish, and another begins, which is told what the input
// is like now. So ffmpeg never sees a timestamp jump or a picture change its size. One
// that dies is started again with the next keyframe, a bounded number of times. Either
// way each rendition's next segment is a discontinuity.
//
// # Delay
//
// 50 ms of input are handed on at a time; the decoder may work on three frames at a
// time, encoders look at none ahead and make no B-frames.
//
// # Files
//
// A [File] is a reader for ingest.Config.Stdin. ffmpeg holds itself to real time (-re), and
// copies what browsers play; the rest is encoded, once. Sound is played in all languages, the
// file's default first. Text
// of subtitles goes to a pipe per track, as ffmpeg comes to it; subtitles that are pictures
// are left out. In a ladder that comes before, so
// that video of another codec is encoded twice.
//
// # Slates
//
// ffmpeg makes a slate beside the stream, on one core: a second for a picture that stands,
// longer for a video. It is like the input in codecs, profile, size, rate and sound, so that
// little changes for players, and its keyframes are as far apart as segments are long, also
// from its end to its beginning. A ladder encodes its input's slate like its input.
package transcode
