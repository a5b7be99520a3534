// Package p2p carries streams between nodes: a libp2p host with gossipsub, our
// exchange of chunks on top of it, and a fetch protocol for what gossip is not made
// for. It verifies everything before it keeps it or passes it on.
//
// # Vocabulary
//
//	swarm      the nodes that hold a stream; [Swarm] is this node's part in it
//	neighbour  a peer in this node's gossipsub mesh for a topic
//	holder     a connected peer that is subscribed to the stream
//	want       "send me this chunk", said to one neighbour at a time; a standing want is
//	           "send me every chunk of this stripe"
//	stripe     one sixteenth of a rendition's chunks
//	have       "I hold this chunk", which also acknowledges what was sent
//	exchange   what neighbours tell each other of one part
//	repair     fetching what gossip did not bring
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
//	(fetch protocol)
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
// A message on the first is a stream.SignedHeader, of which gossipsub's ID is the
// first half of its SHA-256. Nobody else signs it. A validator rejects what is forged,
// malformed or replayed, and ignores (honest peers may send them) headers that are
// known, of the epoch just ended, from the future or, to who knows no
// others yet, a day from the clock, or the second of two for one part.
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
//	  bytes standing = 3;  // stripes that it wants unasked from now on: 16 bits, least first
//	  bytes grants   = 4;  // of those that the receiver wants, the ones that it will get
//	  bytes depths   = 5;  // the sender's hops from the broadcaster by stripe: 16 times 4 bits
//	}
//
// The last three are there only when they changed, in the message about the newest part.
//
// A partial message is one chunk: its index as a varint, then its bytes. A node sends
// a chunk once for each time that its bit in want is set; who takes a want back and
// sets it again asks anew. A bit in have acknowledges the chunk, and at most
// sendWindow bytes may be unacknowledged. pubsub neither validates nor repeats partial
// messages, so all of that happens here.
//
// A chunk that was not wanted from its sender, or is not what the header says, is
// refused, counted, and lowers the sender's gossipsub score until nothing of it is
// read any more.
//
// # Standing wants
//
// Chunks are dealt out to 16 stripes. For each, a node has a parent, a neighbour that
// promised to send it every chunk at once, which takes one trip where have, want and
// chunk take three; and children, to whom it promised the same. Nodes tell neighbours
// how many hops from the broadcaster they are on each stripe (15: not fed). A node asks
// the neighbour with the fewest hops, and moves when another is nearer by two or more;
// who is asked promises to at most four children a stripe, and to nobody while it is not
// fed itself. So each stripe grows a shallow tree of its own, without loops, over
// whatever mesh there is.
//
//	child                                   parent
//	  | <-- depths ------------------------- |
//	  | --- standing: stripes 3, 7 --------> |
//	  | <-- grants: stripe 7 --------------- |   (3 is full: the child asks another)
//	  | <-- chunk of stripe 7 -------------- |   (at once, whenever there is one)
//	  | --- have --------------------------> |   (which acknowledges it)
//
// A chunk that a neighbour has, and the parent did not send within 300 ms, is wanted
// from the neighbour; two in a row, and the parent is given up. Chunks that outrun
// their header wait for it.
//
// The broadcaster feeds each stripe to one child and shows its chunks to two others
// 400 ms later and to one more every 400 ms from 1.2 s on, so that its upload stays near
// the stream's rate however many watch. Stripes without a child it shows to two
// neighbours at once and to one more every 400 ms.
//
// # Sending
//
// A part's chunks go out oldest part first, and each once before any goes out twice.
// A token bucket holds them to the uplink, if it is known ([Config].MaxUpload). The fetch
// protocol does not ask the bucket yet.
//
// # Fetch
//
// The protocol /grapevine/fetch/1 carries one request a stream; see fetchwire.go for
// its messages. A joiner asks up to three peers at once for the last segments'
// headers, and then up to eight at a time for their chunks. The answer to a timeline
// request also holds signed records of other peers of the stream, so that a viewer
// whose link names one relay outlives it.
//
// # Guarantees
//
//   - Nothing is kept, shown or passed on that the stream's key did not sign, directly
//     or through a header's hashes.
//   - Each chunk is wanted from one peer at a time. Twice it comes only after a want
//     timed out, or while a parent is exchanged for another.
//   - No peer is waited on beyond a deadline: 0.6 to 3 s for a want, 2 s of silence for
//     a fetch.
//   - Everything that peers can make grow has a bound, and what it drops is counted in
//     [SwarmStats].
//   - [Node.Close] waits for all goroutines that the node started.
package p2p
