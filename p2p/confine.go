package p2p

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/stream"
)

// ErrConfined is wrapped when a node shall join a stream besides one with trusted relays: who is
// connected for the one would see it in the other.
var ErrConfined = errors.New("a stream with trusted relays is a node's only one, unless it is such a relay")

// confine has a swarm keep to the trusted relays that a link names. Unless this node is one of
// them, it connects to nobody else from then on. Node.joining is held.
func (s *Swarm) confine(link stream.Link) error {
	ids := link.Relays.IDs()
	n := s.node
	only := n.gate.only.Load()
	if len(ids) == 0 {
		if only != nil {
			return fmt.Errorf("join stream %s: %w", s.id.Short(), ErrConfined)
		}
		return nil
	}
	trusted := make(map[peer.ID]struct{}, len(ids))
	for _, text := range ids {
		id, err := peer.Decode(text)
		if err != nil {
			return fmt.Errorf("%w: trusted relay %q: %w", ErrBadPeer, text, err)
		}
		if !s.revokedPeer(id) {
			trusted[id] = struct{}{}
		}
	}
	if len(trusted) == 0 {
		return fmt.Errorf("join stream %s: %w: all of its trusted relays", s.id.Short(), ErrLinkRevoked)
	}
	s.relays, s.trusted = link.Relays, trusted
	for _, p := range link.Peers {
		if info, err := peer.AddrInfoFromString(p); err == nil {
			if _, ok := trusted[info.ID]; ok {
				s.entry = append(s.entry, p)
			}
		}
	}
	if _, ok := trusted[n.host.ID()]; ok {
		return nil
	}
	if only != nil && !maps.Equal(*only, trusted) || only == nil && len(n.Swarms()) > 0 {
		return fmt.Errorf("join stream %s: %w", s.id.Short(), ErrConfined)
	}
	n.gate.only.Store(&trusted)
	for _, id := range n.host.Network().Peers() {
		if _, ok := trusted[id]; !ok {
			n.wg.Go(func() { _ = n.host.Network().ClosePeer(id) }) // it goes with the host otherwise
		}
	}
	return nil
}

// trusts reports whether a swarm may have to do with a peer. A trusted relay dials other such
// relays only: viewers come by themselves.
func (s *Swarm) trusts(id peer.ID) bool {
	if s.trusted == nil {
		return true
	}
	_, ok := s.trusted[id]
	return ok && !s.revokedPeer(id)
}

// revokedPeer reports whether a peer's key was revoked, as that of a trusted relay may be.
func (s *Swarm) revokedPeer(id peer.ID) bool {
	l := s.roles.Revocations()
	if l == nil {
		return false
	}
	key, err := stream.PeerKey(string(id))
	return err == nil && l.Has(key)
}

// distrustRevoked has the node of a viewer leave the trusted relays that were revoked.
func (s *Swarm) distrustRevoked() {
	n := s.node
	only := n.gate.only.Load()
	if s.trusted == nil || only == nil {
		return
	}
	kept := maps.Clone(*only)
	maps.DeleteFunc(kept, func(id peer.ID, _ struct{}) bool { return s.revokedPeer(id) })
	n.gate.only.Store(&kept)
	for id := range *only {
		if _, ok := kept[id]; !ok {
			s.note(func(time.Time) { n.wg.Go(func() { _ = n.host.Network().ClosePeer(id) }) })
		}
	}
}
