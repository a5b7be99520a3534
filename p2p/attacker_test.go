package p2p_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"iter"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p-pubsub/partialmessages"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

// attacker is a peer that speaks gossipsub and the topics of a stream, and says what
// a test lets it say.
type attacker struct {
	host    host.Host
	ps      *pubsub.PubSub
	headers *pubsub.Topic
	chunks  string
	stop    context.CancelFunc

	mu    sync.Mutex
	seen  []*stream.SignedHeader
	onRPC func(from peer.ID, rpc *pb.PartialMessagesExtension)
}

func newAttacker(t *testing.T, h host.Host, id stream.ID) *attacker {
	t.Helper()
	return newAttackerOf(t, h, id, "main")
}

// newAttackerOf is newAttacker in another rendition.
func newAttackerOf(t *testing.T, h host.Host, id stream.ID, rendition string) *attacker {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	a := &attacker{host: h, stop: cancel, chunks: "gv1/" + id.String()[:16] + "/" + rendition}
	var err error
	a.ps, err = pubsub.NewGossipSub(ctx, h,
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
		pubsub.WithMessageIdFn(func(m *pb.Message) string { s := sha256.Sum256(m.GetData()); return string(s[:]) }),
		pubsub.WithPartialMessagesExtension(&partialmessages.PartialMessagesExtension[struct{}]{
			Logger:       slog.New(slog.DiscardHandler),
			OnEmitGossip: func(string, []byte, []peer.ID, map[peer.ID]struct{}) {},

			PeerInitiatedGroupLimitPerTopicPerPeer: 1000,
			PeerInitiatedGroupLimitPerTopic:        1000,
			OnIncomingRPC: func(from peer.ID, _ map[peer.ID]struct{}, rpc *pb.PartialMessagesExtension) error {
				a.mu.Lock()
				f := a.onRPC
				a.mu.Unlock()
				if f != nil {
					go f(from, rpc) // publishing from here would deadlock
				}
				return nil
			},
		}))
	if err != nil {
		t.Fatal(err)
	}
	if a.headers, err = a.ps.Join("gv1/" + id.String()[:16]); err != nil {
		t.Fatal(err)
	}
	sub, err := a.headers.Subscribe()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			m, err := sub.Next(ctx)
			if err != nil {
				return
			}
			if h, err := stream.OpenHeader(id, m.Data); err == nil {
				a.mu.Lock()
				a.seen = append(a.seen, h)
				a.mu.Unlock()
			}
		}
	}()
	chunks, err := a.ps.Join(a.chunks, pubsub.RequestPartialMessages())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := chunks.Subscribe(); err != nil {
		t.Fatal(err)
	}
	return a
}

// say sends partial messages to a peer.
func (a *attacker) say(t *testing.T, to peer.ID, group, metadata, chunk []byte) {
	t.Helper()
	err := pubsub.PublishPartial(a.ps, a.chunks, group, func(map[peer.ID]struct{}, func(peer.ID) bool) iter.Seq2[peer.ID, partialmessages.PublishAction] {
		return func(yield func(peer.ID, partialmessages.PublishAction) bool) {
			yield(to, partialmessages.PublishAction{EncodedPartsMetadata: metadata, EncodedPartialMessage: chunk})
		}
	})
	if err != nil {
		t.Errorf("attacker: %v", err)
	}
}

func (a *attacker) first(t *testing.T) *stream.SignedHeader {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.seen) == 0 {
		t.Fatal("the attacker saw no header")
	}
	return a.seen[0]
}

// besieged runs a broadcaster (host 0), a victim that knows both others (1) and an
// attacker (2), broadcasts for a while and then calls attack. What the victim holds
// afterwards must be what was broadcast.
func besieged(t *testing.T, attack func(net *p2ptest.Network, a *attacker, victim *p2p.Swarm)) {
	t.Helper()
	besiegedBy(t, func(_ stream.Key, net *p2ptest.Network, a *attacker, victim *p2p.Swarm) { attack(net, a, victim) })
}

// besiegedBy is besieged for an attack that needs what the stream's key signed.
func besiegedBy(t *testing.T, attack func(key stream.Key, net *p2ptest.Network, a *attacker, victim *p2p.Swarm)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 500_000}
		net := p2ptest.New(t, latency)
		net.AddNode(p2ptest.Link{})
		net.AddNode(p2ptest.Link{})
		net.AddHost(p2ptest.Link{})
		net.Start()
		defer net.Close()
		victim := join(t, net, 1, net.Link(src.Key.ID(), 0))
		a := newAttacker(t, net.Host(2), src.Key.ID())
		defer a.stop()
		net.Connect(2, 1)
		time.Sleep(3 * time.Second)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan map[stream.Position][]byte)
		go func() { done <- src.Run(ctx, t, net.Node(0), 1000, false) }()
		time.Sleep(5 * time.Second)
		attack(src.Key, net, a, victim)
		time.Sleep(5 * time.Second)
		cancel()
		sent := <-done
		time.Sleep(3 * time.Second)
		if missing := p2ptest.Missing(net.Node(1), src.Key.ID(), sent); len(missing) > 0 {
			t.Errorf("the victim lacks %d of %d parts: %v", len(missing), len(sent), missing)
		}
		if got, want := len(victim.Timelines()[0].From(stream.Position{})), len(sent); got != want {
			t.Errorf("the victim knows %d headers, want the %d that were broadcast", got, want)
		}
	})
}

// refused checks that the victim refused something of the attacker and penalised it.
func refused(t *testing.T, s p2p.SwarmStats, a *attacker) {
	t.Helper()
	if s.Penalties == 0 {
		t.Error("nobody was penalised")
	}
	for _, p := range s.Peers {
		if p.ID == a.host.ID() && p.Refused > 0 {
			return
		} else if p.Refused > 0 {
			t.Errorf("an honest peer is blamed for %d messages", p.Refused)
		}
	}
	if s.PeersCutOff == 0 { // after which it is not among the peers
		t.Error("the attacker's messages were not counted as refused")
	}
}

func group(p stream.Position) []byte {
	b := binary.AppendUvarint(nil, p.Epoch)
	b = binary.AppendUvarint(b, p.Segment)
	return binary.AppendUvarint(b, uint64(p.Part))
}
