package p2p

import (
	"slices"
	"sync"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
)

// maxPeerTopics bounds the subscriptions of a peer: 500 streams of one rendition.
// pubsub keeps all that a peer names for as long as it is connected, also those of
// streams that this node may join later.
const maxPeerTopics = 1000

// subscriptions is pubsub's filter of topics.
type subscriptions struct {
	mu     sync.Mutex // guards all following
	topics map[peer.ID]map[string]struct{}
}

var _ pubsub.SubscriptionFilter = (*subscriptions)(nil)

// CanSubscribe implements pubsub.SubscriptionFilter.
func (f *subscriptions) CanSubscribe(topic string) bool { return topicPattern.MatchString(topic) }

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
