// Package chaos lets everything go wrong in swarms of production nodes in virtual time, and checks
// all the time what must hold whatever happens. scripts/bench.sh chaos runs it; as a test it runs two
// short runs, of which one is without faults.
//
// # Who there is
//
// Two broadcasters, two relays that carry both streams, ten viewers of whom each watches one, with
// an HLS server and a player each, and a liar that sends forged chunks to whoever asks. A stream has
// 300 kbit/s, parts of 500 ms and segments of 2 s; hosts have uplinks of 20 Mbit/s and are 25 ms from
// each other.
//
// # What goes wrong
//
// A seed decides what, when, to whom and for how long; much of it overlaps. From each to the next it
// takes four seconds on average.
//
//	kill      a host loses power, and starts again as the same peer, with nothing in memory
//	stop      a process ends, and starts again
//	pause     a host stands still; what is sent to it, and what it sends, waits, and then comes at once
//	cut       a host's packets get lost, in both directions
//	deaf      what is sent to a host gets lost, and what it sends arrives
//	mute      what one host sends to another gets lost, and the reverse arrives
//	divide    half of the hosts hear nothing of the others
//	loss      5% of all packets get lost
//	disorder  5% of all packets are up to 300 ms late, and so come after later ones; 5% come twice
//	late      what a host sends and what is sent to it takes up to 150 ms longer, each by another time
//	clock     a host's clock is set, up to ten minutes to either side, and stays so
//
// Late packets bound what a connection carries that loses 5% of them: 160 kbit/s with 150 ms more in
// both directions (Mathis et al., "The Macroscopic Behavior of the TCP Congestion Avoidance Algorithm",
// 1997), so that a viewer needs several. With 400 ms more, it would need more than it has.
//
// A broadcaster takes its clock when it starts, as ingest does, so that it is wrong from the next epoch
// on. Its epochs are numbered by what outlives it, as the program's are.
//
// # What must hold
//
//	served      of no node's store or HLS server comes anything but what was published: each part
//	            is compared when it is there, and all of them every ten seconds; of HLS each segment
//	timelines   what a node knew of a stream it knows until it ends, in order, and as it was signed
//	numbers     no media sequence number, nor discontinuity sequence number, falls while a node
//	            lives, and none names two segments
//	playback    every viewer plays, five seconds after a heal at the latest
//	memory      the live heap stays below one and a half times that of a run without faults, beside what
//	            dead hosts leave in the simulator
//	goroutines  likewise; while all goes wrong, below three times that
//
// A viewer plays if it holds the newest parts whole, back to one from which a decoder can start, and
// the last of them was published at most four seconds ago. Players of HLS have six in hand, as they begin
// no nearer to the end than three target durations (RFC 8216, section 6.3.3).
//
// A heal is when the viewer can be reached from its broadcaster again: both are alive and hear and are
// heard, directly or over others that carry the stream. Who starts is healed at its start. As a viewer may
// be fed by any other, the five seconds begin anew when something begins to go wrong anywhere
// (kill, stop, pause, cut, deaf, mute, divide); loss, disorder, late packets and wrong clocks excuse
// nobody.
//
// # Figures
//
// seeds, virtual minutes, faults by kind, and the time from heals to playback: of those that no further
// fault excused, and of those of others that came to play; and how far behind any viewer was that had
// no excuse.
package chaos
