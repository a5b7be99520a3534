package p2p_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

// smallStore holds a few segments of a stream of 1 Mbit/s.
func smallStore() p2p.Config { return p2p.Config{Store: stream.NewStore(1_500_000)} }

// rewound fetches a segment of the past at a node, and compares it with what was sent.
func rewound(t *testing.T, s *p2p.Swarm, sent map[stream.Position][]byte, segment uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	parts, err := s.FetchPast(ctx, "main", 1, segment)
	if err != nil {
		t.Errorf("segment %d: %v", segment, err)
		return
	}
	for i, chunks := range parts {
		if want := sent[stream.Position{Epoch: 1, Segment: segment, Part: uint32(i)}]; !bytes.Equal(bytes.Join(chunks, nil), want) {
			t.Errorf("segment %d: part %d differs", segment, i)
		}
	}
	if len(parts) != 4 {
		t.Errorf("segment %d: %d parts, want 4", segment, len(parts))
	}
}

// learn has a swarm learn all of the past there is.
func learn(t *testing.T, s *p2p.Swarm) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
	defer cancel()
	began := time.Now()
	if err := s.LearnPast(ctx, "main", time.Time{}, 0); err != nil {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}

func TestLateJoinerGetsThePastFromARelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 1_000_000}
		net := p2ptest.New(t, latency)
		net.AddNodeWith(p2ptest.Link{}, smallStore())
		net.AddNode(p2ptest.Link{}) // a relay with a large one
		net.AddNodeWith(p2ptest.Link{}, smallStore())
		net.Start()
		defer net.Close()
		id := src.Key.ID()
		join(t, net, 1, net.Link(id, 0))
		time.Sleep(2 * time.Second)
		done := make(chan map[stream.Position][]byte)
		const segments, late = 60, 45
		go func() { done <- src.Run(context.Background(), t, net.Node(0), segments, true) }()
		time.Sleep(2 * late * time.Second)
		viewer := join(t, net, 2, net.Link(id, 0, 1))
		time.Sleep(2 * time.Second)

		ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
		defer cancel()
		began := time.Now()
		if err := viewer.LearnPast(ctx, "main", time.Time{}, 0); err != nil {
			t.Fatal(err)
		}
		timeline := viewer.Timelines()[0]
		t.Logf("%d headers of the past after %v", viewer.Stats().PastHeaders, time.Since(began))
		if first := timeline.From(stream.Position{})[0].Position; first != (stream.Position{Epoch: 1}) {
			t.Errorf("the timeline begins with %v, want the stream's first part", first)
		}
		held := viewer.HeldPast("main")
		whole := false
		for _, s := range held {
			whole = whole || s.Epoch == 1 && s.First == 0 && s.Last >= late-2
		}
		if !whole {
			t.Errorf("peers say that they hold %v; the relay holds all", held)
		}
		all := <-done
		for segment := range uint64(10) {
			rewound(t, viewer, all, segment)
		}
		time.Sleep(2 * time.Second)
		s := viewer.Stats()
		if s.PastChunks == 0 || s.PastClaims != 0 || s.Penalties != 0 || s.ChunksRefused != 0 {
			t.Errorf("%d chunks of the past, %d false claims, %d penalties", s.PastChunks, s.PastClaims, s.Penalties)
		}
		// The newest of what is live is still there, whatever was fetched.
		live := after(all, stream.Position{Epoch: 1, Segment: segments - 3})
		if missing := p2ptest.Missing(net.Node(2), id, live); len(missing) > 0 {
			t.Errorf("rewinding pushed %d live parts out: %v", len(missing), missing)
		}
		if st := net.Node(2).Store().Stats(); st.Bytes > st.Limit {
			t.Errorf("the store holds %d of %d bytes", st.Bytes, st.Limit)
		}
	})
}

// TestThePastDoesNotDisturbLiveChunks has viewers rewind by way of a relay whose uplink
// hardly carries the live stream.
func TestThePastDoesNotDisturbLiveChunks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 1_000_000}
		net := p2ptest.New(t, latency)
		net.AddNode(p2ptest.Link{})
		net.AddNodeWith(p2ptest.Link{}, p2p.Config{MaxUpload: 3_000_000})
		net.AddNode(p2ptest.Link{})
		net.Start()
		defer net.Close()
		id := src.Key.ID()
		join(t, net, 1, net.Link(id, 0))
		time.Sleep(2 * time.Second)
		done := make(chan map[stream.Position][]byte)
		go func() { done <- src.Run(context.Background(), t, net.Node(0), 40, false) }()
		time.Sleep(40 * time.Second)
		viewer := join(t, net, 2, net.Link(id, 1))
		time.Sleep(2 * time.Second)
		if err := viewer.LearnPast(context.Background(), "main", time.Time{}, 0); err != nil {
			t.Fatal(err)
		}
		joined := viewer.Timelines()[0].Newest().Position
		began := time.Now()
		n := 0
		for segment := uint64(0); time.Since(began) < 30*time.Second && segment < 15; segment++ {
			ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
			if _, err := viewer.FetchPast(ctx, "main", 1, segment); err != nil {
				t.Errorf("segment %d: %v", segment, err)
			}
			cancel()
			n++
		}
		took := time.Since(began)
		sent := <-done
		time.Sleep(2 * time.Second)
		s := viewer.Stats()
		t.Logf("%d segments of 2 s in %v; of live chunks %d lost, %d late", n, took, s.ChunksLost, s.ChunksLate)
		if missing := p2ptest.Missing(net.Node(2), id, after(sent, joined)); len(missing) > 0 || s.ChunksLost > 0 {
			t.Errorf("%d live chunks lost, parts missing: %v", s.ChunksLost, missing)
		}
		if n < 10 {
			t.Errorf("%d segments of the past came in %v", n, took)
		}
	})
}

func TestWhatNobodyHoldsIsSaidSoAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 1_000_000}
		net := p2ptest.New(t, latency)
		net.AddNodeWith(p2ptest.Link{}, smallStore())
		net.AddNode(p2ptest.Link{})
		net.Start()
		defer net.Close()
		done := make(chan map[stream.Position][]byte)
		go func() { done <- src.Run(context.Background(), t, net.Node(0), 25, false) }()
		time.Sleep(45 * time.Second)
		viewer := join(t, net, 1, net.Link(src.Key.ID(), 0))
		time.Sleep(2 * time.Second)
		if err := viewer.LearnPast(context.Background(), "main", time.Time{}, 0); err != nil {
			t.Fatal(err)
		}
		for _, s := range viewer.HeldPast("main") {
			if s.First < 10 {
				t.Errorf("the broadcaster says that it holds %v, of which its store let go", s)
			}
		}
		began := time.Now()
		if _, err := viewer.FetchPast(context.Background(), "main", 1, 3); !errors.Is(err, p2p.ErrNotHeld) || time.Since(began) > time.Second {
			t.Errorf("error %v after %v, want ErrNotHeld at once", err, time.Since(began))
		}
		<-done
	})
}

func TestPeerThatIsGoneForAMomentIsStillBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 200_000}
		net := p2ptest.New(t, latency)
		net.AddNode(p2ptest.Link{})
		net.AddNode(p2ptest.Link{})
		net.Start()
		defer net.Close()
		done := make(chan map[stream.Position][]byte)
		go func() { done <- src.Run(context.Background(), t, net.Node(0), 25, false) }()
		time.Sleep(30 * time.Second)
		viewer := join(t, net, 1, net.Link(src.Key.ID(), 0))
		time.Sleep(2 * time.Second)
		learn(t, viewer)
		held := len(viewer.HeldPast("main"))
		sent := make(chan map[stream.Position][]byte, 1)
		go func() { sent <- <-done }()
		net.Host(1).Network().ClosePeer(net.Host(0).ID())
		if n := len(viewer.HeldPast("main")); held == 0 || n != held {
			t.Errorf("%d spans are held by a peer that is gone for a moment, %d before", n, held)
		}
		// The dialer brings it back, and the segment comes.
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		defer cancel()
		if _, err := viewer.FetchPast(ctx, "main", 1, 2); err != nil {
			t.Error(err)
		}
		<-sent
		net.Kill(0)
		time.Sleep(90 * time.Second) // until its silence is noticed, and it is given up
		if n := len(viewer.HeldPast("main")); n != 0 {
			t.Errorf("%d spans are held by a peer that left long ago", n)
		}
	})
}

func TestPastIsWaitedForUntilAPeerComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := p2ptest.New(t, latency)
		net.AddNode(p2ptest.Link{})
		net.Start()
		defer net.Close()
		s := join(t, net, 0, stream.Link{Stream: stream.NewKey().ID()})
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		began := time.Now()
		if err := s.LearnPast(ctx, "main", time.Time{}, 0); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 3*time.Second {
			t.Errorf("without peers: %v after %v, want the deadline", err, time.Since(began))
		}
	})
}
