package p2p

import (
	"slices"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/stream"
)

// onPartial takes a partial message. It runs on pubsub's event loop.
func (n *Node) onPartial(from peer.ID, rpc *pb.PartialMessagesExtension) {
	id, rendition, ok := parseTopic(rpc.GetTopicID())
	if !ok {
		return
	}
	if s := n.swarm(id); s != nil {
		s.onPartial(from, rendition, rpc)
	}
}

// onEmitGossip tells a swarm to tell peers outside its mesh of a part. It runs on
// pubsub's event loop.
func (n *Node) onEmitGossip(topic string, group []byte, peers []peer.ID) {
	id, rendition, ok := parseTopic(topic)
	s := n.swarm(id)
	position, err := parsePosition(group)
	if ok && s != nil && err == nil {
		s.onEmitGossip(stream.PartID{Stream: id, Rendition: rendition, Position: position}, slices.Clone(peers))
	}
}

// onMesh runs on pubsub's event loop.
func (n *Node) onMesh(topic string, id peer.ID, grafted bool) {
	if streamID, _, ok := parseTopic(topic); ok {
		if s := n.swarm(streamID); s != nil {
			s.onMesh(topic, id, grafted)
		}
	}
}

// onPeerGone runs on pubsub's event loop.
func (n *Node) onPeerGone(id peer.ID) {
	for _, s := range n.Swarms() {
		s.onPeerGone(id)
	}
}

// onDropRPC runs on pubsub's event loop.
func (n *Node) onDropRPC(rpc *pubsub.RPC, to peer.ID) {
	n.mu.Lock()
	n.dropped++
	n.mu.Unlock()
	if rpc.Partial == nil {
		return
	}
	id, rendition, ok := parseTopic(rpc.Partial.GetTopicID())
	s := n.swarm(id)
	position, err := parsePosition(rpc.Partial.GetGroupID())
	if ok && s != nil && err == nil {
		s.onDropped(to, stream.PartID{Stream: id, Rendition: rendition, Position: position})
	}
}

// joinedRendition reports whether a topic carries the chunks of a rendition that this
// node has joined. It runs on pubsub's event loop.
func (n *Node) joinedRendition(topic string) bool {
	id, rendition, ok := parseTopic(topic)
	if !ok || rendition == "" {
		return false
	}
	s := n.swarm(id)
	return s != nil && s.timeline(rendition) != nil
}
