package p2p

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/grapevine-live/grapevine/p2p/schedule"
)

// silenceEvery is how often to look which peers answer.
const silenceEvery = time.Second

// watchSilence closes connections to peers that died without a word, until the node
// closes: gossipsub keeps who is connected in its mesh, the dialer seeks nobody in its
// place, and joiners are told of it. It probes those to peers that do not answer, as the other
// end may be back, or have given the connection up; and if none of all does, and this node is
// starved, it closes them all, so that they are dialled anew. Connections on TCP are left to the system.
func (n *Node) watchSilence() {
	ticker := time.NewTicker(silenceEvery)
	defer ticker.Stop()
	var silences schedule.Silences[network.Conn]
	var probes probes
	for {
		select {
		case <-n.ctx.Done():
			return
		case now := <-ticker.C:
			counts, answered := packetCounts(n.host.Network().Conns()), n.answered.Swap(false)
			if answered {
				probes.heard = now
			}
			for _, c := range silences.Observe(counts, answered, now) {
				n.closeSilent(c)
				delete(counts, c)
			}
			starved := n.starved()
			for _, c := range probes.due(counts, starved, now) {
				probe(c)
			}
			if starved && probes.vain(now) {
				for c := range counts {
					n.closeSilent(c)
				}
			}
		}
	}
}

// packetCounts returns what connections on QUIC carried so far.
func packetCounts(conns []network.Conn) map[network.Conn]schedule.PacketCount {
	counts := make(map[network.Conn]schedule.PacketCount, len(conns))
	for _, c := range conns {
		if q, ok := quicConn(c); ok {
			st := q.ConnectionStats()
			counts[c] = schedule.PacketCount{Sent: st.PacketsSent, Received: st.PacketsReceived}
		}
	}
	return counts
}

// closeSilent closes a connection of which the other end is dead.
func (n *Node) closeSilent(c network.Conn) {
	n.mu.Lock()
	n.silent++
	n.mu.Unlock()
	n.log.Info("connection closed: the peer answers nothing", "peer", c.RemotePeer())
	n.wg.Go(func() { _ = c.Close() }) // it may wait, and fails only if it is closed already
}

// starved reports whether a stream of this node should have news, and has none.
func (n *Node) starved() bool {
	return slices.ContainsFunc(n.Swarms(), func(s *Swarm) bool { return s.starved.Load() })
}
