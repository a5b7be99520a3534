package p2p

import (
	"fmt"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/p2p/schedule"

	"github.com/grapevine-live/grapevine/stream"
)

// refuse counts a refused message that no honest peer sends, and reports its sender
// to gossipsub's scoring. It must not be called from pubsub's event loop.
func (s *Swarm) refuse(from peer.ID, reason string, err error) {
	s.count(func(c *counters) {
		c.stats.ChunksRefused++
		c.peer(from).Refused++
	})
	s.log.Debug("message refused", "peer", from, "reason", reason, "err", err)
	s.penalise(from, misconduct(reason))
}

// penalise lowers a peer's score, and cuts it off if that was one fault too many. It must not
// be called from pubsub's event loop.
func (s *Swarm) penalise(id peer.ID, why Misconduct) {
	s.fault(id, why)
	s.lowerScore(id)
}

// lowerScore lowers a peer's score in gossipsub. It must not be called from pubsub's event loop.
func (s *Swarm) lowerScore(id peer.ID) {
	s.count(func(c *counters) { c.stats.Penalties++ })
	// The score of the stream's topics is one sum; the topic of headers is always there.
	if err := s.node.ps.PeerFeedback(headersTopic(s.id), id, pubsub.PeerFeedbackInvalidMessage); err != nil && s.ctx.Err() == nil {
		s.log.Warn("cannot report peer", "peer", id, "err", err)
	}
}

// onIdentified notes that a peer that speaks the fetch protocol is connected.
func (s *Swarm) onIdentified(id peer.ID) {
	s.note(func(now time.Time) { s.repair.onIdentified(id, now) })
}

// onDisconnected notes that a peer left, whether it spoke gossipsub or not.
func (s *Swarm) onDisconnected(id peer.ID) {
	s.note(func(now time.Time) {
		s.exchange.onGone(id, now) // which pubsub may never have heard of
		s.repair.onGone(id, now)
	})
}

// onPartial takes a partial message. It runs on pubsub's event loop, so the message
// is only read here; the loop verifies it.
func (s *Swarm) onPartial(from peer.ID, rendition string, rpc *pb.PartialMessagesExtension) {
	position, err := parsePosition(rpc.GetGroupID())
	var meta schedule.Metadata
	if err == nil && len(rpc.PartsMetadata) > 0 {
		meta, err = parseMetadata(rpc.PartsMetadata)
	}
	var chunks []chunkMessage
	if err == nil && len(rpc.PartialMessage) > 0 {
		chunks, err = parseChunks(rpc.PartialMessage)
	}
	if rendition == "" {
		err = fmt.Errorf("%w: a partial message on the topic of headers", errWire)
	}
	if err != nil {
		s.post(from, func(time.Time) { s.refuse(from, refusedMalformed, err) })
		return
	}
	id := stream.PartID{Stream: s.id, Rendition: rendition, Position: position}
	s.post(from, func(now time.Time) {
		if len(rpc.PartsMetadata) > 0 {
			s.exchange.onMetadata(from, id, meta, now)
		}
		for _, c := range chunks {
			if s.exchange.onChunk(from, id, c, false, now) != nil {
				return // whoever sends what no honest peer sends is not heard on
			}
		}
	})
}

// onEmitGossip runs on pubsub's event loop.
func (s *Swarm) onEmitGossip(id stream.PartID, peers []peer.ID) {
	s.note(func(time.Time) { s.exchange.onGossip(id, peers) })
}

// onMesh notes a change of the mesh. It runs on pubsub's event loop.
func (s *Swarm) onMesh(topic string, id peer.ID, grafted bool) {
	s.mu.Lock()
	peers := s.mesh[topic]
	if peers == nil {
		peers = make(map[peer.ID]struct{})
		s.mesh[topic] = peers
	}
	if grafted {
		peers[id] = struct{}{}
	} else {
		delete(peers, id)
	}
	s.mu.Unlock()
	s.note(func(time.Time) { s.exchange.onNeighbour() })
}

// onPeerGone notes that a peer disconnected. It runs on pubsub's event loop.
func (s *Swarm) onPeerGone(id peer.ID) {
	s.mu.Lock()
	for _, peers := range s.mesh {
		delete(peers, id)
	}
	delete(s.subscribed, id)
	s.mu.Unlock()
	s.note(func(now time.Time) {
		s.exchange.onGone(id, now)
		s.repair.onGone(id, now)
	})
	s.dialer.wake()
}

// onDropped notes a lost message. It runs on pubsub's event loop.
func (s *Swarm) onDropped(id peer.ID, part stream.PartID) {
	s.note(func(now time.Time) { s.exchange.onDropped(id, part, now) })
}
