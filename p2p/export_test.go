package p2p

import "time"

// OnLoop runs f on the swarm's loop, and waits for it.
func (s *Swarm) OnLoop(f func()) {
	_ = s.send(s.ctx, func(time.Time) { f() })
}

// Sources returns how many peers the swarm's repair knows.
func (s *Swarm) Sources() (n int) {
	s.OnLoop(func() { n = len(s.repair.peers) })
	return n
}

// Subscribed reports whether the node knows a peer of a topic.
func (n *Node) Subscribed(topic string) bool { return len(n.ps.ListPeers(topic)) > 0 }
