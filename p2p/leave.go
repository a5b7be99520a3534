package p2p

import (
	"slices"

	"github.com/grapevine-live/grapevine/stream"
)

// Leave leaves a stream, politely, and forgets what is held of it. It returns when that is done,
// and reports whether the node was part of the stream.
func (n *Node) Leave(id stream.ID) bool {
	name := topicName(id)
	gone := make(chan struct{})
	n.joining.Lock() // so that the swarm has started
	n.mu.Lock()
	s := n.swarms[name]
	if s == nil || s.id != id || n.closed {
		n.mu.Unlock()
		n.joining.Unlock()
		return false
	}
	delete(n.swarms, name)
	n.order = slices.DeleteFunc(n.order, func(o *Swarm) bool { return o == s })
	n.leaving[name] = gone
	n.wg.Add(1)
	n.mu.Unlock()
	n.joining.Unlock()
	defer n.wg.Done()

	s.close()
	n.store.Drop(id)
	n.mu.Lock()
	delete(n.leaving, name)
	n.mu.Unlock()
	close(gone)
	return true
}

// lockJoining locks n.joining once no stream of that topic is being left.
func (n *Node) lockJoining(name string) {
	for {
		n.joining.Lock()
		n.mu.Lock()
		gone := n.leaving[name]
		n.mu.Unlock()
		if gone == nil {
			return
		}
		n.joining.Unlock()
		<-gone
	}
}
