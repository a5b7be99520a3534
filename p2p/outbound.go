package p2p

import (
	"context"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
)

// outbound is the peers to whom pubsub can send: a peer may be heard before that. Who subscribes
// to a topic before it can send to any of its peers has neighbours there at the next heartbeat
// only, a second later.
type outbound struct {
	mu      sync.Mutex // guards all following
	peers   map[peer.ID]struct{}
	changed chan struct{} // closed at the next change; nil while nobody waits
}

// set notes whether a peer can be sent to. It runs on pubsub's event loop.
func (o *outbound) set(id peer.ID, open bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.peers == nil {
		o.peers = make(map[peer.ID]struct{})
	}
	if open {
		o.peers[id] = struct{}{}
	} else {
		delete(o.peers, id)
	}
	o.fireLocked()
}

// fire wakes who waits for a peer.
func (o *outbound) fire() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fireLocked()
}

func (o *outbound) fireLocked() {
	if o.changed != nil {
		close(o.changed)
		o.changed = nil
	}
}

// look reports whether one of some peers can be sent to, and returns a channel that is closed
// when that may have changed.
func (o *outbound) look(ids []peer.ID) (bool, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, id := range ids {
		if _, ok := o.peers[id]; ok {
			return true, nil
		}
	}
	if o.changed == nil {
		o.changed = make(chan struct{})
	}
	return false, o.changed
}

// awaitNeighbour waits until a peer that holds the stream can be sent to, and reports whether
// there is one.
func (s *Swarm) awaitNeighbour(ctx context.Context) bool {
	for {
		ok, changed := s.node.outbound.look(s.holders())
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		case <-s.ctx.Done():
			return false
		}
	}
}
