package p2p

import (
	"slices"
	"strings"
	"sync"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// topicPrefix begins every topic: grapevine, version 1. Topics are part of every
	// message, so they are short.
	topicPrefix = "gv1/"
	// topicNameLen is how many characters of a stream's ID its topics hold: 80 bits.
	topicNameLen = 16
)

// topicName returns how topics name a stream.
func topicName(id stream.ID) string { return id.String()[:topicNameLen] }

func headersTopic(id stream.ID) string { return topicPrefix + topicName(id) }

func chunksTopic(id stream.ID, rendition string) string {
	return headersTopic(id) + "/" + rendition
}

// parseTopic returns the name of a topic's stream, which is topicName of its ID, and
// the rendition; headers have none.
func parseTopic(topic string) (name, rendition string, ok bool) {
	rest, ok := strings.CutPrefix(topic, topicPrefix)
	if !ok {
		return "", "", false
	}
	name, rendition, chunks := strings.Cut(rest, "/")
	if len(name) != topicNameLen || chunks && !stream.ValidRendition(rendition) {
		return "", "", false
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return "", "", false
		}
	}
	return name, rendition, true
}

// maxPeerTopics bounds the subscriptions of a peer: 333 streams of one rendition.
// pubsub keeps all that a peer names for as long as it is connected, also those of
// streams that this node may join later.
const maxPeerTopics = 1000

// subscriptions is pubsub's filter of topics.
type subscriptions struct {
	directory bool // whether this node takes part in it

	mu     sync.Mutex // guards all following
	topics map[peer.ID]map[string]struct{}
}

var _ pubsub.SubscriptionFilter = (*subscriptions)(nil)

// CanSubscribe implements pubsub.SubscriptionFilter.
func (f *subscriptions) CanSubscribe(topic string) bool {
	_, _, ok := parseTopic(topic)
	return ok || topic == directoryTopic && f.directory
}

// FilterIncomingSubscriptions implements pubsub.SubscriptionFilter. It runs on pubsub's
// event loop.
func (f *subscriptions) FilterIncomingSubscriptions(from peer.ID, subs []*pb.RPC_SubOpts) ([]*pb.RPC_SubOpts, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	known := f.topics[from]
	if known == nil {
		known = make(map[string]struct{})
		f.topics[from] = known
	}
	return slices.DeleteFunc(subs, func(sub *pb.RPC_SubOpts) bool {
		topic := sub.GetTopicid()
		if !sub.GetSubscribe() {
			delete(known, topic)
			return false
		}
		if _, ok := known[topic]; ok {
			return false
		}
		if !f.CanSubscribe(topic) || len(known) >= maxPeerTopics {
			return true
		}
		known[topic] = struct{}{}
		return false
	}), nil
}

// forget forgets a peer that disconnected.
func (f *subscriptions) forget(id peer.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.topics, id)
}
