package p2p

import (
	"maps"
	"slices"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"
	manet "github.com/multiformats/go-multiaddr/net"
)

// maxPeerRecords is how many records of peers are kept before those of peers that
// left are looked for.
const maxPeerRecords = 2 * connsHigh

// followIdentified tells swarms of connected peers that speak the fetch protocol.
func (n *Node) followIdentified(sub event.Subscription) {
	defer sub.Close()
	for {
		select {
		case <-n.ctx.Done():
			return
		case e, ok := <-sub.Out():
			if !ok {
				return
			}
			done := e.(event.EvtPeerIdentificationCompleted)
			if !slices.Contains(done.Protocols, fetchProtocol) {
				continue
			}
			n.keepPeerRecord(done.Peer, done.SignedPeerRecord)
			for _, s := range n.Swarms() {
				s.onIdentified(done.Peer)
			}
		}
	}
}

// keepPeerRecord keeps a connected peer's record, to be passed on to others.
func (n *Node) keepPeerRecord(id peer.ID, envelope *record.Envelope) {
	if envelope == nil || n.host.Network().Connectedness(id) != network.Connected {
		return
	}
	raw, err := envelope.Marshal()
	if err != nil || len(raw) > maxPeerRecord {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.records) >= maxPeerRecords {
		// Left over from peers that never spoke gossipsub, and so never left it.
		maps.DeleteFunc(n.records, func(id peer.ID, _ []byte) bool {
			return n.host.Network().Connectedness(id) != network.Connected
		})
	}
	n.records[id] = raw
}

// peerRecord returns the record of a connected peer, or nil.
func (n *Node) peerRecord(id peer.ID) []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.records[id]
}

// onLocalPeer takes a peer that was found on the local network.
func (n *Node) onLocalPeer(info peer.AddrInfo) {
	info.Addrs = slices.DeleteFunc(info.Addrs, manet.IsIPLoopback)
	if info.ID == n.host.ID() || len(info.Addrs) == 0 || n.host.Network().Connectedness(info.ID) == network.Connected {
		return
	}
	for _, s := range n.Swarms() {
		s.dialer.addLocal(info)
	}
}
