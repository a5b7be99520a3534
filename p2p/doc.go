// Package p2p carries streams between nodes: a libp2p host with gossipsub, our
// exchange of chunks on top of it, and a fetch protocol for what gossip is not made
// for. It verifies everything before it keeps it or passes it on.
//
// # Vocabulary
//
//	swarm      the nodes that hold a stream; [Swarm] is this node's part in it
//	neighbour  a peer that this node tells of its chunks: gossipsub's mesh and some holders
//	holder     a connected peer that is subscribed to the stream
//	want       "send me this chunk", said to one neighbour at a time; a standing want is
//	           "send me every chunk of this stripe"
//	stripe     one sixteenth of a rendition's chunks
//	have       "I hold this chunk", which also acknowledges what was sent
//	parent     the neighbour that promised to send this node a stripe; children the reverse
//	slot       a child's share of the uplink: a stripe of a child
//	exchange   how neighbours move chunks; package schedule decides, this one carries out
//	repair     fetching what gossip did not bring
//	origin     an HTTP server of the stream, asked for what no peer brought in time
//	offload    the share of the payload that came from peers and not from origins
//	survey     the broadcaster's signed question, how nodes fare; a report is an answer
//
// # The way through
//
//	                 Broadcast.Publish
//	                        |
//	                        v
//	peers   --header--> validateHeader --> timeline --> loop --> exchange, repair
//	(gossipsub)            |                                       |      |
//	                       +--> passed on                          |      |
//	peers   --metadata---------------------> inbox --> exchange <--+      |
//	(partial messages)                                   | wants          |
//	peers   --chunk------------------------> inbox --> OpenChunk --> store|
//	                                                     ^                |
//	peers   --headers, chunks--------------> fetch ------+ <--------------+
//	(fetch protocol)                                     |
//	origins --headers, chunks--------------> originstep -+
//	(HTTP)
//
// A swarm's loop is one goroutine that owns the exchange and the repair. Whatever
// happens elsewhere reaches it as a function in its inbox. What peers say when that is
// full is lost and counted: they are asked again, or a hole shows. What this node
// itself notes, headers above all, is never lost to peers' messages.
//
// # Topics
//
//	gv1/<stream>              headers, as ordinary messages
//	gv1/<stream>/<rendition>  chunks, as partial messages
//
// <stream> is the first 16 characters of the stream's ID, as topics are part of every
// message. That is 80 bits: who wants topics that are those of a given stream has to
// make 2^80 keys, and then disturbs the stream as anybody can who sends forgeries to
// its topics; whatever is taken from them must still be signed by the whole ID's key. A
// node refuses to join the second of two streams with the same topics.
//
// gossipsub makes those peers its neighbours at once that it knows when it subscribes, and
// others at the next heartbeat, a second later. So a joiner subscribes when it has met a
// first peer that holds the stream, or after 0.7 s.
//
// Everybody gets the headers of all renditions. The second topic is joined for those that
// are carried, see [Swarm.Carry]; one carried anew begins at the live edge, as
// a joiner does.
//
// A message on the first is a stream.SignedHeader, of which gossipsub's ID is the
// first half of its SHA-256. Nobody else signs it. A validator rejects what is forged,
// malformed or replayed, and ignores (honest peers may send them) headers that are
// known, of the epoch just ended, from the future or, to who knows no
// others yet, a day from the clock. The second of two for one part is passed on once, as
// evidence; the first chunk that is as one of them says decides which counts. See equivocation.go. The next epoch may be of any time, as the broadcaster's clock may have been set.
// Whole messages on the second are rejected.
//
// # Partial messages
//
// A group is a part: its ID is epoch, segment and part number as varints. The parts
// metadata is a PartsMetadata with two bitmaps, one bit a chunk. Each want replaces the
// one before it, and each have adds to it:
//
//	message PartsMetadata {
//	  bytes have     = 1;  // what the sender holds and shows
//	  bytes want     = 2;  // what it wants from the receiver
//	  bytes standing = 3;  // stripes that it wants unasked of all later parts: 16 bits, least first
//	  bytes grants   = 4;  // of those that the receiver wants, the ones that it gets of all later parts
//	  bytes state    = 5;  // of the sender itself: see marshalState
//	}
//
// The last three are there only when they changed. The state holds for each stripe the
// sender's hops from the broadcaster and how long chunks take to reach it, and how many
// children its uplink feeds and could feed.
//
// A partial message is one or more chunks: of each the index, the milliseconds since its
// publication as far as nodes on the way measured them, and the length, as varints, then
// its bytes. A node sends a chunk once for each time that its bit in want is set; who
// takes a want back and sets it again asks anew. A bit in have acknowledges the chunk;
// what may be unacknowledged is bounded, and the bound follows how soon that happens.
// pubsub neither validates nor repeats partial messages, so all of that happens here.
//
// A chunk that was not wanted from its sender, or is not what the header says, is
// refused, counted, and lowers the sender's gossipsub score; four times, and it is cut off, as
// is who claims to have chunks, or promises them, and sends nothing for some seconds: for a
// minute first, then for twice as long each time. See threats.go for all of that. The latter is
// asked before whether it hears: if it does not answer either, the connection is closed, and it may
// come again after a second, then after twice as long each time, until it took a minute for that.
//
// Who takes nothing of what it asks for is asked so, too: of answers to its requests after 2 s, and of
// chunks after 8 s. Who hears, over a path that carries something, is let go likewise; who then leaves
// answers unread once more is cut off. See unread.go.
//
// # Who sends what to whom
//
// Chunks are dealt out to 16 stripes. For each, a node has a parent, a neighbour that
// promised to send it every chunk at once, which takes one trip where have, want and
// chunk take three; and children, to whom it promised the same. So each stripe grows a
// tree of its own over whatever mesh there is. Package schedule decides all of that, in
// this node and in a simulator of ten thousand, and describes it. In short:
//
//   - A node asks the neighbour from which a stripe's chunks would be here first, going
//     by what that one measured of its own delay, and moves when another gains much.
//
//   - It promises what its uplink carries, fewest hops first; each further child
//     of a stripe, another stripe's chunk before each as a part comes in one burst, waits no
//     longer than a further hop would take. The broadcaster feeds
//     each stripe to one child, in proportion to what the children can pass on, and to
//     more only where uplinks are scarce.
//
//   - A node that lost its parent says at once that it is adrift, and so do those that it
//     feeds; nobody takes one that is adrift as a parent, so that no ring is closed.
//
//   - A new parent begins with the part after which the old one was told to stop.
//
//   - What the parent does not send when it usually does is wanted explicitly, from one
//     holder at a time; the broadcaster shows its chunks to others late and one by one,
//     so that its upload stays near the stream's rate however many watch.
//
//     child                                   parent
//     | <-- state -------------------------- |
//     | --- standing: stripes 3, 7 --------> |
//     | <-- grants: stripe 7 --------------- |   (3 is full: the child asks another)
//     | <-- chunk of stripe 7 -------------- |   (at once, whenever there is one)
//     | --- have --------------------------> |   (which acknowledges it)
//
// # Sending
//
// What was promised goes before what somebody missed; of the first the oldest part, and in
// it what will be passed on, of the second the rarest. What found no room on its way to a neighbour, as
// after a pause, goes after what is played now once it is two segments old. Nothing is handed to gossipsub before its turn, so it can be
// cancelled until then, and headers and control never wait behind chunks. The token
// bucket is the node's, for all streams and fetches: [Config].MaxUpload, which package meter holds
// at the sockets for all that is sent, less what headers,
// control and packets take, or, if that is not set, what connections show that the uplink
// carries. Live chunks go before fetched ones, which get a tenth at least. That bound
// follows the delay, loss and full windows that most busy QUIC connections show; an
// uplink used over TCP alone is not measured.
//
// # Leaving for a while
//
// [Node.Pause] tells neighbours, closes all connections and shuts the sockets, so that nothing is
// sent and nothing that comes is read; [Node.Resume] dials all peers that were known. What was
// missed meanwhile is a long gap, as after a sleep. Who decides on that is not here: see package
// policy. [Node.Bound] bounds what may pass at all.
//
// [Node.SetLimits] and [Node.SetAllowed] change what a node may use and carry while it runs, and
// [Node.Leave] leaves one stream for good. Where peers are bound, the node itself lets those of least
// worth go, as libp2p's connection manager has marks that never change.
//
// # Finding peers
//
// All that tells of peers feeds one dialer, which keeps a swarm connected to ten that hold
// the stream: the link, the [Memory] of those that served it in earlier runs, mDNS, records
// that peers exchange (see below), and, if [Config.DHT] is set, a DHT, for which see package
// discovery. [SwarmStats] counts peers by what told of them first. Those that did not answer
// come after others, and those of the link and of the memory before others. They are dialled again
// after half a minute at most; within a second while nobody is connected, or nobody who is has
// anything new: they may have been cut off together with this node. Attempts are short then. A viewer
// or relay of a public stream that has fewer than ten asks one of them for others after 5 s, and, while
// it hears of nobody new, ever more rarely, once a minute at last: a broadcaster that came later may be
// known to the others only.
//
// The DHT is searched at once by who knows nobody, after 1.5 s by who knows peers that do not
// answer, again and again while nobody does (after 2 s at first, a minute at last), and every ten
// minutes by who has some and fewer than ten. At most 32 providers of one search are
// dialled, four at a time; each is then passed over for ten minutes, so that the next search
// comes to others. A broadcaster does not search. Who has anything of the stream announces
// itself, for each hour and at new addresses.
//
// # The directory
//
// Streams whose broadcasters want that are listed by signed entries, see package stream. With
// [Config.Directory] a node keeps them, 256 at most, and passes them on:
//
//	gv1/directory           the topic: entries, as ordinary messages
//	/grapevine/directory/1  the protocol: who connects is sent all that there is, 128 KiB at
//	                        most, each entry with its length before it, as a varint
//
// A broadcaster renews its entry every four minutes while its stream goes on, for twelve, and
// withdraws it at its end. A node asks four peers within five minutes. Who announces a stream
// is found in the DHT under a key of its own, and searched for by who announces one himself or
// is asked for the directory, every five minutes at most; four are dialled.
//
// Anybody can make keys, and list streams. So a neighbour may bring 32 new ones a minute, and
// none beyond 256, however many sign: that bounds what a flood costs, not what it pushes out.
//
// # Fetch
//
// The protocol /grapevine/fetch/1 carries one request a stream; see fetchwire.go for
// its messages. A joiner asks up to three peers at once for the last segments'
// headers, and then up to eight at a time for their chunks. The answer to a timeline
// request also holds signed records of other peers of the stream, so that a viewer
// whose link names one relay outlives it. Who speaks of the stream's parts now is asked
// before others, which may be dead. Who hears nothing new asks for headers more and more rarely, every
// ten seconds at last, and soon again when something comes, or a peer. A peer gets a part at most four times over
// within a minute, and answers are refused rather than silent. While live parts are late, one request
// at a time is for what was missed before the last two segments: paths that lose packets carry little.
//
// # Origins
//
// Where a link or [Swarm.UseOrigins] names HTTP origins, what the swarm does not bring by
// its deadline is fetched from there; package stream/origin has the resource. Deadlines count
// from when a part's header came:
//
//	0      nobody else carries the rendition and spoke of it within 3 s, and no peer told a
//	       header lately
//	1 s    nobody says that he has the chunk: the swarm is not fed. Those who lack it have
//	       turns, 0.3 s apart, in an order that is drawn anew for each quarter of a part and
//	       which all know; so one of them fetches it, and the others get it from that one
//	2 s    somebody has it, but neither the exchange nor the fetch protocol brought it
//
// What is of before this node came has 2 s and the turns. A chunk is wanted from an origin or from
// a peer, not from both; if an origin is slow and a neighbour has the chunk, that one is asked
// after another second. Headers are asked for when peers told none for a second longer than
// usual, which is measured, and until they do; whoever comes and knows of no peer asks at
// once, others after 0.7 s. So nobody asks an origin for anything live while the swarm works, and a
// viewer without peers plays from it alone.
//
// An origin is believed nothing: headers and chunks are opened as those of peers are. It is
// not asked for 0.25 s if it fails, and then for twice as long each time, up to 30 s; for a minute
// if it lies. It has no place in the exchange: it is told nothing, and nobody waits for it.
// [SwarmStats] count what came from it apart.
//
// # The past
//
// What is older than that is fetched only when somebody rewinds, by [Swarm.LearnPast] and
// [Swarm.FetchPast], beside the loop and the exchange, which never hear of it:
//
//	who rewinds                                      up to eight peers that hold the stream
//	    | --- Past: rendition --------------------------> |
//	    | <-- Span: segments 3 to 900 of epoch 7 -------- |  (held whole, and for a while)
//	    | --- Past: before 7/880/0, 1024 headers -------> |  one at a time, newest first
//	    | <-- Span, headers ----------------------------- |
//	    | --- Part: chunks of segment 3 ----------------> |  four segments at a time
//	    | <-- Chunk ------------------------------------- |
//
// A peer says that it holds a segment if all chunks are in its store and stay there
// though a sixteenth of the store comes anew. Headers are sent in order, 1024 or 1 MiB an
// answer, and like chunks of the past take their turns on the uplink behind live ones.
// A peer gets the headers of a timeline at most four times over within a minute. Who
// answers with anything else is penalised; who has nothing of what it claims, or fails to
// send any of it for half a minute, is not believed for a minute, and then for twice as
// long each time.
//
// HTTP origins are asked what they hold, too, each time that peers are, and for the headers and
// the segments that no peer claims. What a peer claims has 2 s to come from there; then an
// origin that holds it is asked. The rules for origins hold here as well: an origin that lies about
// the past is not asked for what is live, and the reverse. One that has none of what it said that
// it holds is not asked for the past for a minute. [SwarmStats].OriginPastBytes counts it apart.
//
// A peer that sends some of a segment, and then, asked once more what it holds, no longer has that
// segment among it, found it damaged on its disk: it is asked for others.
//
// What the store's disk has of an earlier run begins a stream's timelines: the last 256
// headers, and the last segments' chunks, which are read into memory. The exchange does not
// hear of them. Older headers and chunks are read from the disk when peers, or this node's own
// players, ask for them.
//
// A timeline keeps its newest 4096 headers, those of parts that the store holds in memory
// or, once a player rewinds here, on disk, and those
// of [Config.History]; 65,536 and 64 MiB at most. Four hours of half second parts at 4
// Mbit/s take 40 MB. The store lets what was fetched of the past have an eighth of it at
// least, and what live parts leave free.
//
// # Delegates and revocations
//
// Headers may be signed by keys to which the stream's key delegates, see package stream. Each
// carries its delegation, so a node checks whatever it meets, from gossip, peers, origins or a
// disk, by itself; one that is forged, or of another time than its header, costs its sender as any
// forged header does. Where two machines broadcast at a time, the epoch that began last counts: the
// other one's [Broadcast.Publish] fails with [ErrSuperseded] as soon as its node hears of that.
//
// Revocations go round on the topic of headers, as ordinary messages that are no header. Who learns
// of some that are newer than its own passes them on once. Joiners, and whoever asks for
// a timeline, tell theirs and are told the other's; who still passes on what is revoked is told,
// once a minute. Origins put them before the headers of a timeline. [Config].Revocations keeps them
// for the next run. From then on a node takes nothing of a revoked key, which costs nobody score, as who
// sends it need not have heard, and connects to no trusted relay of that key. What was taken before
// stays.
//
//	who revokes                     neighbour                      others
//	    | --- revocations ------------> | --- revocations ------------> |   gossip, at once
//	    |                               | <-- timeline request ---------|-- joiner, with its own
//	    |                               | --- revocations, headers ---->|-->
//
// Who is connected to nobody but the thief of a key never hears; it refuses what is live when
// the delegation ends, by its own clock.
//
// # Private streams
//
// [Node.Seal] broadcasts a stream that only invited viewers open, see package stream. Each 15 s it
// asks its [Guests] who may have the next period's key, which goes out 5 s before it is used: who
// is left out opens nothing that is published more than 20 s later. Key blocks are a rendition,
// -keys, and so nothing else is new between nodes but enrolments:
//
//	gv1/<stream>/-enrol   the topic: enrolments, as ordinary messages
//
// A node joins it when it sees a key block. It passes on what was made with an invite that the
// stream's key signed, or a delegate, and that has not expired; 128 a second of a neighbour (1024 at once), and
// of an invite 16 and twice as many as it is for, and as many again a minute. Others are dropped
// and counted; who sends forged ones is shut out as for forged headers. The broadcaster takes
// them out, and answers within 0.1 s with a key block, to a viewer four times a period at most.
//
//	viewer                         relay                     broadcaster
//	  | --- enrolment -------------> | --- enrolment ----------> |
//	  | <-- header of a key block -- | <-- header, chunk ------- |
//	  | --- want, chunk -----------> |
//
// A viewer ([Swarm.View]) enrols as soon as a neighbour can be sent to, while it fetches what it
// begins with; that answer is there about as soon. If a key is missing later, or no answer comes,
// it enrols again, after 1 s at first and 15 s at last. Only [stream.OpenedStore] has plain parts.
//
// Where a link names trusted relays, a node that is none of them connects to nobody else, in or
// out; joins no other stream; and shares a link with the relays' addresses and not its own. These
// relays tell nobody of peers. What is plain to them is who asks, and when; they see no media.
//
// A link names such a relay by its peer ID, or by a delegation of role relay in which the stream's key
// names it, see package stream. So all that a viewer needs to check whom it connects to is in its link,
// and libp2p's handshake shows that who answers has the key. The first is the word of whoever broadcasts,
// and holds for as long as the link does; it suits who has no key offline. The second ends by the clock
// of each node, and no broadcaster's machine that was taken over can make one. A node dials no relay that
// is revoked or whose delegation does not hold, and leaves it while live: when it hears of the revocation,
// or within [stream.DelegationSkew] and 10 s of the end. With none left it waits, and its owner needs
// a new link.
//
// # Moderators
//
// Who may moderate a private stream, by a delegation of role moderator or with the stream's own key, asks
// its broadcaster who is invited, and takes invites back: [Swarm.Moderate]. That is asked on a topic and
// not of the broadcaster itself, which behind a router or trusted relays nobody else can dial:
//
//	gv1/<stream>/-moderate  the topic: moderations and their answers, as ordinary messages
//
// Nodes join it with that of enrolments.
//
//	moderator                      relay                     broadcaster
//	  | --- moderation ------------> | --- moderation ---------> |  revoke: left out of the next key block
//	  | <-- answer ----------------- | <-- answer -------------- |  signed, sealed to the moderator
//
// Each node, and the broadcaster once more, checks the signature, that the delegation is a moderator's,
// holds and was not revoked, that the moderation is of this time, give or take [stream.DelegationSkew], and
// later than the last of that moderator. It passes on 256 of a neighbour at once and 16 a second, of
// a moderator 128 and one a second, and of answers one to each moderation that it passed on within a
// minute. Others are dropped and counted; who sends forged ones is shut out as for forged headers; who
// passes on what a revoked moderator signed is told the revocations. An invite is named by its public key,
// so a moderation that is sent again does nothing. Who asks does so again after 1 s at first and 4 s at
// last. The broadcaster logs who took what back.
//
// # Surveys
//
// A broadcaster cannot see who watches by way of others. [Node.Survey] asks: each survey is signed by
// the stream's key, and draws a sample of the nodes whose owners agreed ([Config].Report), who
// answer with a report that only the broadcaster can open. See package stream for both.
//
//	gv1/<stream>/-survey  the topic: surveys, as ordinary messages; every node passes them on
//	/grapevine/report/1   the protocol: reports, one hop at a time; see reportwire.go
//
//	broadcaster              node                  node                  node that agreed
//	    | --- survey ---------> | --- survey --------> | --- survey --------> |
//	    | <-- reports --------- | <-- reports -------- | <-- report --------- |  (at any moment of
//	                                                                              60% of the interval)
//
// Each node has a survey from some neighbour first, which had it before: these ways are a tree that
// leads to the broadcaster, and reports go back along the newest. So no node connects to the
// broadcaster for it, nobody but the first hop sees who reports, and of a way that is lost the
// next survey knows nothing. A report waits 0.1 s at each hop for others that go with it.
//
// The share that is asked follows from what the last survey brought, so that no more than ten reports
// a second are to be expected of a swarm of any size: small swarms are asked whole every 3 s, others
// every 10 s. A report stands for 1/share nodes; [Audience] has the estimates, and how uncertain they
// are.
//
// What a node takes of reports is bounded: of a neighbour 16 a second (64 at once), of all together
// twice as many, 256 in its queue; only of the last two rounds, and no bytes twice. What is beyond is
// dropped and counted, and what is malformed costs score. Reports cannot be read, changed or
// made in another's name on their way; whoever is on it can drop them, as those who passed the
// survey on first are chosen for being fast. Each survey finds another way.
//
// What is reported is what nodes say. A liar skews its own report, once in each round; as many liars as
// the buckets let in skew all, and keys cost nothing but to be drawn: see [Audience].Largest for how
// much is one report's word. Who did not agree is in no figure. The broadcaster is told no address, and
// by a node's key that two reports of one epoch are of one node; the version, and how many play, may
// tell more of a node in a small swarm.
//
// # Ways to a peer
//
// A node behind a router that lets nobody in has itself reached through relays: connected
// peers that offer libp2p's circuit relay (version 2), at addresses that it could reach
// itself, three at most. These are among its addresses until AutoNAT v2 confirms another.
// Who comes through one is met halfway: both ends dial each other at once (DCUtR), which makes
// holes in most routers, within 20 s; then the relay is left.
//
//	broadcaster      router      relay      router      viewer
//	    | --- Reserve ------------> |                      |
//	    |                           | <----- Connect ----- |
//	    | <========== identify, DCUtR, timeline =========> |
//	    | ------------> : <---------------> : <----------- |  both at once
//	    | <======== gossip, partial messages, fetch =====> |
//
// A relay that carries no media limits each connection to 256 KiB and 40 s (see
// relayService), which libp2p marks as limited at both ends. On these nothing is gossiped,
// and the fetch protocol answers only for the last segments' headers and peers' records.
// One that carries media sets no limit, which is its word for that, and reads what it
// carries no faster than its rate. A node relays for others if it was told to, and
// others reached it.
//
// With [Config.Browsers] a node listens for WebTransport and WebRTC on the ports of QUIC, see
// browsers.go. Nodes dial neither, and links do not name them.
//
// When this machine's addresses change, the node connects anew to all peers of the last
// minute, at the addresses at which it heard of them last. Who is reached that way by a
// peer whose older connection is silent, or by one that was killed and started again elsewhere,
// drops both and connects again, as gossipsub would forget what was said over the newer one.
//
// The protocol /grapevine/check/1 tells a node where it is seen and how far its clock is off;
// a relay also measures an uplink with 2 MiB, once a minute for each peer; see checkwire.go.
// Whether others reach the node at an address they try when they are asked, by AutoNAT v2; see
// [Node.DialBack].
//
// # Guarantees
//
//   - Nothing is kept, shown or passed on that the stream's key did not sign, directly,
//     through a delegation that holds, or through a header's hashes.
//   - Each chunk is wanted from one peer at a time. Twice it comes only after a want
//     timed out, or while a parent is exchanged for another.
//   - No peer is waited on beyond a deadline: 0.3 to 4 s for a want, 2 s of silence for
//     a fetch or an origin, less if it seems to be dead and a neighbour has what is fetched.
//   - Who dies without a word loses its place within about 6 s: nothing of what is sent to
//     it by QUIC is acknowledged, though others answer. Over TCP the system decides.
//   - Connections by which nothing is answered, or nothing comes while the node is starved, are
//     probed each second, so that a network that is back, and an end that has given the
//     connection up or was started again, are noticed at once. A starved node to which nothing
//     comes by any for 3 s gives all up and dials anew: over an old one, the other end sends
//     after up to as long again as it was not heard.
//   - Everything that peers can make grow has a bound, and what it drops is counted in
//     [SwarmStats].
//   - [Node.Close] waits for all goroutines that the node started.
package p2p
