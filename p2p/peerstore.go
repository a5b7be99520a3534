package p2p

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// tidyEvery is how often to let go of addresses that nobody can use any more.
const tidyEvery = 10 * time.Minute

// unprotect lets the connection manager forget a peer that left. gossipsub has it protect who is in a
// mesh, and ends that for those whom it prunes, but not for those who are gone (v0.17.0, its tagTracer).
func (n *Node) unprotect(id peer.ID) {
	for _, topic := range n.ps.GetTopics() {
		n.host.ConnManager().Unprotect(id, "pubsub:"+topic)
	}
}

// tidyPeerstore lets go of peers of which nothing is known any more, until the node closes. The
// peerstore of libp2p does so too, but not for those that were connected once: their addresses
// are marked as expired, and stay (v0.51, pstoremem's peerAddrs.Update). A node that runs for
// months meets many.
func (n *Node) tidyPeerstore() {
	ticker := time.NewTicker(tidyEvery)
	defer ticker.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-ticker.C:
		}
		ps := n.host.Peerstore()
		for _, id := range ps.PeersWithAddrs() {
			if id != n.host.ID() && len(ps.Addrs(id)) == 0 && n.host.Network().Connectedness(id) == network.NotConnected {
				ps.ClearAddrs(id)
			}
		}
	}
}
