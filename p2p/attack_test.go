package p2p_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"google.golang.org/protobuf/proto"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

func TestForgedHeadersAreRefusedAndTheirSenderShutOut(t *testing.T) {
	besieged(t, func(net *p2ptest.Network, a *attacker, victim *p2p.Swarm) {
		real := a.first(t)
		for i := range 20 {
			forged := append([]byte(nil), real.Bytes()...)
			forged[len(forged)-1-i] ^= 1 // in the signature
			if err := a.headers.Publish(context.Background(), forged); err != nil {
				t.Error(err)
			}
			time.Sleep(200 * time.Millisecond)
		}
		s := victim.Stats()
		refused(t, s, a)
		// Once the score is low enough, nothing of the attacker is even read.
		if n := s.HeadersRefused["forged"]; n < 3 || n > 6 {
			t.Errorf("%d of 20 forged headers were read, want a few until their sender was shut out", n)
		}
	})
}

func TestAnotherStreamsHeaderIsForged(t *testing.T) {
	besieged(t, func(net *p2ptest.Network, a *attacker, victim *p2p.Swarm) {
		p, err := stream.NewPublisher(stream.NewKey(), "main", 9)
		if err != nil {
			t.Fatal(err)
		}
		h, _, err := p.Publish(stream.Part{StartsSegment: true, Duration: time.Second, ProgramTime: time.Now(), Data: []byte("x")})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.headers.Publish(context.Background(), h.Bytes()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		s := victim.Stats()
		refused(t, s, a)
		if s.HeadersRefused["forged"] != 1 {
			t.Errorf("refused headers: %v, want one forged", s.HeadersRefused)
		}
	})
}

func TestReplayedHeadersAreRefused(t *testing.T) {
	t.Parallel()
	besieged(t, func(net *p2ptest.Network, a *attacker, victim *p2p.Swarm) {
		time.Sleep(190 * time.Second) // gossipsub itself remembers for two to three minutes
		if err := a.headers.Publish(context.Background(), a.first(t).Bytes()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		s := victim.Stats()
		refused(t, s, a)
		if s.HeadersRefused["stale"] != 1 {
			t.Errorf("refused headers: %v, want one stale", s.HeadersRefused)
		}
	})
}

func TestForgedChunksAreRefusedAndFetchedElsewhere(t *testing.T) {
	besieged(t, func(net *p2ptest.Network, a *attacker, victim *p2p.Swarm) {
		// The attacker claims to have everything and to stand next to the broadcaster,
		// promises whatever the victim wants, and sends rubbish.
		claim := append([]byte{0x0a, 1, 0xff, 0x22, 2, 0xff, 0xff, 0x2a, 8}, make([]byte, 8)...)
		rubbish := append([]byte{0}, make([]byte, 31250)...)
		a.mu.Lock()
		a.onRPC = func(from peer.ID, rpc *pb.PartialMessagesExtension) {
			a.say(t, from, rpc.GroupID, claim, nil)
			if len(rpc.PartsMetadata) > 3 { // it wants something
				a.say(t, from, rpc.GroupID, nil, rubbish)
			}
		}
		a.mu.Unlock()
		for i := range 100 {
			// The broadcaster's connection breaks again and again, so that the victim looks
			// for other parents; the dialer brings it back.
			if i%10 == 0 {
				net.Host(1).Network().ClosePeer(net.Host(0).ID())
			}
			a.mu.Lock()
			newest := a.seen[len(a.seen)-1].Position
			a.mu.Unlock()
			next := newest
			if next.Part++; next.Part == 4 {
				next.Segment, next.Part = next.Segment+1, 0
			}
			a.say(t, net.Host(1).ID(), group(newest), claim, nil)
			a.say(t, net.Host(1).ID(), group(next), claim, nil)
			time.Sleep(100 * time.Millisecond)
		}
		s := victim.Stats()
		refused(t, s, a)
		if s.ChunksRefused == 0 {
			t.Error("no chunk was refused")
		}
		t.Logf("%d chunks received, %d refused", s.ChunksReceived, s.ChunksRefused)
	})
}

func TestUnsolicitedOversizeAndMalformedMessagesAreRefused(t *testing.T) {
	for name, tt := range map[string]struct{ group, metadata, chunk []byte }{
		"chunk that nobody asked for":  {chunk: []byte{0, 1, 2, 3}},
		"chunk of 40000 bytes":         {chunk: make([]byte, 40000)},
		"chunk with an endless index":  {chunk: []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
		"metadata that is cut off":     {metadata: []byte{0x0a, 9, 1}},
		"bitmap of 1000 bytes":         {metadata: append([]byte{0x0a, 0xe8, 0x07}, make([]byte, 1000)...)},
		"group that is no position":    {group: []byte("not a position"), metadata: []byte{0x0a, 1, 1}},
		"group that is written longer": {group: []byte{0x81, 0, 0, 0}, metadata: []byte{0x0a, 1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			besieged(t, func(net *p2ptest.Network, a *attacker, victim *p2p.Swarm) {
				if tt.group == nil {
					tt.group = group(a.first(t).Position)
				}
				a.say(t, net.Host(1).ID(), tt.group, tt.metadata, tt.chunk)
				time.Sleep(time.Second)
				refused(t, victim.Stats(), a)
			})
		})
	}
}

func TestPeerThatOpensManyGroupsIsBounded(t *testing.T) {
	besieged(t, func(net *p2ptest.Network, a *attacker, victim *p2p.Swarm) {
		for i := range 2000 {
			a.say(t, net.Host(1).ID(), group(stream.Position{Epoch: 5, Segment: uint64(i)}), []byte{0x0a, 1, 1}, nil)
		}
	})
}

func TestFetchRequestsThatAreNoneEndTheStream(t *testing.T) {
	besieged(t, func(net *p2ptest.Network, a *attacker, victim *p2p.Swarm) {
		for name, request := range map[string][]byte{
			"nothing":         {},
			"endless length":  {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
			"length of 1 GiB": {0x80, 0x80, 0x80, 0x80, 0x04, 1},
			"cut off":         {9, 1, 2},
			"no message":      {3, 0xff, 0xff, 0xff},
			"short stream ID": {3, 0x0a, 1, 1},
		} {
			s, err := a.host.NewStream(context.Background(), net.Host(1).ID(), protocol.ID("/grapevine/fetch/1"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Write(request); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			s.CloseWrite()
			if b, err := io.ReadAll(bufio.NewReader(s)); len(b) > 0 {
				t.Errorf("%s was answered with %d bytes, %v", name, len(b), err)
			}
			s.Close()
		}
	})
}

func TestFetchedForgeriesAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := stream.NewKey()
		net := p2ptest.New(t, latency)
		net.AddNode(p2ptest.Link{})
		liar := net.AddHost(p2ptest.Link{})
		net.Start()
		defer net.Close()
		// A peer that answers every request with a header of another stream.
		p, err := stream.NewPublisher(stream.NewKey(), "main", 1)
		if err != nil {
			t.Fatal(err)
		}
		h, _, err := p.Publish(stream.Part{StartsSegment: true, Duration: time.Second, ProgramTime: time.Now(), Data: []byte("x")})
		if err != nil {
			t.Fatal(err)
		}
		liar.SetStreamHandler("/grapevine/fetch/1", answerWith(append(binary.AppendUvarint([]byte{}, uint64(len(h.Bytes())+3)), append([]byte{0x0a, byte(len(h.Bytes())&0x7f | 0x80), byte(len(h.Bytes()) >> 7)}, h.Bytes()...)...)))
		s := join(t, net, 0, net.Link(key.ID(), 1))
		time.Sleep(5 * time.Second)
		stats := s.Stats()
		if stats.HeadersRefused["forged"] == 0 || stats.Penalties == 0 {
			t.Errorf("refused headers: %v, penalised: %d; want forged ones, penalised", stats.HeadersRefused, stats.Penalties)
		}
		if n := len(s.Timelines()); n != 0 {
			t.Errorf("%d timelines came of forged headers", n)
		}
	})
}

// answerWith returns a handler that reads a request and answers with bytes.
func answerWith(b []byte) network.StreamHandler {
	return func(s network.Stream) {
		defer s.Close()
		if _, err := io.ReadAll(s); err == nil {
			s.Write(b)
		}
	}
}

func TestPeerThatFillsTheInboxHidesNoHeader(t *testing.T) {
	besieged(t, func(net *p2ptest.Network, a *attacker, victim *p2p.Swarm) {
		known := group(a.first(t).Position)
		// While the victim's loop is busy, one peer speaks without end.
		busy := make(chan struct{})
		go func() { victim.OnLoop(func() { time.Sleep(2 * time.Second) }); close(busy) }()
		for range 2000 {
			a.say(t, net.Host(1).ID(), known, []byte{0x0a, 1, 1}, nil)
			time.Sleep(100 * time.Microsecond)
		}
		<-busy
		if victim.Stats().EventsDropped == 0 {
			t.Error("the inbox was never full")
		}
	})
}

func TestPeerThatComesAndGoesHidesNoPart(t *testing.T) {
	besieged(t, func(net *p2ptest.Network, a *attacker, victim *p2p.Swarm) {
		for round := range 6 {
			for i := range 32 {
				a.say(t, net.Host(1).ID(), group(stream.Position{Epoch: 5, Segment: uint64(100*round + i)}), []byte{0x0a, 1, 1}, nil)
			}
			time.Sleep(100 * time.Millisecond)
			for _, c := range net.Host(2).Network().ConnsToPeer(net.Host(1).ID()) {
				c.Close()
			}
			time.Sleep(100 * time.Millisecond)
			net.Connect(2, 1)
			time.Sleep(time.Second)
		}
	})
}

func TestPeersThatLeftAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 500_000}
		net := p2ptest.New(t, latency)
		net.AddNode(p2ptest.Link{})
		for range 5 { // they fetch, but speak no gossipsub
			net.AddHost(p2ptest.Link{}).SetStreamHandler("/grapevine/fetch/1", answerWith(nil))
		}
		net.Start()
		defer net.Close()
		s := join(t, net, 0, stream.Link{Stream: src.Key.ID()})
		for i := range 5 {
			net.Connect(i+1, 0)
		}
		time.Sleep(time.Second)
		if n := s.Sources(); n != 5 {
			t.Errorf("%d peers may be asked, want 5", n)
		}
		for i := range 5 {
			net.Stop(i + 1)
		}
		time.Sleep(time.Second)
		if n := s.Sources(); n != 0 {
			t.Errorf("%d peers that left may be asked", n)
		}
	})
}

func TestSlowReadersOfAnswersAreCutOff(t *testing.T) {
	besieged(t, func(net *p2ptest.Network, a *attacker, victim *p2p.Swarm) {
		a.mu.Lock()
		var parts []stream.Position
		for i := range 64 { // each no more often than anybody may
			parts = append(parts, a.seen[i%len(a.seen)].Position)
		}
		a.mu.Unlock()
		s := request(t, a.host, net.Host(1).ID(), victim.ID(), parts...)
		defer s.Reset()
		var err error
		start := time.Now()
		for err == nil && time.Since(start) < time.Minute {
			_, err = io.CopyN(io.Discard, s, 6<<10)
			time.Sleep(100 * time.Millisecond)
		}
		if took := time.Since(start); took > 20*time.Second || took < 10*time.Second {
			t.Errorf("an answer took %v, want the 16 s that no honest peer waits for it", took)
		}
	})
}

func TestPeerThatSubscribesToEverythingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := p2ptest.New(t, latency)
		victim := net.AddNode(p2ptest.Link{})
		attacker := net.AddHost(p2ptest.Link{})
		attacker.SetStreamHandler(pubsub.GossipSubID_v12, func(s network.Stream) { io.Copy(io.Discard, s) })
		net.Start()
		defer net.Close()
		net.Connect(1, 0)
		s, err := attacker.NewStream(context.Background(), net.Host(0).ID(), pubsub.GossipSubID_v12)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Reset()
		var topics []string
		for range 20 {
			rpc := &pb.RPC{}
			for range 200 {
				topic, yes := "gv1/"+stream.ID{1, byte(len(topics)), byte(len(topics) >> 8)}.String()[:16], true
				topics = append(topics, topic)
				rpc.Subscriptions = append(rpc.Subscriptions, &pb.RPC_SubOpts{Topicid: &topic, Subscribe: &yes})
			}
			raw, err := proto.Marshal(rpc)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Write(append(binary.AppendUvarint(nil, uint64(len(raw))), raw...)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		known := 0
		for _, topic := range topics {
			if victim.Subscribed(topic) {
				known++
			}
		}
		if known < 500 || known > 1000 {
			t.Errorf("of %d subscriptions of a peer %d are kept, want at most 1000", len(topics), known)
		}
	})
}

func TestLiarIsNotAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := stream.NewKey()
		net := p2ptest.New(t, latency)
		net.AddNode(p2ptest.Link{})
		net.AddHost(p2ptest.Link{})
		net.Start()
		defer net.Close()
		var asked atomic.Int32
		net.Host(1).SetStreamHandler("/grapevine/fetch/1", func(s network.Stream) {
			asked.Add(1)
			answerWith([]byte{4, 0x0a, 2, 1, 1})(s) // no header
		})
		a := newAttacker(t, net.Host(1), key.ID()) // it says that it holds the stream
		defer a.stop()
		s := join(t, net, 0, net.Link(key.ID(), 1))
		time.Sleep(time.Minute)
		if n := asked.Load(); n < 1 || n > 2 {
			t.Errorf("a liar was asked %d times within a minute, want once or twice", n)
		}
		refused(t, s.Stats(), a)
	})
}
