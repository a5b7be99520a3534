// Package hls serves a node's streams to ordinary players: playlists (RFC 8216),
// segments, a page, and figures. It reads a stream's timelines and store, knows
// nothing of the network behind them, and never fetches anything itself.
//
//	timeline.Changed ─┐
//	                  ├─> follower ──> edge (which segment is next: list, wait, skip, end)
//	store.Changed ────┤      │               │
//	                  │      │               v
//	                  │      │            window (numbers, discontinuities, sliding)
//	                  │      │               │
//	                  │      │               v
//	                  │      │            playlist (rendered with grafov/m3u8)
//	                  │      v               │
//	                  │   pinned bytes       v
//	                  │      └────────────> view ─────┐
//	                  │                               ├──> Server.Handler ──> players, page
//	                  └─> llFollower ──> edge, window │
//	    (while asked)        │               │        │
//	                         v               v        │
//	                   hls/fmp4 ──────> llPlaylist ──> llView
//	                   (once a part)
//
// One follower runs per rendition, and one more while somebody plays it with low latency.
// They publish immutable views; requests read the newest one and, when what they ask for
// is on its way, wait for the next.
//
// # Addresses
//
//	/                                       the page
//	/api/v1/status                          figures, JSON
//	/<stream-id>/index.m3u8                 multivariant playlist
//	/<stream-id>/<rendition>/index.m3u8     media playlist, MPEG-TS
//	/<stream-id>/<rendition>/<epoch>-<segment>.ts
//	/<stream-id>/ll.m3u8                    multivariant playlist, low latency
//	/<stream-id>/<rendition>/ll.m3u8        media playlist, fragmented MP4
//	/<stream-id>/<rendition>/<session>-<n>.mp4
//	/<stream-id>/<rendition>/<session>-<sequence>.m4s
//	/<stream-id>/<rendition>/<session>-<sequence>.<part>.m4s
//
// An MPEG-TS segment has the same name on every node. Names are never reused, because the
// broadcaster's epochs never repeat; should one sign two different parts for one
// position, each timeline keeps the first, and the entity tag, which is made of the
// chunks' hashes, tells the two apart.
//
// # What players need, and how it is kept
//
// The numbers are the tests' (see conformance_test.go and ll_conformance_test.go).
//
//  1. TARGETDURATION is fixed when the first segments are listed: a tenth above the
//     longest known one, rounded. Rounding gives a stream of 2.0 s segments room up to
//     2.5 s. A segment that is longer still raises it, once, and it never falls: players
//     read the tag at each reload and carry on, whereas an EXTINF above it is refused by
//     some, and a left out segment is seen by all. Raises are counted and logged.
//  2. MEDIA-SEQUENCE is this node's own, rises by one per segment and never falls, even
//     over a restart of the node: it starts at the seconds since 2020, and segments are
//     a second or longer.
//  3. DISCONTINUITY-SEQUENCE counts the marks that slid out.
//  4. A discontinuity is marked where the broadcaster says so, where an epoch begins and
//     where a segment is left out. Each segment has its PROGRAM-DATE-TIME.
//  5. The first answer is held until three segments are whole. After that a segment is
//     removed only while three target durations stay.
//  6. A segment is listed as soon as it is whole and all before it are.
//  7. What is listed is pinned in memory, whatever the store lets go, while it is listed
//     and for its duration plus the longest playlist's after that.
//  8. There is no PLAYLIST-TYPE.
//  9. ENDLIST is set five target durations after the newest epoch has ended and all of it
//     is listed. Players leave for good when they see it, and a broadcaster that is
//     restarted ends its epoch too: until then they play what they have. It goes away
//     when the broadcaster comes back with a new epoch later.
//  10. VERSION is 3, with low latency 9; header tags come once, before the first segment.
//
// A segment that is late does not extend the playlist: every player survives a wait.
// One that stays missing while later ones are whole is left out after two target
// durations, because waiting longer empties the players' buffers. What an epoch that is
// over still misses is waited for one, as the broadcaster probably never made it.
//
// When a new epoch begins after the players ran dry, its first three segments are listed
// together: with one, players go on with no reserve, and VLC then dropped every third
// frame for minutes in two runs of three.
//
// # Low latency
//
// ll.m3u8 is low-latency HLS (draft-pantos-hls-rfc8216bis), for hls.js and Safari; other
// players take it for ordinary HLS. All rules above hold, and:
//
//  11. A part is at most PART-TARGET long and at least 85% of it, but for a segment's
//     last. The target is a hundredth above the longest part known at the start, and
//     rises for a longer one as rule 1's does.
//  12. Players stay PART-HOLD-BACK behind, which is three part targets, the least allowed.
//  13. A part never changes, and a segment's bytes are those of its parts. Segments that
//     begin within three target durations of the end list their parts. Those stay
//     fetchable as long as their segment.
//  14. The hint names the part to come. Whoever asks for it, or for a playlist with it
//     (_HLS_msn, _HLS_part), is answered when it is whole, or with 503 after three target
//     durations; a hint of what proved lost is answered with 404.
//  15. A part is listed when all of its bytes, and all parts of its segment before it, are
//     here. What is late is not listed; a segment that proves to have a hole ends before
//     it, and the next is marked. If nothing of a segment was listed, it is left out.
//  16. Each segment after a mark has its init in front, too: VLC does not fetch the map
//     again. Pictures carry their parameter sets, as ffmpeg takes no second init.
//  17. CAN-SKIP-UNTIL is six target durations, and a delta (_HLS_skip) leaves out what
//     ends before. The window is ten segments at least, so that there is something.
//
// Media sequence numbers are the playlist's own, and not those of index.m3u8. Nothing is
// remuxed before somebody asks; each part is remuxed once, at 0.2% of a core for
// 8 Mbit/s, and all is let go when nobody has asked for a minute. The next to ask gets
// higher numbers and names with another random session. A rendition report speaks of
// renditions that somebody plays: others have no numbers.
//
// A new epoch after which players ran dry begins with one segment listed at once: players
// with low latency need three parts.
//
// Measured with the demo on one machine: Chromium shows the first picture after 0.6 s and
// is 2.5 s behind the broadcaster's clock, then settles at PART-HOLD-BACK, 1.6 s.
//
// # Sending
//
// A segment's chunks go from the store to the system as they lie in memory, many with one
// call (writev), below net/http, which would copy them together 8 KiB at a time: see
// limitedConn.ReadFrom. To 64 clients on one core that is 4.6 times the bytes for a second
// of CPU time, and 0.7 of what nginx sends from files in memory, which the kernel need
// not copy (scripts/bench.sh hls). Of what is left, 70% is the kernel's copying and TCP;
// files in memory (memfd_create) and sendfile, and header and segment in one call, were
// tried and were within the noise of that.
//
// # The window
//
// Six segments. Stock VLC starts ceil(15 s / segment) + 1 segments back, as far as the
// window allows, and a short window is the only thing that shortens its delay: with 2 s
// segments 19 s behind the encoder in a window of 20, 9 s in one of 6. In a window of 3 it
// is 7 s, but then one late segment leaves every player at the end of the list.
package hls
