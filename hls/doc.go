// Package hls serves a node's streams to ordinary players: playlists (RFC 8216),
// segments, a page, and figures. It reads a stream's timelines and store, knows
// nothing of the network behind them, and fetches nothing itself: who rewinds beyond the
// store is served by way of [Past].
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
//	view of the follower ──> dvr ──> dvrList ──> dvrView ──> Server.Handler
//	       (once asked)       │ ▲
//	                          v │
//	                         Past (headers, claims and segments of peers)
//
// One follower runs per rendition, one more while somebody plays it with low latency, and
// one that rewinds from when somebody first asked for that.
// They publish immutable views; requests read the newest one and, when what they ask for
// is on its way, wait for the next.
//
// Of several renditions, a viewer's node carries those that players fetched within the
// last minute, else the one that was played last, at first the best. The others are listed
// in the multivariant playlist as their headers describe them, however late the newest are;
// who asks for one has the node carry it, and waits until its last segments are there. Its
// discontinuity sequence goes on from the other renditions'.
//
// The multivariant playlist lists main renditions as variants, and further audio and
// subtitles as EXT-X-MEDIA of a group each, which all variants have (RFC 8216, section
// 4.3.4.1): the audio that comes with the video is the default, and has no address. A
// variant's bandwidth includes those of the most demanding of each group, and its codecs
// those of the audio. There is always a main rendition among what is carried.
//
// A [Tail] hands out the same segments to whoever keeps them, such as hls/record. It decides
// with the same edge, but begins with one segment, waits for a missing one three times as
// long, and holds nothing back.
//
// [Server.Playing] tells how players fare that tell nothing themselves: as if each showed the first
// file when it has it, and all that follows at the same pace. Where it has nothing left, and this node
// has nothing for it either, it stalls. The page says where it is when it asks for the status.
//
// # Addresses
//
//	/                                       the page
//	/embed/<stream-id>                      the player alone, for frames in other pages
//	/api/v1/status                          figures, JSON; ?stream=ID&delay=SECONDS tells how far the page's player is behind
//	/api/v1/directory                       public streams that are on air, JSON
//	/metrics                                figures, for Prometheus
//	/healthz                                the process answers
//	/readyz                                 whether the node does what it is for, and why not
//	/api/v1/streams                         the figures of streams, JSON
//	/api/v1/streams/<stream-id>             those of one
//	/api/v1/openapi.json                    what these answer (OpenAPI 3.1)
//	/api/v1/streams/<stream-id>/qr.svg      the stream's link as a QR code
//	/<stream-id>/index.m3u8                 multivariant playlist
//	/<stream-id>/<rendition>/index.m3u8     media playlist, MPEG-TS
//	/<stream-id>/dvr.m3u8                   multivariant playlist, to rewind
//	/<stream-id>/<rendition>/dvr.m3u8       media playlist, MPEG-TS, to rewind
//	/<stream-id>/<rendition>/<epoch>-<segment>.ts, of subtitles .vtt
//	/<stream-id>/ll.m3u8                    multivariant playlist, low latency
//	/<stream-id>/<rendition>/ll.m3u8        media playlist, fragmented MP4
//	/<stream-id>/<rendition>/<session>-<n>.mp4
//	/<stream-id>/<rendition>/<session>-<sequence>.m4s
//	/<stream-id>/<rendition>/<session>-<sequence>.<part>.m4s
//	/<stream-id>/<rendition>/<epoch>-<segment>.ll.vtt
//
// An MPEG-TS segment has the same name on every node. Names are never reused, because the
// broadcaster's epochs never repeat; should one sign two different parts for one
// position, each timeline keeps the first, and the entity tag, which is made of the
// chunks' hashes, tells the two apart.
//
// # Figures
//
// [Server.Figures] is the one place that has all figures, of the node and of its server:
// /api/v1/status, /metrics, /readyz and the program's events are made of it. A figure that
// metrics lack is named, with the reason, in a test. The description of the API, openapi.json,
// is written from the types of the answers and their comments, and tests hold answers to it.
//
// # What players need, and how it is kept
//
// The numbers are the tests': rules_test.go has a check for each, with its source, and
// holds each reload to all of them, in calm and through each fault of faults_test.go;
// broken_test.go breaks each and sees it fail. scripts/conformance.sh has index.m3u8,
// ll.m3u8 and dvr.m3u8, each of one rendition and of two between which a player switches,
// go through each fault, and hls-parser read all playlists in its strict mode; with
// --hours 6 they go through all faults, in any order (another with --seed 2), for six hours
// of stream, too. With two renditions the race detector sees only the faults in which
// followers begin and end.
//
//  1. TARGETDURATION is fixed when the first segments are listed: a tenth above the
//     longest known one of any rendition, rounded. Rounding gives a stream of 2.0 s
//     segments room up to 2.5 s. A segment that is longer still raises it, once, and it
//     never falls: players read the tag at each reload and carry on, whereas an EXTINF
//     above it is refused by some, and a left out segment is seen by all. Raises are
//     counted and logged.
//
//  2. MEDIA-SEQUENCE is this node's own, rises by one per segment and never falls, even
//     over a restart of the node: it starts at the seconds since 2020, and segments are
//     a second or longer. (A node that is restarted before it ran for as long as it lists
//     gives some numbers twice.)
//
//  3. DISCONTINUITY-SEQUENCE counts the marks that slid out, from when the node began. It
//     does not fall when a rendition is let go and carried again.
//
//  4. A discontinuity is marked where the broadcaster says so, where an epoch begins and
//     where a segment is left out. Each segment has its PROGRAM-DATE-TIME.
//
//  5. The first answer is held until three segments are whole. After that a segment is
//     removed only while three target durations stay.
//
//  6. A segment is listed as soon as it is whole and all before it are. A playlist that
//     is asked for when one is due waits for it, a second at most.
//
//  7. What is listed is pinned in memory, whatever the store lets go, while it is listed
//     and for its duration plus the longest playlist's after that.
//
//  8. There is no PLAYLIST-TYPE.
//
//  9. ENDLIST is set five of the playlist's target durations after the newest epoch has
//     ended and all of it is listed. Players leave for good when they see it, and a
//     broadcaster that is restarted ends its epoch too: until then they play what they
//     have. It goes away when the broadcaster comes back with a new epoch later.
//
//  10. VERSION is 3, with low latency 9; header tags come once, before the first segment.
//
//  25. Playlists are not to be cached, segments for ever, and pages of the sites that the door
//     lets play may read both.
//
//  26. Each segment begins with a keyframe that has its parameter sets.
//
//  27. Timestamps go on from one segment to the next unless there is a mark.
//
//  31. What a date range says stays, and tags of one ID do not differ.
//
//  32. Date ranges are of cues that the broadcaster published, at the time that those name.
//
//  33. A cue in a segment of a live playlist is listed with that, at the latest.
//
//  34. A date range leaves when it is over before all that is listed, and not before.
//
// Of several renditions:
//
//  28. The multivariant playlist lists each, whether it is carried or not, but for those that
//     are gone: behind the pictures by more than five target durations, or by one after
//     their end. Their playlists end, since ffmpeg and MSE wait for the last of what they
//     play together; but not those of pictures whose encoder may come back (progress.go).
//  29. They have the same target duration, and their discontinuity sequence numbers agree
//     unless one has holes that another has not: each marks its own.
//  30. A rendition report says what the other's playlist does.
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
// # Cues
//
// A broadcaster's SCTE-35 becomes EXT-X-DATERANGE in all media playlists, in front of the
// first segment. Nodes find the cues in the segments that they have, as those are listed, low
// latency's part by part, and those of the past as players fetch them; see hls/cue. What is
// known is the stream's, so that renditions and kinds of playlists say the same, and ID and
// date follow from the bytes, so that nodes do. An out point has a tag when it is announced,
// with PLANNED-DURATION if that is known, and once more with the same ID, DURATION and
// SCTE35-IN when the in point is. Of a break whose out point is not known, the in point has
// a tag with END-DATE. What is cancelled is not listed any more. A stream has 256 ranges at
// most, the newest; of breaks that go on, half as many stay longer. Timed ID3 stays in
// MPEG-TS, and is events in fragments (hls/fmp4).
//
// # Low latency
//
// ll.m3u8 is low-latency HLS (draft-pantos-hls-rfc8216bis), for hls.js and Safari; other
// players take it for ordinary HLS. All rules above hold, and:
//
//  11. A part is at most PART-TARGET long and at least 85% of it, but for a segment's
//     last. The target is a hundredth above the longest part known at the start, of
//     any rendition, and rises for a longer one as rule 1's does.
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
//     ends before. The window is ten segments at least, so that there is something. It has
//     all date ranges: CAN-SKIP-DATERANGES is not said.
//
// Media sequence numbers are the playlist's own, and not those of index.m3u8. Nothing is
// remuxed before somebody asks; each part is remuxed once, at 0.2% of a core for
// 8 Mbit/s, and all is let go when nobody has asked for a minute. The next to ask gets
// higher numbers and names with another random session. A rendition report speaks of
// renditions that somebody plays: others have no numbers.
//
// Players put sound and picture together by decode times. Those of further audio are the
// video's, since all playlists of a stream add the same to the broadcaster's timestamps,
// whoever comes first to a new epoch deciding (ll_clock.go). There a hole, and the 0.1 s
// between two epochs, are gaps in decode times; without further audio there are none.
//
// Subtitles are not cut into parts, which players do not ask for: their ll.m3u8 lists whole
// segments of WebVTT, whose X-TIMESTAMP-MAP is moved by what is added to timestamps, with
// the pictures' discontinuities and none of their own (ll_text.go): hls.js reads a cue's time
// by the pictures of the same discontinuity sequence number. A cue can be there when its
// segment is whole, so one that begins with its segment may be shown up to a segment late.
// The playlist can be waited for (rule 14): hls.js loads nothing of one that ends before what
// it plays, and what it plays is nearer to live than an old playlist's end.
//
// A new epoch after which players ran dry begins with one segment listed at once: players
// with low latency need three parts.
//
// Measured with the sample on one machine: Chromium shows the first picture 0.4 s after the
// page is opened, and settles at PART-HOLD-BACK, 1.6 s behind the broadcaster's clock. A
// worker of hls.js, which fragmented MP4 does not need, would make the first 0.6 s. After a
// stall the page plays 5% faster until it is there again.
//
// # Sending
//
// A segment's chunks go from the store to the system as they lie in memory, many with one
// call (writev), below net/http, which would copy them together 8 KiB at a time: see
// limitedConn.ReadFrom. To 64 clients on one core that is 4.6 times the bytes for a second
// of CPU time, and 0.6 to 0.7 of what nginx sends from files in memory, which the kernel need
// not copy (scripts/bench.sh hls; single runs are between 0.4 and 1.0). Of the time, 67% is
// that one call, the kernel's copying and TCP; 11% the header's and the playlist's write, each
// of which wakes a client; 5% reads. Allocating is 3%, deadlines 1%.
//
// Tried, and within the noise of that: files in memory (memfd_create) and sendfile, with the
// socket corked as nginx does, and slower without; header and segment in one call; the call
// unseen by Go's scheduler; a send buffer of 1 MiB. Smaller buffers and calls are slower: at
// 64 KiB a call, half as fast, as each wakes the client.
//
// # Rewinding
//
// dvr.m3u8 lists the same segments as index.m3u8, under the same names, for as long as
// [Config.DVR] says, or else as much as the store could hold: what the node's store has,
// and before that what peers say they hold. All rules above but the second half of 7
// hold: what leaves this playlist is served as long as somebody has it, because nobody can
// pin hours. And:
//
//  18. The first answer waits until peers were asked for the headers of the past, eight
//     seconds at most. There the playlist begins, for good: a live playlist may be
//     extended at its end only, so what is learned later is not listed.
//  19. Holes of the past are left out of it and marked when it begins.
//  20. Media sequence numbers count on from the first segment's programme time, in seconds
//     since 2020. Whoever lists the same first segment gives the same numbers, so a node
//     that restarts goes on where it was. They are not those of index.m3u8. A rendition
//     that is carried again gets numbers above those that it had.
//  21. It lists only what will still be there in a while: what the store keeps though a
//     sixteenth of it comes anew, and what peers claim, who are asked again every ten
//     seconds while somebody plays. What is listed and not to be had any more takes all
//     that is older with it, as segments may leave at the beginning only.
//  22. A request for a segment of the past is held until peers have sent it, fifteen
//     seconds at most. Then it is answered with 404 and counted, and the segment is lost:
//     it is not listed again. VLC ends there; other players go on.
//  23. Three segments are fetched at a time, of which two may be ahead of players: the next
//     two after each that was asked for.
//  24. There is no PLAYLIST-TYPE, not even EVENT, since segments may leave. With ENDLIST
//     players show it as a file, from its start.
//
// The playlist is kept once somebody asked, because its numbers cannot begin anew; a
// segment of it takes less than half a kilobyte, and it is written only when asked for.
//
// # The page
//
// Files of the directory page, embedded: HTML, CSS and a module per purpose, as they are
// written, and hls.js. The player is one element that controls.js makes, on the page and
// in frames alike:
//
//	page.js, embed.js ──> node.js (asks for the status)
//	    │                     │
//	    │                     v
//	    └─> controls.js ──> player.js ──> engine.js ──> hls.js
//	          │               ├─> archive.js
//	          v               └─> tracks.js
//	        seekbar.js, menu.js, help.js, keys.js, hiding.js, messages.js, volume.js
//
// It plays ll.m3u8, index.m3u8 where that fails, and /<stream-id>/dvr.m3u8 when somebody
// rewinds beyond what ll.m3u8 lists and there is one. Time in the player is counted from
// the newest picture backwards, as each playlist has a beginning of its own; programme
// times lead from one to the other.
//
// The policy of both documents allows this node's files only, and nothing inline. The page
// names peers, so nobody may frame it, nor read its figures or the QR code: only streams and
// the player are shared with other sites, and only with those that the door lets play.
//
// # The door
//
// A node's own server answers this machine, and others that show a token ([Door]). Nothing of
// it takes a body or changes anything, so that no cross-site request forgery is worth the try;
// what publishes, such as a WHIP input, has a listener and a key of its own. In turn:
//
//	a body                    413, and the connection ends
//	a host that is unknown    421 (RFC 9110, section 15.5.20)
//	no token, from elsewhere  401, or 403 if the node has none
//	a page of another site    403
//
// Each is a sentence, and counted. A host is known if it is an IP address, localhost or
// named in the configuration: a page of another site whose name was made to lead here (DNS
// rebinding) has that name in each request, and no cookie. A browser names the site behind a request by Origin
// and Sec-Fetch-Site (Fetch; Fetch Metadata Request Headers). It sends the second to loopback
// and by HTTPS only; elsewhere a token is asked for, which other sites do not have. Ports of
// one host share cookies, and are the same site: so only the same origin is at home, and the
// cookie's name has the port. A link may lead to the page from anywhere.
//
// Players send no cookies and no headers of ours. So they have the token in the address,
// /t/<token>/ in front of all of it: playlists name everything by relative addresses. A browser
// that comes to /t/<token>/ itself is given the cookie (HttpOnly, SameSite=Strict) and goes
// on to the page; it does so by a refresh, since after a redirect from a link on another site
// it would not show a strict cookie.
//
// Who is on this machine is known by the loopback interface. A proxy there lets in whom it
// likes, and has to ask for what it likes; its clients' names have to be allowed.
//
// # Connections
//
// A listener has 1,024 connections at most, and another machine an eighth of them; a gateway's
// has 16 times as many. When there is no room for one that comes, whoever has most loses one
// of no use: that has not taken anything for three seconds, or not made a request within a
// second, or none for five seconds after the last. If there is none, the one that comes waits,
// or is refused if its own machine has too many. So slow clients keep nobody out for long.
// Besides, a header may take ten seconds and 32 KiB, an answer two minutes, and the pause
// between two requests two minutes.
//
// # Private streams
//
// A private stream is shown by what opens it ([Stream].Opened), to this machine's own players: a
// gateway answers 403 and a sentence, and so does a node that has no keys. To nodes a gateway is
// an origin of private streams as of others, of what is sealed. Entity tags are of sealed chunks.
//
// # The gateway
//
// A [Gateway] serves the same streams, from the same followers, to strangers. Of the addresses
// above it has those that begin with a stream's ID, the page and the player, beside them
//
//	/api/v1/status     what players need of each stream, and nothing of the node
//	/origin/v1/…       the resource of package stream/origin, for nodes
//
// It names no peers, addresses, links and files, and has nothing that changes the node. A CDN
// may be in front: playlists may be cached for half a target duration, the answers to
// reloads that named what they wait for, for six (draft-pantos-hls-rfc8216bis, appendix B.1);
// segments for ever, as here. What is not there yet must not be cached.
//
// Viewers are told apart by address and User-Agent. Above the limit further ones get 503
// with Retry-After, until one of those that are there has asked for nothing for half a minute.
// Bandwidth is held by pacing all answers; once they are half a second behind, who does not watch
// yet gets 429 with Retry-After, once they are two, everybody. Requests that it holds have room
// of their own, so that strangers take none from this machine's players.
//
// # The window
//
// Stock VLC starts ceil(15 s / segment) + 1 segments back, as far as the window allows,
// and a short window is the only thing that shortens its delay: with 2 s segments 19 s
// behind the encoder in a window of 20, 9 s in one of 6. It leaves the two oldest alone,
// and takes three at least, as other players do. So two are listed, and then three, or what
// lasts 4 s if that is more: five segments, or six where the target duration is 1 s. Fewer
// than five would not bring VLC any nearer.
//
// Players stay as far behind as the newest segment's age is when they begin, on top. So
// when segments come one by one and the next is due, index.m3u8 waits for it: from a
// quarter of a segment before to as long after, half a second each at most. Whoever begins
// then waits that moment, and is a segment nearer to live. With 2 s segments VLC's delay
// over three hops is 6.3 to 7.5 s, whenever it begins; without the wait 6.5 to 8.9 s.
package hls
