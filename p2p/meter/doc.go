// Package meter counts all that a node's sockets send and receive, and holds it to what
// the node's owner allows: bits per second either way, and bytes in all.
//
// It is between the sockets and the transports, so that nothing passes by it: chunks,
// headers, control, handshakes, acknowledgements and what is sent again.
//
//	QUIC  [Meter.ListenUDP] is what quicreuse listens and dials with. Packets are counted as they
//	      are, with the headers of UDP and IP: 28 bytes each, 48 with IPv6.
//	TCP   [Upgrader] is between the TCP transport and its security. The system makes the packets:
//	      their headers and acknowledgements are estimated, and what it sends again is not seen.
//	HTTP  [Meter.Conn] counts a connection with an origin, [Meter.Listener] those with a gateway's
//	      viewers, likewise.
//
// What a node looks up by DNS, says by multicast on the local network, and serves to its own
// players by HTTP is none of it; nor is the word by QUIC with which AutoNAT v2 tries, for others,
// whether they can be reached: some kilobytes, at most once a second.
//
// # Bounds
//
// What is sent waits for its turn, as on an uplink of that rate; on QUIC for half a second or
// 64 KiB's time, and is dropped then, which QUIC takes as a full queue. Who schedules what he
// sends below the bound meets neither.
//
// What is received is read no faster than the bound, so that its acknowledgements are late and
// senders slow down. A quarter of a second's worth waits in the system; what comes on top of that
// the system drops, which nobody here sees: some hundredths of the bound are left for it. Who asks for
// no more at a time than that, as [github.com/grapevine-live/grapevine/p2p/schedule.Exchange.Download] does, has less of it dropped.
//
// [Meter.Limit] changes the bounds while packets pass: what is owed stays owed, and the system is told
// anew how much may wait.
//
// A [Ceiling] bounds bytes in all. Beyond it nothing is sent, and what is received is dropped.
package meter
