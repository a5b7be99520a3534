// Package origin publishes an HLS stream that is there already (RFC 8216, and the low
// latency of draft-pantos-hls-rfc8216bis): it follows the origin's playlists and hands the
// segments on as [stream.Part]s, while they still arrive.
//
//	multivariant playlist ──> variants, named; sounds, subtitles     multivariant.go
//	      │ each a Rendition                                         rendition.go, sound.go, captions.go
//	      v
//	media playlist ──> sequence: which segments are next             playlist.go, sequence.go
//	      │
//	      v
//	transfer: tries again, goes on where it was                      transfer.go, fetch.go
//	      │ bytes
//	      v
//	output ──> ingest.Fragments (fragmented MP4 to MPEG-TS)          output.go
//	      │    or ingest.Pictures (MPEG-TS without sound)
//	      │          ^ default sound: ingest.Sound                   sound.go
//	      └──> ingest.Splitter ──> publish(stream.Part)
//	                  ^        └─> ingest.Aside: further sound ──> publish
//	      clock, or pace for what has ended                          clock.go, pace.go
//
// # What is kept
//
// A segment that is MPEG-TS is passed on byte for byte, with the origin's timestamps and at
// the origin's durations, so that it can be compared with the origin's later. Where the
// origin has low latency, its partial segments are taken to be the segment's bytes, joined.
// Of fragmented MP4, frames and timestamps are kept, and MPEG-TS is made of them.
//
// Discontinuities are the origin's, and further those that it does not mark: timestamps that
// jump, another codec, size or set of tracks, segments that are missing, an origin that
// began anew.
//
// Sound that has playlists of its own (EXT-X-MEDIA) is followed as pictures are, in fragmented
// MP4, MPEG-TS or packed audio. The default of a variant's group is put into its segments, where
// those have no sound: of MPEG-TS, all packets but the table of the tracks are still the
// origin's. The other languages of the best variant's group are renditions of their own, with
// its segments, and so are its subtitles in WebVTT (captions.go). A sound is fetched once
// somebody wants it; whatever becomes of it ends nothing, and segments without all of their
// sound are counted.
//
// Segments that are encrypted whole (AES-128) are published in the clear (secret.go), and with
// low latency they are taken as a whole, too. Keys are fetched as segments are.
//
// # What fails
//
// Nothing is listed that is not whole at the origin. Once a part of a segment is published,
// what is fetched again must begin with the same bytes; then it goes on after them. A segment
// that never becomes whole stays without its last part (see [stream.Publisher.Publish]), and
// the next is a discontinuity. A segment is tried for as long as no other is lost by it: until
// the playlist would drop the next, and two target durations at least.
//
// A playlist is loaded as RFC 8216, section 6.3.4 says, and with low latency it is asked for
// what comes next, which the server then holds back. One that is older than the one before
// is left alone, since servers behind one name are not always at the same point; if it stays
// older, or none of its segments is known, the origin began anew. After Config.Patience
// without anything new, a rendition ends with a [*QuietError].
//
// # When
//
// Programme times are EXT-X-PROGRAM-DATE-TIME's, unless they are half an hour behind this
// machine's clock or half a minute ahead of it: nodes refuse headers of another time. Else
// the end of the playlist is now when it arrives; timestamps lead from there to all that
// follows, and to the other renditions. What has ended is published at the speed of its
// media, and is live when it is.
//
// # Bounds
//
// A playlist has 8 MiB, 12 renditions and segments of at most a minute; a segment 128 MiB.
// Answers are given up that do not come or halt for 10 s. Requests go to the address that
// the user gave and to those that its playlists and redirects name, http or https, and never
// from https to http. Up to ten redirects are followed.
//
// # Libraries
//
// grafov/m3u8 reads the tags that it knows. It takes an empty line for an address, panics at
// some tags that no segment follows, and drops unknown tags: playlist.go hands it what it is
// good for, and reads the rest beside it. gohlslib's client gives no bytes and knows no
// discontinuity.
package origin
