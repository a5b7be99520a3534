package p2p

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// cutOffFor is how long a peer that lied is not listened to, the first time; each
	// time it is twice as long, up to cutOffMost. A peer whose link had died for a while
	// looks like a liar, too.
	cutOffFor  = time.Minute
	cutOffMost = time.Hour
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

// ban is for how long a peer is not listened to.
type ban struct {
	until time.Time
	next  time.Duration // for how long the next time
}

func (n *Node) cutOff(id peer.ID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	for old, b := range n.banned {
		if len(n.banned) >= maxCutOff || now.Sub(b.until) > cutOffMost {
			delete(n.banned, old)
		}
	}
	d := max(n.banned[id].next, cutOffFor)
	n.banned[id] = ban{now.Add(d), min(2*d, cutOffMost)}
}

// isCutOff reports whether a peer lied a while ago.
func (n *Node) isCutOff(id peer.ID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return time.Now().Before(n.banned[id].until)
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
