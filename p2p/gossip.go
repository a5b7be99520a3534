package p2p

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p-pubsub/partialmessages"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// outboundQueue is how many messages may wait for one peer. pubsub's default of
	// 32 drops silently under load; ours is bounded by sendWindow instead.
	outboundQueue = 1024
	// maxRPC bounds what a peer can make pubsub read at once: a chunk with its
	// envelope, several times.
	maxRPC = 4 * stream.MaxChunkSize
	// groupTTL is how many heartbeats (of a second) pubsub keeps a part's state.
	groupTTL = int(exchangeTTL / time.Second)
	// maxPeerGroups is how many parts a peer may tell us of before their headers reach
	// us, maxGroups for all peers of a topic. Who was away is told of all parts of exchangeTTL,
	// and hears nothing of new ones from who told it of too many.
	maxPeerGroups = 128
	maxGroups     = 1024
)

// errNotJoined refuses partial messages on topics that this node is not part of. An
// honest peer sends them for a moment after the node left.
var errNotJoined = errors.New("partial message on a topic that was not joined")

// peerState is pubsub's state of a peer in a part's group. Ours lives in [exchange].
type peerState = struct{}

// newPubSub starts gossipsub on h, wired to n.
func newPubSub(ctx context.Context, h host.Host, n *Node) (*pubsub.PubSub, error) {
	ext := &partialmessages.PartialMessagesExtension[peerState]{
		Logger: slog.New(slog.DiscardHandler),
		OnIncomingRPC: func(from peer.ID, peers map[peer.ID]peerState, rpc *pb.PartialMessagesExtension) error {
			peers[from] = peerState{}
			n.onPartial(from, rpc)
			return nil
		},
		OnEmitGossip: func(topic string, group []byte, peers []peer.ID, _ map[peer.ID]peerState) {
			n.onEmitGossip(topic, group, peers)
		},
		PeerInitiatedGroupLimitPerTopic:        maxGroups,
		PeerInitiatedGroupLimitPerTopicPerPeer: maxPeerGroups,
		GroupTTLByHeatbeat:                     groupTTL,
	}
	ps, err := pubsub.NewGossipSub(ctx, newGossipHost(n, h),
		// Headers carry the broadcaster's own signature; who passed them on is nobody's business.
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
		pubsub.WithMessageIdFn(func(m *pb.Message) string {
			sum := sha256.Sum256(m.GetData())
			return string(sum[:16])
		}),
		pubsub.WithGossipSubParams(meshParams(n.cfg.MaxUpload)),
		pubsub.WithMaxMessageSize(maxRPC),
		pubsub.WithPeerOutboundQueueSize(outboundQueue),
		pubsub.WithSubscriptionFilter(&n.subscriptions),
		pubsub.WithPeerScore(scoreParams(n.appScore), scoreThresholds()),
		pubsub.WithPeerScoreInspect(n.inspectScores, scoresEvery),
		pubsub.WithAppSpecificRpcInspector(n.inspect),
		pubsub.WithPartialMessagesExtension(ext),
		pubsub.WithRawTracer(tracer{n}),
		pubsub.WithLogger(slog.New(slog.DiscardHandler)),
		pubsub.WithRPCLogger(slog.New(slog.DiscardHandler)),
	)
	if err != nil {
		return nil, fmt.Errorf("start gossipsub: %w", err)
	}
	return ps, nil
}

// invalidWeight makes three refused messages within a few minutes cost a peer its
// place in the mesh and its gossip (-90), four its messages (-160).
const (
	invalidWeight      = -10
	gossipThreshold    = -40
	publishThreshold   = -80
	graylistThreshold  = -100
	invalidDecayWindow = 10 * time.Minute
	// scoresEvery is how often it is looked whom gossipsub's own rules shut out.
	scoresEvery = time.Second
)

// meshParams makes the mesh smaller than gossipsub's default of six, and lets it grow
// larger. It carries headers, of which each node gets one copy from nearly every neighbour
// in it; chunks have their own ways over more connections. Those who know no other peer
// than this node graft themselves, and get headers up to a second late if that is refused.
// upload is what the uplink carries, in bits per second; 0 if that is unknown.
func meshParams(upload int) pubsub.GossipSubParams {
	p := pubsub.DefaultGossipSubParams()
	p.D, p.Dlo, p.Dhi, p.Dscore, p.Dout = 4, 2, usualMesh, 2, 1
	if upload > 0 {
		p.Dhi = max(leastMesh, min(mostMesh, int(headerShare*float64(upload)/headerRate)))
	}
	return p
}

const (
	// usualMesh is the largest mesh of a node whose uplink is unknown; leastMesh and mostMesh
	// bound that of others.
	usualMesh = 24
	leastMesh = 7
	mostMesh  = 192
	// headerShare is the part of its uplink that a node spends on headers at most, and
	// headerRate what they take of it for each neighbour, in bits per second, with parts
	// of half a second at 4 Mbit/s.
	headerShare = 0.05
	headerRate  = 12_000
)

func scoreThresholds() *pubsub.PeerScoreThresholds {
	return &pubsub.PeerScoreThresholds{
		GossipThreshold:   gossipThreshold,
		PublishThreshold:  publishThreshold,
		GraylistThreshold: graylistThreshold,
	}
}

func scoreParams(app func(peer.ID) float64) *pubsub.PeerScoreParams {
	return &pubsub.PeerScoreParams{
		Topics:                      map[string]*pubsub.TopicScoreParams{},
		AppSpecificScore:            app,
		AppSpecificWeight:           1,
		BehaviourPenaltyWeight:      -1,
		BehaviourPenaltyThreshold:   6,
		BehaviourPenaltyDecay:       pubsub.ScoreParameterDecay(10 * time.Minute),
		DecayInterval:               time.Second,
		DecayToZero:                 0.01,
		RetainScore:                 invalidDecayWindow, // by when nothing is left of it
		IPColocationFactorWeight:    0,                  // households and offices share addresses
		IPColocationFactorThreshold: 1,
	}
}

// topicScore scores forgery only: who is slow is the scheduler's business.
func topicScore() *pubsub.TopicScoreParams {
	return &pubsub.TopicScoreParams{
		SkipAtomicValidation:           true,
		TopicWeight:                    1,
		TimeInMeshQuantum:              time.Second,
		InvalidMessageDeliveriesWeight: invalidWeight,
		InvalidMessageDeliveriesDecay:  pubsub.ScoreParameterDecay(invalidDecayWindow),
	}
}

// tracer tells swarms about their mesh. All calls come from pubsub's event loop and
// must not block.
type tracer struct{ n *Node }

func (t tracer) Graft(p peer.ID, topic string)                { t.n.onMesh(topic, p, true) }
func (t tracer) Prune(p peer.ID, topic string)                { t.n.onMesh(topic, p, false) }
func (t tracer) DropRPC(rpc *pubsub.RPC, p peer.ID)           { t.n.onDropRPC(rpc, p) }
func (t tracer) OnNewOutboundStream(p peer.ID, _ protocol.ID) { t.n.outbound.set(p, true) }
func (t tracer) OnClosedOutboundStream(p peer.ID)             { t.n.outbound.set(p, false); t.n.onPeerGone(p) }
func (tracer) Join(string)                                    {}
func (tracer) Leave(string)                                   {}
func (tracer) ValidateMessage(*pubsub.Message)                {}
func (t tracer) DeliverMessage(m *pubsub.Message)             { t.n.newcomers.settle(m.ReceivedFrom, time.Now()) }
func (tracer) RejectMessage(*pubsub.Message, string)          {}
func (tracer) DuplicateMessage(*pubsub.Message)               {}
func (tracer) ThrottlePeer(peer.ID)                           {}
func (tracer) RecvRPC(*pubsub.RPC)                            {}
func (tracer) SendRPC(*pubsub.RPC, peer.ID)                   {}
func (tracer) UndeliverableMessage(*pubsub.Message)           {}
