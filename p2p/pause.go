package p2p

import (
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/p2p/meter"
)

// leavePause is how long the ends of connections may take to go out.
const leavePause = 50 * time.Millisecond

// Pause leaves the mesh for a while: it tells neighbours, so that they need not find out, closes all
// connections, and lets nothing in or out. Streams stay joined, and what the node holds stays
// here. It returns when that is done.
func (n *Node) Pause() {
	n.pausing.Lock()
	defer n.pausing.Unlock()
	if n.gate.shut.Swap(true) {
		return
	}
	n.closeMDNS()
	var told sync.WaitGroup
	for _, s := range n.Swarms() {
		told.Go(s.farewell)
	}
	told.Wait()
	for _, id := range n.host.Network().Peers() {
		_ = n.host.Network().ClosePeer(id) // it fails only if it is closed already
	}
	if n.sockets != nil {
		<-time.After(leavePause)
		n.sockets.meter.Shut(true)
	}
}

// Resume comes back from Pause, and dials all peers that were known.
func (n *Node) Resume() {
	n.pausing.Lock()
	defer n.pausing.Unlock()
	n.mu.Lock()
	closed := n.closed
	n.mu.Unlock()
	if closed || !n.gate.shut.Load() {
		return
	}
	if n.sockets != nil {
		n.sockets.meter.Shut(false)
	}
	n.gate.shut.Store(false)
	n.startMDNS()
	for _, s := range n.Swarms() {
		s.dialer.again()
	}
	if n.reach != nil {
		n.reach.again()
	}
}

// Bound bounds what the node sends, and what it sends and receives together, until it is called
// again: in bytes on the wire since the start, see [Stats].WireOut. Beyond it nothing passes.
func (n *Node) Bound(sent, all int64) {
	if n.sockets != nil {
		n.sockets.meter.Bound(meter.Ceiling{Sent: sent, All: all})
	}
}
