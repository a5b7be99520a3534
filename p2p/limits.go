package p2p

import (
	"cmp"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/p2p/meter"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	// trimEvery is how often connections are trimmed, and trimGrace how long a new peer has to
	// show what it is worth: as libp2p's connection manager does.
	trimEvery = 10 * time.Second
	trimGrace = time.Minute
)

// Limits are what a node may use of its machine's line, see [Config]. 0 bounds nothing.
type Limits struct {
	Upload, Download int // bits per second
	AsideUpload      int // of Upload, for what goes by [Node.Listener]
	Peers            int
}

func (c *Config) limits() Limits {
	return Limits{Upload: c.MaxUpload, Download: c.MaxDownload, AsideUpload: c.AsideUpload, Peers: c.MaxPeers}
}

// allows returns the limits as they are now.
func (n *Node) allows() Limits {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.limits
}

// SetLimits changes the limits of a node that was started. Peers beyond the new limit are let go,
// those of least worth first. How many neighbours the node has in a stream's mesh at most goes by
// the upload that it started with.
func (n *Node) SetLimits(l Limits) {
	n.mu.Lock()
	before := n.limits
	n.limits = l
	n.mu.Unlock()
	if n.sockets != nil {
		n.sockets.meter.Limit(meter.Config{Upload: l.Upload, Download: l.Download})
	}
	if l.Upload-l.AsideUpload != before.Upload-before.AsideUpload {
		n.uplink.limit(l.Upload - l.AsideUpload)
	}
	n.gate.max.Store(int64(l.Peers))
	n.trim(time.Now())
}

// SetAllowed changes which streams may be joined from now on; nil allows all. Those that are joined
// stay, see [Node.Leave].
func (n *Node) SetAllowed(allowed func(stream.ID) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.allowed = allowed
}

// marks are those between which connections are trimmed if there may be so many peers. They leave
// an eighth of room for peers that are worth more than those that are there.
func marks(most int) (low, high int) {
	return max(1, min(connsLow, most*3/4)), max(1, min(connsHigh, most-(most+7)/8))
}

// watchPeers trims connections until the node closes.
func (n *Node) watchPeers() {
	ticker := time.NewTicker(trimEvery)
	defer ticker.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return
		case now := <-ticker.C:
			n.trim(now)
		}
	}
}

// trim closes connections where the owner bounds peers: above the high mark, those to peers that
// are worth least, down to the low one; above the limit itself, to any.
func (n *Node) trim(now time.Time) {
	most := int(n.gate.max.Load())
	if most == 0 {
		return
	}
	low, high := marks(most)
	peers := n.host.Network().Peers()
	if len(peers) <= high {
		return
	}
	worth := make(map[peer.ID]int)
	kept := make(map[peer.ID]bool)
	for _, id := range peers {
		worth[id], kept[id] = n.worth(id), n.protected(id, now)
	}
	slices.SortFunc(peers, func(a, b peer.ID) int {
		switch {
		case kept[a] == kept[b]:
			return cmp.Compare(worth[a], worth[b])
		case kept[b]:
			return -1
		}
		return 1
	})
	for left := len(peers); left > low; left-- {
		id := peers[len(peers)-left]
		if kept[id] && left <= most {
			return
		}
		_ = n.host.Network().ClosePeer(id) // it fails only if it is closed already
	}
}

// worth is what a peer is to the connection manager.
func (n *Node) worth(id peer.ID) int {
	if tags := n.host.ConnManager().GetTagInfo(id); tags != nil {
		return tags.Value
	}
	return 0
}

// protected reports whether a peer is trimmed last: neighbours, and those that have just come.
func (n *Node) protected(id peer.ID, now time.Time) bool {
	if n.host.ConnManager().IsProtected(id, "") {
		return true
	}
	return slices.ContainsFunc(n.host.Network().ConnsToPeer(id), func(c network.Conn) bool {
		return now.Sub(c.Stat().Opened) < trimGrace
	})
}
