package bench

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math/rand"
	"testing"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"

	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

// runClassic moves the same chunks as ordinary gossipsub messages, on the same hosts,
// links and connections, with gossipsub's default parameters. Only the outbound queues
// are as long as ours: at their default of 32 messages they lose chunks outright.
func runClassic(t *testing.T, s scenario, seed int64) result {
	const topicName = "classic"
	r := rand.New(rand.NewSource(seed))
	a := newArrivals(s.Deadline)
	net := p2ptest.New(t, s.Latency)
	uplinks := s.addHosts(r, func(_ int, l p2ptest.Link) { net.AddHost(l) })
	net.Start()
	defer net.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var source *pubsub.Topic
	for i := range s.Nodes {
		ps, err := pubsub.NewGossipSub(ctx, net.Host(i),
			pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
			pubsub.WithMessageIdFn(func(m *pb.Message) string { sum := sha256.Sum256(m.GetData()); return string(sum[:16]) }),
			pubsub.WithPeerOutboundQueueSize(1024), pubsub.WithValidateQueueSize(1024))
		if err != nil {
			t.Fatal(err)
		}
		topic, err := ps.Join(topicName)
		if err != nil {
			t.Fatal(err)
		}
		sub, err := topic.Subscribe(pubsub.WithBufferSize(4096))
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			source = topic
		}
		go func() {
			for {
				m, err := sub.Next(ctx)
				if err != nil {
					return
				}
				if i > 0 {
					n := binary.BigEndian.Uint32(m.Data)
					a.receive(i, partPosition(int(n)))
				}
			}
		}()
	}
	net.ConnectRandomly(dials, seed)
	time.Sleep(5 * time.Second)
	return s.measure(t, r, net, a, uplinks, func(i int, _ time.Time, data []byte) error {
		for n := 0; n < len(data); n += stream.MaxChunkSize {
			message := binary.BigEndian.AppendUint32(nil, uint32(i))
			message = append(message, data[n:min(len(data), n+stream.MaxChunkSize)]...)
			if err := source.Publish(ctx, message); err != nil {
				return err
			}
		}
		return nil
	})
}
