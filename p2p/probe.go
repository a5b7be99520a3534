package p2p

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/grapevine-live/grapevine/p2p/schedule"
)

const (
	// probeAfter is how long a connection may bring nothing of what was sent until it is probed each
	// time that it is looked at: QUIC itself waits twice as long each time (RFC 9002, section 6.2),
	// and so notices that a network is back as late as it was gone.
	probeAfter = 2 * time.Second
	// deafAfter is how long nothing may come by any connection, though all are probed, until a node that
	// is starved gives all of them up and dials anew. What its peers sent meanwhile fills their congestion
	// windows, and they wait for as long again until they send any of it once more (RFC 9002,
	// section 6.2.1); who is dialled answers within a second of when the network is back.
	deafAfter = 3 * time.Second
	// probePackets is how many packets must be unanswered: one or two may be acknowledgements.
	probePackets = 3
	// maxProbes bounds the probes of a connection in a row. QUIC ends it after half a minute.
	maxProbes = 30
	// probeSize is the bytes of a probe. Who has forgotten the connection answers to what is longer
	// than its own answer only (RFC 9000, section 10.3.3).
	probeSize = 64
	// probeMore bounds what one may be longer.
	probeMore = 1024
)

// probes finds the connections to probe. The zero value is ready for use.
type probes struct {
	conns map[network.Conn]*probed
	heard time.Time // when something last came by any, or this node was not looking
	at    time.Time // of the last sample
}

type probed struct {
	received uint64    // packets
	sent     uint64    // when something last came
	since    time.Time // likewise
	count    int
}

// due takes a sample of all connections, and returns those to probe now. starved tells that all who
// bring nothing are in doubt, though nothing may have been sent to them.
func (p *probes) due(all map[network.Conn]schedule.PacketCount, starved bool, now time.Time) (out []network.Conn) {
	next := make(map[network.Conn]*probed, len(all))
	if now.Sub(p.at) > probeAfter || len(all) == 0 {
		p.heard = now
	}
	p.at = now
	for c, count := range all {
		last := p.conns[c]
		if last == nil || count.Received > last.received {
			last = &probed{count.Received, count.Sent, now, 0}
			p.heard = now
		}
		next[c] = last
		doubtful := starved || count.Sent >= last.sent+probePackets
		if doubtful && now.Sub(last.since) >= probeAfter && last.count < maxProbes {
			last.count++
			out = append(out, c)
		}
	}
	p.conns = next
	return out
}

// vain reports whether nothing came for so long by any connection, all of which are probed, that they
// are to be given up. It begins anew then.
func (p *probes) vain(now time.Time) bool {
	if now.Sub(p.heard) < deafAfter {
		return false
	}
	p.heard = now
	return true
}

// probe sends what is answered by who hears it, at once: by an acknowledgement, or by a stateless
// reset if the other end has given the connection up, which ends it here, too. Nobody reads it.
func probe(c network.Conn) {
	if q, ok := quicConn(c); ok {
		_ = q.SendDatagram(make([]byte, probeSize)) // it fails only if there are none, or it is closed
	}
}
