package p2p

import (
	"cmp"
	"maps"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
)

func (s *Swarm) count(f func(*counters)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.counters)
}

// Stats returns the figures of the stream at this node.
func (s *Swarm) Stats() SwarmStats {
	s.mu.Lock()
	out := s.counters.snapshot()
	neighbour := make(map[peer.ID]bool)
	for _, peers := range s.mesh {
		for id := range peers {
			neighbour[id] = true
		}
	}
	ids := maps.Clone(s.subscribed)
	for id := range neighbour {
		ids[id] = struct{}{}
	}
	for id := range ids {
		p := PeerStats{ID: id}
		if known := s.counters.peers[id]; known != nil {
			p = *known
		}
		p.Neighbour = neighbour[id]
		out.Peers = append(out.Peers, p)
	}
	s.mu.Unlock()
	found, foundBy := s.dialer.sources()
	out.Found = found
	for i := range out.Peers {
		p := &out.Peers[i]
		if p.FoundBy = foundBy[p.ID]; p.FoundBy == "" {
			p.FoundBy = FoundByItself
		}
		p.RTT = s.node.rtt(p.ID)
		if c := s.node.path(p.ID); c != nil {
			p.Addr, p.Relayed = c.RemoteMultiaddr().String(), relayed(c)
		}
	}
	slices.SortFunc(out.Peers, func(a, b PeerStats) int {
		if a.Neighbour != b.Neighbour {
			if a.Neighbour {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.ID, b.ID)
	})
	out.LastDialError = s.dialer.lastError()
	return out
}
