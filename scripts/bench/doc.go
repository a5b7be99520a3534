// Package bench measures swarms of production nodes on a simulated network in
// virtual time, beside ordinary gossipsub messages on the same network.
// scripts/bench.sh runs it; as a test it only checks that the bench itself works.
//
// # Scenarios
//
// A stream of 4 Mbit/s in parts of 500 ms and segments of 2 s, 25 ms one way from each
// host to each other, downlinks of 100 Mbit/s, random graphs in which each host dials
// six others, 20 s measured after 6 s of warm-up, a deadline of 3 s: unless said
// otherwise.
//
//	even     50 nodes, uplinks 20 Mbit/s
//	wide100  the same with 100 nodes
//	wide200  the same with 200 nodes
//	thin     100 nodes, the broadcaster's uplink is 5.2: 1.3 times the stream's rate
//	starved  50 nodes, the broadcaster's uplink is 8, the others' 6
//	edge     the same, but all others' uplinks are such that utilisation is 0.9; deadline 5 s
//	edge85   the same at a utilisation of 0.85
//	uneven   100 nodes, the broadcaster's uplink is 20; of the others 30% have 1, 50% have 8
//	         and 20% have 50; latencies of hosts are drawn from 5 to 150 ms
//	churn    even; 2% of the nodes die without a word each second, one by one, and as many
//	         join through a link to three random living ones. The broadcaster stays.
//	loss     even; 2% of all packets are lost
//	crowd    10 nodes; when the measured time begins, 90 join within 2 s through links to
//	         three of the ten. The warm-up is 10 s, so that there is something to start from.
//	liars    even; 15% of the nodes claim every chunk, and to be as near as the broadcaster,
//	         and never send, 5% send forged chunks to whoever asks. They begin when the
//	         measured time does.
//	offload  20 viewers, uplinks 20 Mbit/s, and an HTTP origin beside them that has what the
//	         broadcaster has, 25 ms away, as fast as it is asked
//	offload-starved
//	         the same, the broadcaster's uplink is 5.2, the others' 4: less than the stream
//	         takes with what goes around it
//	offload-cut
//	         the same as offload; the broadcaster loses all peers when the measured time
//	         begins, so that only the origin has the stream; deadline 5 s
//	attack-forged, attack-replayed, attack-chunks, attack-unasked, attack-withheld,
//	attack-equivocation, attack-malformed, attack-oversize, attack-wants, attack-groups,
//	attack-control, attack-fetches, attack-slow, attack-all
//	         even; a fifth of the nodes attack from when the measured time begins, each in the
//	         way that the name says and package p2p's threat model describes; of all, each in
//	         another. Attackers know whom others know, and come back if they are let in.
//	headers  40 nodes; ten more send the broadcaster 5,000 forged headers a second each, and
//	         come back as somebody else
//	connections
//	         40 nodes; 500 connections a second are opened to the broadcaster from 1,000
//	         addresses, each with an identity of its own, and held
//	eclipse  20 nodes and 32 liars, who lie to newcomers only and tell them of liars only; ten
//	         join by links to all liars and eight nodes
//	schedule100, schedule1000, schedule10000
//	         even with so many nodes, in package schedule/simulate: the decisions of
//	         production nodes, and nothing else of them, so that it can be so many. rx_wire
//	         and src_upload_wire are 0
//	long     8 nodes, 300 kbit/s, 6 h; stores of 16 MiB
//
// Each runs with seeds 1 to 3, long with seed 1 only, for it takes that long. A seed
// decides the graph, who has which uplink, latency and role, who dies and which packets
// are lost. The simulator is not bit-deterministic, so that the same seed gives about
// the same figures, not the same.
//
// # Figures
//
// They are of viewers: honest nodes other than the broadcaster that are there from before
// the measured time until its end; in crowd, the nine first. What is published in the
// measured time counts, and every byte that moves from its begin until a second after the
// last deadline, except, in what viewers receive, chunks that were published in the
// warm-up and come late.
//
//	rx            bytes received per byte of stream, mean: chunks, headers, control and
//	              catch-up, as libp2p counts its streams' bytes
//	rx_wire       the same in packets, so with QUIC's, UDP's and IPv4's own bytes:
//	              encryption, acknowledgements, repetitions
//	src_upload    bytes sent by the broadcaster per byte of stream; src_upload_wire in packets
//	upload_max    of the node that sent most
//	delay_ms      from a chunk's publication to its arrival at each viewer. What did not
//	              arrive counts as later than everything else: a percentile that falls
//	              there is null, and undelivered is how many there were.
//	continuity    share of (viewer, part) pairs that are whole by the deadline
//	stalls        of players that begin three whole segments behind what is published, and play
//	              each when the one before is over and all of it is there: how often one of
//	              them stood still, and the longest time
//	utilisation   the stream's rate over min(u_s, (u_s + sum u_i) / n), which is the highest
//	              that n viewers with uplinks u_i could get (Kumar, Liu and Ross)
//	startup_ms    of joiners, from Join until what an HLS player needs is there: three whole
//	              segments in a row, before which package hls does not answer with a playlist.
//	              null in scenarios in which nobody joins during the measured time.
//	joiners       count; picture_ms: from Join until an independent part is whole, from which
//	              a decoder could show a picture; continuity: once they play. Those that died
//	              before they played are not in it.
//	liars         count; cut_off_ms: from the first lie until the liar is asked for the last
//	              time, null if it still is in the last three seconds or has a standing want;
//	              asked: chunks and standing wants that it got; in_mesh: at the end, mean
//	              number of nodes that have it in their mesh for chunks
//	attack        forged_bytes: what honest nodes held, or sent an attacker, that the key did not
//	              sign; cut_off_ms: from the first attack of an attacker on a node until that
//	              threw it out, for each such pair; spared_ms: for how long the others had been
//	              attacked at the end; back: how often one was let in again; heap: live in the
//	              process, less what stores hold
//	decisions     of schedule: hops from the broadcaster, events (messages and timers) for
//	              each node and second, and CPU time for each
//	counts        what viewers counted: chunks received, those that came twice or too late,
//	              by fetch; wants not met in time, chunks too late to be sent, promises taken
//	              back, messages that full queues lost; payload from peers and from the origin
//	offload       of the scenarios with an origin: the share of the payload that came from peers.
//	              Of offload-cut it is 1 - 1/n for n viewers at best, as one has to fetch
//	memory        of long: live heap and goroutines of all nodes and the bench together
//
// Several seeds: bytes are means, delays and continuity are of all runs together, and
// what is a maximum is the greatest.
//
// Ordinary gossipsub messages (classic) have no warm-up, as they fall behind in it, and are
// waited for half a minute longer, so that it can be told how late they are.
//
// # How soon a crowd can start
//
// In crowd, three whole segments for each of 90 joiners are 90 times 24 Mbit. The ten, which
// have 200 Mbit/s, would send that in 10.8 s if nothing else were sent; within 1.5 s they
// could serve 12. With the joiners' own uplinks there are 2,000 Mbit/s, of which the stream
// takes 400: 1.4 s from when all have joined, if from that moment on everybody always had
// something to send that others lack. So no way of sending gets the p99 of startup_ms near
// 1.5 s. An independent part for each is 180 Mbit in all: that is possible.
//
// picture_ms is when a player that began with the parts at the live edge could show one.
// Playlists are answered later, ll.m3u8 too: they wait for three whole segments, which is
// startup_ms. So picture_ms is the least that a viewer may wait, and startup_ms what one
// waits.
//
// # How it runs
//
// A run is a testing/synctest bubble and keeps one core busy, as its goroutines hand
// packets to each other. So each has a process of its own, and as many as there are cores
// run at a time (-parallel). With 50 nodes it takes about a minute.
package bench
