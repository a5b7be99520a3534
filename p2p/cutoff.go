package p2p

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
)

const (
	// cutOffFor is how long a peer that lied is not listened to, the first time; each
	// time it is twice as long, up to cutOffMost. A peer whose link had died for a while
	// looks like a liar, too.
	cutOffFor  = time.Minute
	cutOffMost = time.Hour
	// deafFor is the same for one that hears nothing, the first time.
	deafFor = time.Second
	// challengeTimeout is how long a suspect may take to answer, if that is longer than some round
	// trips. Who takes longer did not hear.
	challengeTimeout = 500 * time.Millisecond
	challengeTrips   = 4
	// cutOffScore puts it below every threshold.
	cutOffScore = 10 * graylistThreshold
	// maxCutOff bounds the peers remembered.
	maxCutOff = 4096
)

// challenge finds out whether a peer that says that it has and will send what it never does lies,
// or only hears nothing of what it is asked for, as where a network has failed in one direction.
// Who lies is cut off. Who does not answer either is disconnected, and may soon come again: a
// connection over which it hears can only be a new one.
func (s *Swarm) challenge(id peer.ID) {
	s.node.wg.Go(func() {
		ctx, cancel := context.WithTimeout(network.WithNoDial(s.ctx, "challenge"), max(challengeTimeout, challengeTrips*s.node.rtt(id)))
		defer cancel()
		<-ping.Ping(ctx, s.node.host, id) // nothing when the time is over
		switch {
		case s.ctx.Err() != nil || s.node.host.Network().Connectedness(id) == network.NotConnected:
		case ctx.Err() == nil:
			s.cutOff(id) // it heard, whatever it answered
		default:
			s.log.Info("connection closed: the peer does not answer what it is asked", "peer", id)
			s.node.cutOff(id, deafFor)
			s.node.closeDeaf(id)
		}
	})
}

// closeDeaf closes the connections to a peer that hears nothing.
func (n *Node) closeDeaf(id peer.ID) {
	n.mu.Lock()
	n.silent++
	n.mu.Unlock()
	_ = n.host.Network().ClosePeer(id) // it fails only if it is closed already
}

// cutOff ends all dealings with a peer that lies.
func (s *Swarm) cutOff(id peer.ID) {
	s.count(func(c *counters) {
		c.stats.PeersCutOff++
		c.stats.Penalties++
	})
	s.log.Warn("peer cut off: it claims and promises, and does not send", "peer", id)
	s.node.cutOff(id, cutOffFor)
	s.node.wg.Go(func() { s.node.host.Network().ClosePeer(id) })
}

// ban is for how long a peer is not listened to.
type ban struct {
	until time.Time
	next  time.Duration // for how long the next time
}

// cutOff has a peer not listened to, for least the first time.
func (n *Node) cutOff(id peer.ID, least time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	for old, b := range n.banned {
		if len(n.banned) >= maxCutOff || now.Sub(b.until) > cutOffMost {
			delete(n.banned, old)
		}
	}
	d := max(n.banned[id].next, least)
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
