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
	if s, rendition := n.swarmOf(rpc.GetTopicID()); s != nil {
		s.onPartial(from, rendition, rpc)
	}
}

// onEmitGossip tells a swarm to tell peers outside its mesh of a part. It runs on
// pubsub's event loop.
func (n *Node) onEmitGossip(topic string, group []byte, peers []peer.ID) {
	s, rendition := n.swarmOf(topic)
	position, err := parsePosition(group)
	if s != nil && err == nil {
		s.onEmitGossip(stream.PartID{Stream: s.id, Rendition: rendition, Position: position}, slices.Clone(peers))
	}
}

// onMesh runs on pubsub's event loop.
func (n *Node) onMesh(topic string, id peer.ID, grafted bool) {
	if s, name := n.swarmOf(topic); s != nil && name != surveyName && name != moderateName { // whose meshes carry no media
		s.onMesh(topic, id, grafted)
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
	s, rendition := n.swarmOf(rpc.Partial.GetTopicID())
	position, err := parsePosition(rpc.Partial.GetGroupID())
	if s != nil && err == nil {
		s.onDropped(to, stream.PartID{Stream: s.id, Rendition: rendition, Position: position})
	}
}

// carriedRendition reports whether a topic is that of a rendition's chunks that this
// node carries. It runs on pubsub's event loop.
func (n *Node) carriedRendition(topic string) bool {
	s, rendition := n.swarmOf(topic)
	return s != nil && rendition != "" && s.carries(rendition)
}
