package p2p

import (
	"testing"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"

	"github.com/grapevine-live/grapevine/stream"
)

func TestAllowance(t *testing.T) {
	a, now := newAllowances(), time.Now()
	took := 0
	for range 500 {
		if ok, _ := a.take("a", 1, 100, 200, now); ok {
			took++
		}
	}
	if took != 200 || a.drops() != 300 {
		t.Errorf("%d of 500 at once were taken, %d dropped, want 200 and 300", took, a.drops())
	}
	if ok, _ := a.take("b", 200, 100, 200, now); !ok {
		t.Error("another peer has no allowance")
	}
	if ok, _ := a.take("a", 101, 100, 200, now.Add(time.Second)); ok {
		t.Error("101 were taken after a second")
	}
	if ok, _ := a.take("a", 100, 100, 200, now.Add(time.Second)); !ok {
		t.Error("100 were not taken after a second")
	}
}

func TestWhoGoesOnSayingTooMuchFloods(t *testing.T) {
	a, now := newAllowances(), time.Now()
	a.take("a", 200, 100, 200, now)
	floods := 0
	for i := range 3 * maxOver {
		if _, over := a.take("a", 1, 0, 200, now); over {
			floods = max(floods, i)
			break
		}
	}
	if floods != maxOver-1 {
		t.Errorf("it floods after %d, want %d", floods+1, maxOver)
	}
	// A break of the network, after which much comes at once, is forgotten.
	now = now.Add(time.Minute)
	if _, over := a.take("a", 201, 100, 200, now); over {
		t.Error("it floods a minute later")
	}
}

func TestAllowancesAreBounded(t *testing.T) {
	a, now := newAllowances(), time.Now()
	for i := range 3 * maxAllowed {
		a.take(peerNumber(i), 1, 1, 1, now.Add(time.Duration(i)*time.Millisecond))
	}
	if len(a.peers) > maxAllowed {
		t.Errorf("%d peers are remembered", len(a.peers))
	}
}

// What a message says is counted, however it is put together.
func TestThings(t *testing.T) {
	topic, yes := "gv1/aaaaaaaaaaaaaaaa", true
	ids := make([]string, 160)
	for name, c := range map[string]struct {
		rpc  *pubsub.RPC
		want int
	}{
		"nothing":       {&pubsub.RPC{}, 1},
		"messages":      {&pubsub.RPC{RPC: pb.RPC{Publish: make([]*pb.Message, 100)}}, 101},
		"subscriptions": {&pubsub.RPC{RPC: pb.RPC{Subscriptions: []*pb.RPC_SubOpts{{Topicid: &topic, Subscribe: &yes}}}}, 1},
		"many of them":  {&pubsub.RPC{RPC: pb.RPC{Subscriptions: make([]*pb.RPC_SubOpts, 160)}}, 11},
		"announcements": {&pubsub.RPC{RPC: pb.RPC{Control: &pb.ControlMessage{Ihave: []*pb.ControlIHave{{MessageIDs: ids}}}}}, 12},
		"requests":      {&pubsub.RPC{RPC: pb.RPC{Control: &pb.ControlMessage{Iwant: []*pb.ControlIWant{{MessageIDs: ids}}}}}, 12},
		"grafts":        {&pubsub.RPC{RPC: pb.RPC{Control: &pb.ControlMessage{Graft: make([]*pb.ControlGraft, 20)}}}, 21},
	} {
		if got := things(c.rpc); got != c.want {
			t.Errorf("%s: %d things, want %d", name, got, c.want)
		}
	}
}

// BenchmarkForgedHeader is what it costs to refuse a header within a peer's allowance: four, and
// its sender is cut off.
func BenchmarkForgedHeader(b *testing.B) {
	key := stream.NewKey()
	p, err := stream.NewPublisher(key, "main", 1)
	if err != nil {
		b.Fatal(err)
	}
	h, _, err := p.Publish(stream.Part{StartsSegment: true, Duration: time.Second, ProgramTime: time.Now(), Data: make([]byte, 250_000)})
	if err != nil {
		b.Fatal(err)
	}
	forged := append([]byte(nil), h.Bytes()...)
	forged[len(forged)-1] ^= 1
	for b.Loop() {
		if _, err := stream.OpenHeader(key.ID(), forged); err == nil {
			b.Fatal("a forgery was opened")
		}
	}
}

// BenchmarkHeaderBeyondAllowance is what it costs to drop one of a flood.
func BenchmarkHeaderBeyondAllowance(b *testing.B) {
	said := newAllowances()
	rpc := &pubsub.RPC{RPC: pb.RPC{Publish: []*pb.Message{{Data: make([]byte, 2000)}}}}
	for b.Loop() {
		if ok, _ := said.take("a", things(rpc), 0, 1, time.Now()); ok {
			b.Fatal("it was taken")
		}
	}
}
