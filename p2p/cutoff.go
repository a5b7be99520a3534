package p2p

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// cutOffFor is how long a peer that lied is not listened to.
	cutOffFor = 10 * time.Minute
	// cutOffScore puts it below every threshold.
	cutOffScore = 10 * graylistThreshold
	// maxCutOff bounds the peers remembered.
	maxCutOff = 4096
)

// cutOff ends all dealings with a peer that says that it has and will send what it
// never does. It must not be called from pubsub's event loop.
func (s *Swarm) cutOff(id peer.ID) {
	s.count(func(c *counters) {
		c.stats.PeersCutOff++
		c.stats.Penalties++
	})
	s.log.Warn("peer cut off: it claims and promises, and does not send", "peer", id)
	s.node.cutOff(id)
	s.node.wg.Go(func() { s.node.host.Network().ClosePeer(id) })
}

func (n *Node) cutOff(id peer.ID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	for old, until := range n.banned {
		if len(n.banned) >= maxCutOff || now.After(until) {
			delete(n.banned, old)
		}
	}
	n.banned[id] = now.Add(cutOffFor)
}

// isCutOff reports whether a peer lied a while ago.
func (n *Node) isCutOff(id peer.ID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	until, ok := n.banned[id]
	return ok && time.Now().Before(until)
}

// appScore is gossipsub's own measure of a peer, for all that the score of topics does
// not cover.
func (n *Node) appScore(id peer.ID) float64 {
	if n.isCutOff(id) {
		return cutOffScore
	}
	return 0
}

// promised returns the bits per second that all streams have promised to children.
func (n *Node) promised() (bits int) {
	for _, s := range n.Swarms() {
		bits += int(s.promised.Load())
	}
	return bits
}
