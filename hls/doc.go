// Package hls serves a node's streams to ordinary players: playlists (RFC 8216),
// segments, a page, and figures. It reads a stream's timelines and store, knows
// nothing of the network behind them, and never fetches anything itself.
//
//	timeline.Changed ─┐
//	                  ├─> follower ──> edge (which segment is next: list, wait, skip, end)
//	store.Changed ────┘      │               │
//	                         │               v
//	                         │            window (numbers, discontinuities, sliding)
//	                         │               │
//	                         │               v
//	                         │            playlist (rendered with grafov/m3u8)
//	                         v               │
//	                   pinned bytes          v
//	                         └────────────> view ──> Server.Handler ──> players, page
//
// One follower runs per rendition. It publishes immutable views; requests read the
// newest one and, when what they ask for is on its way, wait for the next.
//
// # Addresses
//
//	/                                       the page
//	/api/v1/status                          figures, JSON
//	/<stream-id>/index.m3u8                 multivariant playlist
//	/<stream-id>/<rendition>/index.m3u8     media playlist, MPEG-TS
//	/<stream-id>/<rendition>/<epoch>-<segment>.ts
//
// A segment has the same name on every node. Names are never reused, because the
// broadcaster's epochs never repeat; should one sign two different parts for one
// position, each timeline keeps the first, and the entity tag, which is made of the
// chunks' hashes, tells the two apart.
//
// # What players need, and how it is kept
//
// The numbers are the tests' (see conformance_test.go).
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
//  10. VERSION is 3; header tags come once, before the first segment.
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
// # The window
//
// Six segments. Stock VLC starts ceil(15 s / segment) + 1 segments back, as far as the
// window allows, and a short window is the only thing that shortens its delay: with 2 s
// segments 19 s behind the encoder in a window of 20, 9 s in one of 6. In a window of 3 it
// is 7 s, but then one late segment leaves every player at the end of the list.
package hls
