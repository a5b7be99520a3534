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

// ErrRelaysExpired is wrapped when a stream is to be joined by a link whose trusted relays' delegations
// have ended, or have not begun.
var ErrRelaysExpired = errors.New("the delegations of its trusted relays are of another time")

// relayPeer returns the peer ID of a trusted relay. Errors wrap [ErrBadPeer].
func relayPeer(r stream.Relay) (peer.ID, error) {
	if r.Word != nil {
		return peer.ID(stream.KeyPeer(r.Word.Delegate)), nil
	}
	id, err := peer.Decode(r.ID)
	if err != nil {
		return "", fmt.Errorf("%w: trusted relay %q: %w", ErrBadPeer, r.ID, err)
	}
	return id, nil
}

// trusted are the relays that a link names, each with its delegation, nil where the link's list is all
// that names it.
type trusted map[peer.ID]*stream.Delegation

// confine has a swarm keep to the trusted relays that a link names. Unless this node is one of
// them, it connects to nobody else from then on. Node.joining is held.
func (s *Swarm) confine(link stream.Link) error {
	list := link.Relays.List()
	n := s.node
	only := n.gate.only.Load()
	if len(list) == 0 {
		if only != nil {
			return fmt.Errorf("join stream %s: %w", s.id.Short(), ErrConfined)
		}
		return nil
	}
	now := n.clock(time.Now())
	relays := make(trusted, len(list))
	all := make(map[peer.ID]struct{}, len(list))
	var last error
	for _, r := range list {
		id, err := relayPeer(r)
		if err != nil {
			return err
		}
		if err := s.distrusts(id, r.Word, now); err != nil {
			last = err
			if id == n.host.ID() {
				s.log.Warn("this node is no trusted relay of the stream, though its link says so", "err", err)
			}
			continue
		}
		relays[id] = r.Word
		all[id] = struct{}{}
	}
	if len(all) == 0 {
		return fmt.Errorf("join stream %s: all of its trusted relays: %w", s.id.Short(), last)
	}
	s.relays, s.trusted = link.Relays, relays
	for _, p := range link.Peers {
		if info, err := peer.AddrInfoFromString(p); err == nil {
			if _, ok := relays[info.ID]; ok {
				s.entry = append(s.entry, p)
			}
		}
	}
	if _, ok := relays[n.host.ID()]; ok {
		return nil
	}
	if only != nil && !maps.Equal(*only, all) || only == nil && len(n.Swarms()) > 0 {
		return fmt.Errorf("join stream %s: %w", s.id.Short(), ErrConfined)
	}
	n.gate.only.Store(&all)
	for _, id := range n.host.Network().Peers() {
		if _, ok := all[id]; !ok {
			n.wg.Go(func() { _ = n.host.Network().ClosePeer(id) }) // it goes with the host otherwise
		}
	}
	return nil
}

// distrusts says why a peer is no trusted relay at a time though a link names it; nil if it is one.
// Errors wrap [ErrLinkRevoked] or [ErrRelaysExpired].
func (s *Swarm) distrusts(id peer.ID, word *stream.Delegation, now time.Time) error {
	if s.revokedPeer(id) {
		return ErrLinkRevoked
	}
	if word == nil {
		return nil
	}
	if err := word.HoldsAt(now); err != nil {
		return fmt.Errorf("%w: %w", ErrRelaysExpired, err)
	}
	return nil
}

// trusts reports whether a swarm may have to do with a peer. A trusted relay dials other such
// relays only: viewers come by themselves.
func (s *Swarm) trusts(id peer.ID) bool {
	if s.trusted == nil {
		return true
	}
	word, ok := s.trusted[id]
	return ok && s.distrusts(id, word, s.node.clock(time.Now())) == nil
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

// leaveDistrusted has the node of a viewer leave the trusted relays that were revoked, or whose
// delegations have ended.
func (s *Swarm) leaveDistrusted() {
	n := s.node
	if word, own := s.trusted[n.host.ID()]; own {
		if err := s.distrusts(n.host.ID(), word, n.clock(time.Now())); err != nil && s.dismissed.CompareAndSwap(false, true) {
			s.log.Warn("this node is a trusted relay of the stream no more: viewers leave it", "err", err)
		}
	}
	var only *map[peer.ID]struct{}
	var kept map[peer.ID]struct{}
	for done := false; !done; {
		if only = n.gate.only.Load(); s.trusted == nil || only == nil {
			return
		}
		kept = maps.Clone(*only)
		maps.DeleteFunc(kept, func(id peer.ID, _ struct{}) bool { return !s.trusts(id) })
		done = n.gate.only.CompareAndSwap(only, &kept) // unless another one was left meanwhile
	}
	for id := range *only {
		if _, ok := kept[id]; !ok {
			s.log.Warn("relay left, which is trusted no more", "peer", id)
			s.note(func(time.Time) { n.wg.Go(func() { _ = n.host.Network().ClosePeer(id) }) })
		}
	}
}

// relaysEvery is how often a node looks whether its trusted relays' delegations still hold: its clock may
// be set meanwhile, or the machine sleep.
const relaysEvery = 10 * time.Second

// followRelays leaves trusted relays when their delegations end, by this node's clock.
func (s *Swarm) followRelays() {
	ticker := time.NewTicker(relaysEvery)
	defer ticker.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-ticker.C:
			s.leaveDistrusted()
		}
	}
}

// byWord reports whether there is a trusted relay whose delegation can end.
func (t trusted) byWord() bool {
	for _, word := range t {
		if word != nil {
			return true
		}
	}
	return false
}
