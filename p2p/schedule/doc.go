// Package schedule decides who is asked for what, and when, and what is sent to whom. It
// has no clock and does no input or output: an [Exchange] is told what happened and when,
// and [Exchange.Step] returns what to say and send. So tables test it, and the event
// simulator in schedule/simulate runs the very code of the node ten thousand at a time.
//
// # Stripes
//
// A part's chunks are dealt out to 16 stripes. For each, a node has one parent, a
// neighbour that sends it every chunk of the stripe unasked as soon as it has it, from a
// named part on: the neighbour's promise. A node promises what its uplink carries,
// so its children can rely on it; the tree of each stripe is another one, so that every
// node's uplink is of use somewhere. The life of a stripe at a node:
//
//	         asks who has room,                promised from part p on
//	         is nearest and free
//	unfed ------------------------> asked ------------------------------> fed
//	  ^ ^                             |                                  | | ^
//	  | '------- refused, silent -----'            a better one is asked | | | it promises;
//	  |                                            when a part begins    | '-' the old one stops
//	  |                                                                  |     after part p
//	  |   no other parent in time                parent takes it back    |
//	  '------------------------------- leaving <-------------------------'
//	                                   (sent on for a moment)
//
// A parent that is silent about a part, or late with several chunks in a row, is left at
// once. A node without a parent says at once that it is adrift, and so do all that it
// feeds, down to the leaves; they keep their parents meanwhile. It first seeks a parent as
// near the broadcaster as it was itself, which cannot be one that it feeds, and then, when
// word has got round, anybody who is not adrift: so no ring is closed, and no distance is
// counted up in one (RFC 2453, section 3.4.2, tells of those who do). A node whose parent
// is adrift takes a nearer parent than it had at once, and any other if that lasts.
// Still, should there be a ring, it is found: a chunk carries its age only if it came
// unasked all the way, and who gets none of these from a parent leaves it.
//
// # Scarcity
//
// As long as its neighbours have room, a node promises a little less than its uplink
// carries, so that chunks do not wait. If they have hardly any, it promises a little more,
// as promises are made in sixteenths of the stream; what falls behind shows, and a promise
// is taken back for a while. If its neighbours have hardly any room, the broadcaster gives away all that it has.
//
// # Wants
//
// What no parent sends, or not in time, is wanted explicitly, each chunk of one peer at a
// time: of who is expected to send it first and is not busy. In time means after what the
// stripe's chunks took lately, and what they varied. What is being fetched from a peer
// that fell silent is wanted of a neighbour that has it, and what the broadcaster takes its
// time over of one that got it meanwhile. News of a chunk that came in an unusual way go out
// at once, others in bunches. Where the owner bounds what is received, what is asked for at a time,
// fetches included, is what comes within that bound in a quarter of a second; see [Exchange.Download].
//
// # Sending
//
// What waits for the uplink is ordered: what was promised, then what was asked for; of the
// first the oldest part, and in it what is passed on by its receiver, of the second the
// rarest. What was asked for, or found no room on its way, and is older than the last two segments,
// waits for what is played now. The broadcaster gives each chunk away once, before it repeats any,
// and shows it to who has room: what finds none on its way to a child, to others soon. Who got as
// much as a whole part and asks for more
// of it comes last. What a peer has not acknowledged is bounded, to a second of the stream
// at first, and then by how soon it acknowledges, so that what waits does so here, where it
// can be ordered and taken back. Nothing goes to a neighbour that says nothing of the
// present parts; if chunks wait too long, promises are taken back.
//
// # Silence
//
// A neighbour that says nothing of a part when others do is quiet: no longer a parent, and
// asked last. That takes about a part's duration. The broadcaster then promises its stripes
// to others at once, as nobody gets them from anywhere else; other nodes wait twice as
// long. Whoever answers nothing at all for some seconds while others do is dead; see
// [Silences].
//
// # Trust
//
// A neighbour that claims and promises but does not send, or sends other bytes than the
// broadcaster published, is a suspect; see [Exchange.Suspects]. Of what it did not hear nobody is
// blamed: only what a neighbour fails after it was found to hear, and before it delivers again, counts.
package schedule
