package p2p

import (
	"slices"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"
	manet "github.com/multiformats/go-multiaddr/net"
)

// followPeers tells swarms of connected peers that speak the fetch protocol, and that
// peers left.
func (n *Node) followPeers(sub event.Subscription) {
	defer sub.Close()
	for {
		select {
		case <-n.ctx.Done():
			return
		case e, ok := <-sub.Out():
			if !ok {
				return
			}
			switch e := e.(type) {
			case event.EvtPeerIdentificationCompleted:
				n.onConn(e.Conn)
				if slices.Contains(e.Protocols, fetchProtocol) {
					n.onIdentified(e)
				}
			case event.EvtPeerConnectednessChanged:
				if e.Connectedness == network.NotConnected {
					n.onDisconnected(e.Peer)
				} else if n.gate.crowded() || !n.gate.trusts(e.Peer) {
					n.wg.Go(func() { _ = n.host.Network().ClosePeer(e.Peer) }) // several came at once
				}
			}
		}
	}
}

// onConn looks whether a new direct connection is there in place of older ones.
func (n *Node) onConn(c network.Conn) {
	if c == nil || relayed(c) {
		return
	}
	for _, old := range n.host.Network().ConnsToPeer(c.RemotePeer()) {
		if old != c && !relayed(old) {
			n.wg.Go(func() { n.replaced(old, c) })
		}
	}
}

func (n *Node) onIdentified(e event.EvtPeerIdentificationCompleted) {
	if n.host.Network().Connectedness(e.Peer) == network.NotConnected {
		return
	}
	n.keepPeerRecord(e.Peer, e.SignedPeerRecord)
	for _, s := range n.Swarms() {
		s.onIdentified(e.Peer)
	}
}

func (n *Node) onDisconnected(id peer.ID) {
	if n.host.Network().Connectedness(id) != network.NotConnected {
		return // it is back
	}
	n.subscriptions.forget(id)
	n.unprotect(id)
	n.mu.Lock()
	delete(n.records, id)
	n.mu.Unlock()
	for _, s := range n.Swarms() {
		s.onDisconnected(id)
	}
}

// keepPeerRecord keeps a connected peer's record, to be passed on to others.
func (n *Node) keepPeerRecord(id peer.ID, envelope *record.Envelope) {
	if envelope == nil {
		return
	}
	raw, err := envelope.Marshal()
	if err != nil || len(raw) > maxPeerRecord {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
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
