package p2p

import (
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// gate lets nobody in or out while the node is paused, nor who was cut off, and no more peers
// than there may be.
type gate struct {
	bans       *bans
	max        atomic.Int64 // peers; 0 for no bound
	shut       atomic.Bool
	network    atomic.Pointer[networkOf] // nil until there is one
	refused    atomic.Int64              // for too many peers
	turnedAway atomic.Int64              // by the resource manager, before a handshake

	only      atomic.Pointer[map[peer.ID]struct{}] // whom alone a viewer of trusted relays connects to; nil for all
	strangers atomic.Int64                         // refused for that
}

// networkOf has a concrete type for atomic.Pointer.
type networkOf struct{ network.Network }

var _ connmgr.ConnectionGater = (*gate)(nil)

func newGate() *gate { return &gate{bans: newBans()} }

// peers returns how many are connected.
func (g *gate) peers() int {
	if n := g.network.Load(); n != nil {
		return len(n.Peers())
	}
	return 0
}

// crowded reports whether more peers are connected than there may be.
func (g *gate) crowded() bool { return g.max.Load() > 0 && int64(g.peers()) > g.max.Load() }

// stranger reports whether a peer is none of those that this node may be connected to.
func (g *gate) stranger(id peer.ID) bool {
	only := g.only.Load()
	if only == nil {
		return false
	}
	_, ok := (*only)[id]
	return !ok
}

// trusts reports whether a peer is no stranger, and counts those that are.
func (g *gate) trusts(id peer.ID) bool {
	if !g.stranger(id) {
		return true
	}
	g.strangers.Add(1)
	return false
}

// excludes reports whether a peer is one that must not be connected, whoever else is.
func (g *gate) excludes(id peer.ID) bool {
	return g.shut.Load() || g.bans.has(id, time.Now()) || g.stranger(id)
}

// admits reports whether a peer may be connected, which may be so already.
func (g *gate) admits(id peer.ID) bool {
	if g.shut.Load() || g.bans.refuses(id, time.Now()) || !g.trusts(id) {
		return false
	}
	n, most := g.network.Load(), g.max.Load()
	if most == 0 || n == nil || int64(len(n.Peers())) < most || n.Connectedness(id) == network.Connected {
		return true
	}
	g.refused.Add(1)
	return false
}

// InterceptPeerDial implements connmgr.ConnectionGater.
func (g *gate) InterceptPeerDial(id peer.ID) bool { return g.admits(id) }

// InterceptAddrDial implements connmgr.ConnectionGater.
func (g *gate) InterceptAddrDial(peer.ID, multiaddr.Multiaddr) bool { return !g.shut.Load() }

// InterceptAccept implements connmgr.ConnectionGater.
func (g *gate) InterceptAccept(c network.ConnMultiaddrs) bool {
	return !g.shut.Load() && !g.bans.refusesAddr(peerAddr(c.RemoteMultiaddr()), time.Now())
}

// InterceptSecured implements connmgr.ConnectionGater.
func (g *gate) InterceptSecured(dir network.Direction, id peer.ID, _ network.ConnMultiaddrs) bool {
	return dir == network.DirOutbound || g.admits(id)
}

// InterceptUpgraded implements connmgr.ConnectionGater.
func (g *gate) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) {
	return !g.shut.Load(), 0
}
