package bench

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"testing"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
)

// classicMessage is how much of a part goes into one message. With 8 KiB, the size of our
// chunks, ordinary messages fare worse.
const classicMessage = 32 << 10

// classicPatience is how much longer than the deadline late messages are waited for, so
// that it can be told how late they are.
const classicPatience = 30 * time.Second

// runClassic moves the same stream as ordinary gossipsub messages, on the same hosts,
// links and connections, with gossipsub's default parameters. Only the outbound queues
// are as long as ours: at their default of 32 messages they lose chunks outright. There
// is no warm-up: what falls behind in it would count as traffic of what is measured.
func runClassic(t *testing.T, s scenario, seed int64) result {
	s.warmup = 0
	tr := newTrial(t, s, seed)
	tr.patience = classicPatience
	for _, l := range tr.links {
		tr.net.AddHost(l)
	}
	tr.net.Start()
	defer tr.net.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var source *pubsub.Topic
	for i := range s.nodes {
		ps, err := pubsub.NewGossipSub(ctx, tr.net.Host(i),
			pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
			pubsub.WithMessageIdFn(func(m *pb.Message) string { sum := sha256.Sum256(m.GetData()); return string(sum[:16]) }),
			pubsub.WithPeerOutboundQueueSize(1024), pubsub.WithValidateQueueSize(1024))
		if err != nil {
			t.Fatal(err)
		}
		topic, err := ps.Join("classic")
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
				tr.arrivals.receive(i, int(binary.BigEndian.Uint32(m.Data)), len(m.Data))
			}
		}()
	}
	tr.net.ConnectRandomly(dials, seed)
	time.Sleep(settle)
	return tr.measure(func(i int, _ time.Time, data []byte) error {
		tr.arrivals.chunks(i, (len(data)+classicMessage-1)/classicMessage)
		for n := 0; n < len(data); n += classicMessage {
			message := binary.BigEndian.AppendUint32(nil, uint32(i))
			message = append(message, data[n:min(len(data), n+classicMessage)]...)
			if err := source.Publish(ctx, message); err != nil {
				return err
			}
		}
		return nil
	}, nil)
}
