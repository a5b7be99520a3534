package p2p

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// rememberRound is how often to look who serves.
	rememberRound = 30 * time.Second
	// rememberAgain is after how long a peer that still serves is remembered anew.
	rememberAgain = 10 * time.Minute
)

// ServingPeer is a peer that served chunks of a stream, and where it can be dialled.
type ServingPeer struct {
	peer.AddrInfo
	Served time.Time // when it did last
}

// Memory keeps the peers that served streams for a node's next run. It is asked from several
// goroutines, and bounds what it keeps.
type Memory interface {
	// Recall returns the peers that are remembered of a stream.
	Recall(id stream.ID) ([]ServingPeer, error)
	// Remember adds peers to those, or renews them.
	Remember(id stream.ID, peers []ServingPeer) error
}

// recall has the dialer try the peers that served the stream in earlier runs.
func (s *Swarm) recall() {
	peers, err := s.node.cfg.Memory.Recall(s.id)
	if err != nil {
		s.log.Warn("cannot recall peers", "err", err)
	}
	for _, p := range peers {
		s.dialer.addFound(p.AddrInfo, FoundByHome)
	}
}

// rememberer notes who serves a swarm. It is of one goroutine.
type rememberer struct {
	s     *Swarm
	bytes map[peer.ID]int64     // that each had served at the last look
	told  map[peer.ID]time.Time // to the memory
}

// remember runs a rememberer until the swarm is closed, while the connections are still there.
func (s *Swarm) remember() {
	r := &rememberer{s, make(map[peer.ID]int64), make(map[peer.ID]time.Time)}
	ticker := time.NewTicker(rememberRound)
	defer ticker.Stop()
	for {
		select {
		case <-s.ctx.Done():
			r.look(0)
			return
		case <-ticker.C:
			r.look(rememberAgain)
		}
	}
}

// look remembers those that have served since the last look, unless that was told less than
// calm ago.
func (r *rememberer) look(calm time.Duration) {
	now := time.Now()
	var peers []ServingPeer
	for id, bytes := range r.s.served() {
		if bytes <= r.bytes[id] {
			continue
		}
		if at, ok := r.told[id]; ok && now.Sub(at) < calm {
			continue
		}
		if addrs := r.s.node.dialable(id); len(addrs) > 0 {
			r.bytes[id], r.told[id] = bytes, now
			peers = append(peers, ServingPeer{peer.AddrInfo{ID: id, Addrs: addrs}, now})
		}
	}
	if len(peers) == 0 {
		return
	}
	if err := r.s.node.cfg.Memory.Remember(r.s.id, peers); err != nil {
		r.s.log.Warn("cannot remember peers", "err", err)
	}
}

// served returns how many bytes each peer served so far, of those that did.
func (s *Swarm) served() map[peer.ID]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[peer.ID]int64)
	for id, p := range s.counters.peers {
		if p.BytesIn > 0 {
			out[id] = p.BytesIn
		}
	}
	return out
}

// dialable returns the addresses at which a connected peer may be dialled: those that it says it
// listens on, or the one at which it was.
func (n *Node) dialable(id peer.ID) []multiaddr.Multiaddr {
	if rec, err := openPeerRecord(n.peerRecord(id)); err == nil && rec.PeerID == id {
		if addrs := shareable(rec.Addrs); len(addrs) > 0 {
			return addrs[:min(len(addrs), maxAddrs)]
		}
	}
	for _, c := range n.host.Network().ConnsToPeer(id) {
		if c.Stat().Direction == network.DirOutbound {
			return []multiaddr.Multiaddr{c.RemoteMultiaddr()}
		}
	}
	return nil
}
