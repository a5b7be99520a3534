package p2p

import "time"

// OnLoop runs f on the swarm's loop, and waits for it.
func (s *Swarm) OnLoop(f func()) {
	_ = s.send(s.ctx, func(time.Time) { f() })
}
