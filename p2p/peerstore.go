package p2p

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// tidyEvery is how often to let go of addresses that nobody can use any more.
const tidyEvery = 10 * time.Minute

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
