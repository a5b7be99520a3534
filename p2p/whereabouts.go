package p2p

import (
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// maxWhereabouts bounds the peers of which it is remembered where they were.
	maxWhereabouts = 4096
	// whereaboutsFor is for how long that is: an address may be somebody else's tomorrow.
	whereaboutsFor = addrWindow
)

// whereabouts remember from where peers were connected: what they sent is often found out when they
// are gone. The zero value is ready for use.
type whereabouts struct {
	mu    sync.Mutex // guards all following
	peers map[peer.ID]whereabout
}

type whereabout struct {
	addr netip.Addr
	own  bool // it connected, and so chose the address itself
	at   time.Time
}

// follow notes all connections of a network from now on.
func (w *whereabouts) follow(n network.Network) {
	n.Notify(&network.NotifyBundle{ConnectedF: func(_ network.Network, c network.Conn) { w.note(c, time.Now()) }})
}

// note notes a new connection.
func (w *whereabouts) note(c network.Conn, now time.Time) {
	next := whereabout{peerAddr(c.RemoteMultiaddr()), c.Stat().Direction == network.DirInbound, now}
	if !next.addr.IsValid() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.peers == nil {
		w.peers = make(map[peer.ID]whereabout)
	}
	id := c.RemotePeer()
	last, known := w.peers[id]
	if known && last.own && !next.own && now.Sub(last.at) < whereaboutsFor {
		return
	}
	if !known {
		makeRoom(w.peers, maxWhereabouts, now, func(o whereabout) time.Time { return o.at })
	}
	w.peers[id] = next
}

// of returns where a peer was connected from lately, no valid address if that is not known.
func (w *whereabouts) of(id peer.ID, now time.Time) netip.Addr {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o, ok := w.peers[id]; ok && now.Sub(o.at) < whereaboutsFor {
		return o.addr
	}
	return netip.Addr{}
}
