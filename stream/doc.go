// Package stream is the domain of grapevine: what a live stream is made of, how
// its broadcaster signs it, and how a node keeps what it has verified. It knows
// no network, writes no logs and starts no goroutines.
//
// # Vocabulary
//
//	stream     one broadcaster's live output; its [ID] is an Ed25519 public key
//	epoch      one run of the broadcaster; a restart begins a larger one
//	rendition  one encoding of the stream
//	segment    an HLS media segment: starts on a keyframe
//	part       a slice of a segment, half a second by default: the unit of publication
//	chunk      a slice of a part, at most [MaxChunkSize]: the unit of transfer and verification
//	header     the broadcaster's signed description of one part
//	timeline   the headers that a node knows of a rendition, in order
//	store      the byte-bounded cache of verified chunks, in memory and optionally on disk
//	link       grapevine://<stream-id>?peer=<multiaddr>: all that a viewer needs
//	origin     an HTTP server of the same stream, for what peers do not bring in time
//	private    a stream whose parts are sealed, for viewers who are invited
//	period     some seconds of a private stream, sealed with one secret
//	invite     what lets a viewer enrol; enrolment: its asking for keys, with an invite
//	key block  a part that holds a period's secret, in a wrap for each viewer
//	delegation the stream's key's word that another key may act for it, for a while
//	delegate   the key, or the machine, that a delegation is for
//	revocations the delegates' keys that the stream's key takes back
//	roles      what a node knows of all that
//
// # The way through
//
//	Part -> Publisher (split, hash, sign) -> SignedHeader + Chunks
//	                                               |
//	bytes from peers -> OpenHeader, OpenChunk      |   (verify, else an error)
//	                           |                   |
//	                           v                   v
//	                       Timeline.Add        Store.Put
//	                           |                   |
//	                           +--> Changed() <----+  wakes whoever waits
//	                           |                   |
//	                           |                   v  whole parts, aside
//	                           +--------------- Disk: package disk
//	                             what is older
//
// # Wire format of a header
//
// Protocol Buffers, proto3; unknown fields are skipped, so that later versions may
// add some, but not in SignedHeader: it is its fields in this order, lengths at
// their shortest, so that only one sequence of bytes opens as a header and whoever
// passes it on cannot change it. testdata/headers.json has vectors.
//
//	message SignedHeader {
//	  bytes header     = 1;  // a serialised Header
//	  bytes signature  = 2;  // Ed25519 (RFC 8032) of "grapevine header v1\n" + stream ID + header
//	  bytes delegation = 3;  // if not the stream's key signed it but a delegate, see below
//	}
//	message Header {
//	  uint64 epoch        = 1;  // larger than that of every earlier run
//	  string rendition    = 2;  // [a-z0-9-]{1,32}
//	  uint64 segment      = 3;  // from 0 in each epoch
//	  uint32 part         = 4;  // from 0 in each segment
//	  uint32 flags        = 5;  // 1 independent, 2 last of its segment, 4 discontinuity before it, 8 end of the stream
//	  uint64 duration     = 6;  // microseconds
//	  uint64 program_time = 7;  // microseconds since 1970-01-01T00:00:00Z, of the first frame; before the year 10000
//	  uint32 size         = 8;  // bytes
//	  uint32 chunk_size   = 9;  // bytes of every chunk but the last: 1024, 2048, 4096, 8192, 16384 or 32768
//	  bytes  chunks       = 10; // the first 16 bytes of the SHA-256 of each chunk, one after the other
//	  Media  media        = 11; // on the first part of each segment
//	  uint64 period       = 12; // of a sealed part, from 1 in each epoch; a plain part has none
//	}
//	message Media {
//	  string codecs     = 1;  // RFC 6381, as in HLS's CODECS
//	  uint32 width      = 2;  // pixels, 0 for audio only
//	  uint32 height     = 3;
//	  uint32 frame_rate = 4;  // thousandths of frames per second
//	  uint32 kind       = 5;  // 0 video with its default audio, or audio alone; 1 further audio; 2 subtitles; 3 key blocks; below 256
//	  string language   = 6;  // BCP 47, of the audio or the text: [A-Za-z0-9-]{0,35}
//	  string name       = 7;  // of the audio or the text, for people: at most 64 bytes, printable, without " and \; none of sealed parts
//	  bool   default    = 8;  // to be chosen where the viewer has chosen nothing
//	}
//
// All chunks of a part are chunk_size long but for the last, so size, chunk_size and
// the number of hashes must agree; there are at most 512. Who publishes chooses
// chunk_size, [ChunkSizeFor] says how this package does. A header that ends the stream
// has neither size, chunk_size nor chunks; its position is the one that the next
// segment would have had.
//
// Parts of kinds 0 and 1 are MPEG-TS, those of kind 2 WebVTT, a file of its own for each
// segment (RFC 8216, section 3.5). A rendition of a kind that is not known is of a later
// version: it is passed on, and not shown. Segments of the same number are of the same time
// in all renditions; one that has nothing there leaves the number out, and marks the next
// segment a discontinuity.
//
// A segment that the broadcaster could not complete has no last part, flag 2: the next
// segment begins with a discontinuity, and nobody lists the one before.
//
// A chunk's hash is what keeps peers from passing on other bytes, for which they would
// need a second preimage: 2^128 tries, however the hash was cut. A collision takes only
// 2^64, but serves nobody other than who writes the bytes, the broadcaster or whoever
// encodes for it: it could show viewers different bytes under one header. It has that
// for nothing by signing two headers.
//
// # Delegations
//
// A stream's key need not be where the stream is broadcast. It delegates to the keys of other
// machines, each of which acts for the stream until the delegation ends or is revoked:
//
//	message Delegation {
//	  bytes  delegate   = 1; // Ed25519 public key, not the stream's own
//	  uint32 role       = 2; // 1 broadcast, 2 moderator, 3 relay
//	  uint64 not_before = 3; // seconds since 1970-01-01T00:00:00Z
//	  uint64 not_after  = 4; // 366 days after that at most
//	  bytes  signature  = 5; // by the stream's key, of "grapevine delegation v1\n" + stream ID + 1 to 4
//	}
//
// It is read only as it is written here. Whatever a delegate signs carries it, in a field of its
// own (delegation in SignedHeader, SignedEntry, SignedSurvey and SignedModeration, 8 in Grant and Invite,
// 6 in SignedAnswer, by= in links), and the signature is of
//
//	"grapevine delegated v1\n" + a field 3 with the delegation + what the stream's key would sign
//
// So each header can be checked by itself, wherever it is met: in the middle of a segment, in a
// file, in a cached answer. That takes 116 bytes of each, of some 700 at 4 Mbit/s; headers that the
// stream's own key signs are as they were. A node checks a delegation once, see [Roles].
//
// Whoever opens what is signed asks for the role that signs such a thing, and takes no other's:
//
//   - 1, broadcast, signs headers, and so key blocks, directory entries, surveys, origins, the list of
//     trusted relays, invites and answers to moderators.
//   - 2, moderator, signs moderations, see below, and nothing else.
//   - 3, relay, signs nothing: the delegate is the key of a node, whose peer ID libp2p checks. Links carry the
//     delegation in place of that ID, see below, so a viewer has it before it knows anybody.
//
// Delegations and revocations are signed by the stream's own key alone. A revocation names a key, and
// so ends all of its roles; it may also be that of a trusted relay which has no delegation.
//
// A delegate's header is of a programme time within the delegation, and its epoch is in
// milliseconds since 1970, not after the delegation's end, and at most [MaxEpochAhead] after the
// clock of who takes it. What is live is refused [DelegationSkew] after the end by each node's own
// clock, the past never: who stole a key that expired can tell of before then, to who asks him
// for that, and not begin an epoch that is newer than those since. Where two delegates, or a
// delegate and the stream's own key, broadcast at the same time, the epoch that began last counts.
//
//	message SignedRevocations {
//	  bytes revocations = 4; // a serialised Revocations
//	  bytes signature   = 5; // by the stream's key, of "grapevine revocations v1\n" + stream ID + 4
//	}
//	message Revocations {
//	  uint64 issue = 1; // larger than that of every earlier one
//	  bytes  keys  = 2; // 1 to 64 delegates' keys of 32 bytes, one after the other, sorted
//	}
//
// Those of the largest issue count. They travel as headers do, told from them by their first field.
// Who knows them takes nothing any more that a revoked key signed, of whatever time, as the thief
// of a key may write any; what was taken before stays. A revoked key is never trusted again,
// so whoever is to broadcast anew makes another one. Keys whose delegations ended
// may be left out to make room.
//
// # Private streams
//
// A private stream's parts are sealed before they are cut into chunks, so relays carry, verify
// and keep them as any others, and need to know nothing:
//
//	broadcaster                        relays                        viewer
//	invite ---- a link, by mail or as a QR code ---------------------> |
//	    | <--- enrolment (signed by the invite, for the broadcaster) - |
//	    | ---- key block: a part of rendition -keys -----------------> |  its wrap
//	    | ---- parts, sealed with the period's secret ---------------> |  opened for its player
//
// A part is sealed with ChaCha20-Poly1305 (RFC 8439): what it holds, and 16 bytes more. All of the
// following is in big endian, and numbers have 64 bits where it does not say otherwise.
//
//	secret  32 random bytes for each period, never used in another or by another run
//	key     HKDF-SHA256 of the secret, info "grapevine sealed part v1\n" + stream + epoch + rendition
//	nonce   segment, and part as 32 bits: with that key, each comes once
//	data    "grapevine sealed part v1\n" + stream + period + epoch + segment + part + rendition
//
// Secrets are random and keys bound to the run's, so that a run which repeats an epoch, say after a
// home was restored, repeats no key. A period takes 15 s, and its key goes out 5 s before it.
//
// Key blocks are the parts of rendition "-keys": they are signed, cut, exchanged and kept as
// media are, and who rewinds fetches them likewise. Segment n is of period n+1. Its first part
// has a wrap of that period's secret for each viewer; further parts follow for those who enrol
// meanwhile, and have the secrets of up to two periods before it, too, as players begin some
// segments back. At most [MaxViewers] viewers make that 365 kB a period, 24 kB/s, and 0.6 s of
// processor time at the broadcaster.
//
//	message KeyBlock {
//	  uint64 period  = 1; // the newest whose secret it has
//	  uint32 secrets = 2; // 1 to 4: of it and of those just before it
//	  bytes  title   = 3; // 128 bytes, padded with zeros, and 16 of their seal
//	  bytes  wraps   = 4; // one after the other
//	}
//
//	wrap     8 bytes of tag, 32 of HPKE's encapsulated key, the ciphertext and 16 of its seal
//	  tag    the first 8 bytes of the SHA-256 of "grapevine wrap tag v1\n" + place + viewer
//	  place  stream + epoch + period + secrets
//	  HPKE   RFC 9180, base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305,
//	         info "grapevine key block v1\n" + place, to the viewer's key
//	  holds  a byte and the secrets, oldest first: 0, or why there are none, and zeros: 1 the
//	         invite was taken back, 2 expired, 3 used up; 4 too many viewers; 5 unknown invite
//	title    ChaCha20-Poly1305, nonce of zeros, no data, key HKDF-SHA256 of the newest secret, info
//	         "grapevine sealed title v1\n" + stream + epoch + period
//
// A viewer is an X25519 key, another for each stream, which only the broadcaster is told: so
// nobody else can tell which wraps are of one viewer. The header is what signs a wrap.
//
// An invite is a key pair (Ed25519), whose public half the stream's key signs, or a delegate, with
// what it allows.
// So whoever passes an enrolment on can tell that it was made with an invite to the stream, and not
// by whom. It can be sent again by anybody, who gains nothing: the answer is for the viewer.
//
//	message Grant {
//	  bytes  invite    = 1; // Ed25519 public key
//	  uint64 expires   = 2; // seconds since 1970
//	  uint32 uses      = 3; // viewers, 1 to 4096
//	  bytes  enrol     = 4; // X25519 public key of the broadcaster, which follows from its own key
//	  uint32 flags     = 7; // 1 the viewers keep to trusted relays
//	  bytes  signature = 5; // by the stream's key, of "grapevine invite v1\n" + stream + 1 to 4 and 7
//	  bytes  delegation = 8; // of the delegate who signed it instead
//	}
//	message Invite  { fields 2 to 5, 7 and 8 of a Grant; bytes secret = 6; } // Ed25519 seed; in links
//	message Enrolment {
//	  bytes grant     = 1;
//	  bytes sealed    = 2; // the viewer's key, to enrol by HPKE as above, info "grapevine enrolment v1\n" + stream + invite
//	  bytes signature = 3; // by the invite's key, of "grapevine enrolment v1\n" + stream + 1 + 2
//	}
//
// What is not hidden from who carries a private stream: that it is one; the sizes, times and
// hashes of parts; its renditions with their codecs, languages and names; how many viewers
// may open it, and when one enrols, by which invite's public key; which moderator took that back, and
// about how many invites there are; and who is connected to whom.
// Whoever could open a period can show others what it held, or give them its secret.
//
// # Moderations
//
// A moderator asks the broadcaster of a private stream who is invited, and to take an invite back,
// which it names by its public key. The broadcaster answers:
//
//	message SignedModeration {
//	  bytes moderation = 1; // a serialised Moderation
//	  bytes signature  = 2; // by a moderator, of "grapevine moderation v1\n" + stream ID + 1
//	  bytes delegation = 3; // of the moderator; none for the stream's own key, which may moderate, too
//	}
//	message Moderation {
//	  uint64 issued = 1; // milliseconds since 1970-01-01T00:00:00Z
//	  bytes  revoke = 2; // the invite's Ed25519 public key; none to be told who is invited
//	  uint32 from   = 3; // then, from which invite on, at most 4096
//	  bytes  answer = 4; // X25519 public key to which the answer is sealed, another each time
//	}
//
//	message SignedAnswer {
//	  bytes answer     = 4; // a serialised SealedAnswer
//	  bytes signature  = 5; // by who broadcasts, of "grapevine moderation answer v1\n" + stream ID + 4
//	  bytes delegation = 6; // of who broadcasts, if that is a delegate
//	}
//	message SealedAnswer {
//	  bytes of     = 1; // SHA-256 of the SignedModeration
//	  bytes sealed = 2; // HPKE as above, info "grapevine moderation answer v1\n" + stream ID + of
//	}
//	message ModerationAnswer { // sealed with its length in 16 bits before it, and zeros up to a multiple of 512 bytes
//	  uint32   refusal = 1; // 0, or 5: there is no such invite
//	  uint32   total   = 2; // invites that there are
//	  repeated Invited invited = 3; // at most 64, or the one that was taken back
//	}
//	message Invited {
//	  string name    = 1; // one line of at most 64 bytes
//	  bytes  invite  = 2; // its public key
//	  uint32 state   = 3; // 0 it holds, 1 it was taken back, 2 it has expired
//	  uint64 expires = 4; // seconds since 1970
//	  uint32 uses    = 5;
//	  uint32 viewers = 6; // that came by it
//	}
//
// A moderation is of use for [DelegationSkew] before and after it was issued, by the clock of who takes
// it, and of each moderator one must be later than the one before. To send one again changes nothing
// beyond that: an invite that was taken back stays so, whoever is invited under its name later, and the
// answer is for who asked first.
//
// # Surveys and reports
//
// A broadcaster asks the nodes that agreed to it how they fare, in rounds of which each asks a
// sample, and they answer without saying who or where they are:
//
//	broadcaster                        nodes                         a node that agreed
//	    | ---- survey, signed by the stream's key, to everybody ----> |  is it drawn?
//	    | <--- report, signed by a key of its own, sealed ----------- |
//
//	message SignedSurvey {
//	  bytes survey    = 1;  // a serialised Survey, with its fields in order
//	  bytes signature = 2;  // Ed25519 of "grapevine survey v1\n" + survey
//	  bytes delegation = 3; // as of headers
//	}
//	message Survey {
//	  bytes  stream   = 1;  // ID, 32 bytes
//	  uint64 epoch    = 2;
//	  uint64 round    = 3;  // from 1 in each epoch
//	  uint64 sampling = 4;  // of 2^32 nodes so many report, 1 to 2^32
//	  uint32 interval = 5;  // milliseconds until the next round, 1000 to 60000
//	  bytes  salt     = 6;  // 16 random bytes
//	  bytes  key      = 7;  // X25519, made anew by each run of the broadcaster
//	}
//	message SealedReport {
//	  uint64 epoch  = 1;  // of the survey that it answers
//	  uint64 round  = 2;
//	  bytes  sealed = 3;  // by HPKE as above to the survey's key, info "grapevine report v1\n" + place
//	}
//	place   stream + epoch + round + salt, in big endian
//	sealed  448 bytes: the length of a SignedReport in two, that, and zeros
//	message SignedReport {
//	  Report report    = 1;
//	  bytes  key       = 2;  // Ed25519, made anew for each epoch
//	  bytes  signature = 3;  // of "grapevine report v1\n" + place + report
//	}
//	message Report {
//	  bool   relay            = 1;  // set up to be one, rather than to watch
//	  string version          = 2;  // of the program: at most 64 bytes, printable
//	  bytes  players          = 3;  // now, as varints: others, VLC, browsers, mpv, ffmpeg, GStreamer; each at most 10,000
//	  repeated Player playing = 4;  // some of them, at most 8
//	  uint32 window           = 5;  // seconds of which the following bytes of live payload are, at most 600
//	  uint64 from_peers       = 6;  // at most 2^48, as the next
//	  uint64 from_broadcaster = 7;
//	  uint64 from_origins     = 8;
//	  uint64 given            = 9;
//	  uint32 feeders          = 10; // neighbours that send stripes; at most 16384, as the next
//	  uint32 children         = 11; // neighbours that get stripes, each stripe of each counted
//	  uint32 slots            = 12; // children that the uplink feeds
//	}
//	message Player {
//	  uint32 kind    = 1; // as the place in players
//	  uint32 delay   = 2; // milliseconds behind the broadcaster, at most a day
//	  uint32 watched = 3; // milliseconds of the last minute, as the next
//	  uint32 stalled = 4;
//	  uint32 stalls  = 5;
//	}
//
// A node is drawn if the first four bytes of SHA-256 of "grapevine report draw v1\n" + place + its
// key are less than sampling. So the broadcaster refuses whoever was not, and a liar has to make
// 2^32 / sampling keys for each report; he can tell of what is not there, and of that no more than
// by honest nodes: see package p2p. All messages have one way to be written.
//
// # Wire format of a directory entry
//
// Public streams are listed in a directory, by entries that their keys sign:
//
//	message SignedEntry {
//	  bytes entry      = 1;  // a serialised Entry, with its fields in order
//	  bytes signature  = 2;  // Ed25519 of "grapevine directory entry v1\n" + entry
//	  bytes delegation = 3;  // as of headers
//	}
//	message Entry {
//	  bytes  stream      = 1;  // ID, 32 bytes
//	  string title       = 2;  // 1 to 128 bytes, printable, one line
//	  string description = 3;  // at most 1000 bytes, likewise
//	  uint64 issued      = 4;  // milliseconds since 1970-01-01T00:00:00Z
//	  uint32 life        = 5;  // seconds until it expires, at most 900; 0 withdraws the stream
//	  repeated string peer = 6; // multiaddrs with /p2p/, at most 4 of 256 bytes
//	  uint64 supply        = 7; // upload near the broadcaster, in per cent of what is needed
//	}
//
// Of two entries of a stream the one that was issued later counts, so that none can be
// replayed; one of no life is kept for as long as an older one could live.
//
// # Links
//
// A link names peers, which anybody may, as each node's own link names that node; and at
// most [MaxOrigins] HTTP origins, which only the broadcaster may:
//
//	grapevine://<stream-id>?peer=<multiaddr>&origin=https://<host>&signed=<signature>
//
// The signature is Ed25519 of "grapevine origins v1\n" + stream ID + each origin, in order,
// with a line feed behind it; it is written in base64url without padding. A link whose
// origins are not signed is refused: else whoever passed it on could have all viewers ask a
// server of his. An origin is a scheme, a host and perhaps a port, and never a path.
//
// It may name at most [MaxRelays] trusted relays, the only peers that viewers connect to, signed
// likewise ("grapevine trusted relays v1\n"), and hold an invite, which makes it a secret:
//
//	grapevine://<stream-id>?peer=<multiaddr>&relay=<relay>&trusted=<signature>&invite=<invite>
//
// A relay is a peer ID of at most 128 bytes, or the delegation of one in base64url, which is longer. The
// first is trusted for as long as the link can be used, as whoever broadcasts says; the second as the
// stream's own key says, until its delegation ends. The signature is of the list as it is written, so
// nobody can leave a delegation out of a link, put another in, or name a relay that is trusted
// elsewhere. Both can be revoked. What renews a delegation is in a new link.
//
// Where a delegate signs these, by=<delegation> follows, in base64url, and the link can be used
// until that ends.
//
// # Guarantees
//
// A [SignedHeader] or [Chunk] in hand is verified: each comes only from a function
// that checked it, with the delegation, or from a [Publisher] that made it. A [Timeline] that
// heeds [Roles] takes none of a key that is known to be revoked. Who never hears of a revocation
// refuses the key when its delegation ends, and not before. Two different headers for one
// position are an equivocation, and the first one stands.
package stream
