package p2p_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

const latency = 20 * time.Millisecond

// line starts a network of nodes, each of which knows only the one before it: a
// broadcaster, a relay, a viewer and so on. Those from late on do not join yet.
func line(t *testing.T, nodes, late int, key stream.Key) *p2ptest.Network {
	t.Helper()
	net := p2ptest.New(t, latency)
	for range nodes {
		net.AddNode(p2ptest.Link{})
	}
	net.Start()
	for i := 1; i < late; i++ {
		join(t, net, i, net.Link(key.ID(), i-1))
	}
	return net
}

func join(t *testing.T, net *p2ptest.Network, i int, link stream.Link) *p2p.Swarm {
	t.Helper()
	s, err := net.Node(i).Join(link)
	if err != nil {
		t.Fatalf("node %d: %v", i, err)
	}
	return s
}

// wholeSegments returns how many segments a node holds whole, without a gap, up to
// the newest whole one.
func wholeSegments(node *p2p.Node, id stream.ID) int {
	n := 0
	for _, s := range node.Swarms() {
		for _, t := range s.Timelines() {
			for _, seg := range t.Segments(stream.Position{}) {
				whole := seg.Complete
				for _, h := range seg.Headers {
					whole = whole && node.Store().Whole(h.ID())
				}
				if whole {
					n++
				} else if seg.Complete {
					n = 0
				}
			}
		}
	}
	return n
}

// waitFor waits in virtual time until ok, and returns how long it took.
func waitFor(t *testing.T, limit time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !ok() {
		if time.Since(start) > limit {
			t.Fatalf("%s: not within %v", what, limit)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(start)
}

func after(all map[stream.Position][]byte, p stream.Position) map[stream.Position][]byte {
	out := make(map[stream.Position][]byte)
	for pos, data := range all {
		if pos.Compare(p) >= 0 {
			out[pos] = data
		}
	}
	return out
}

func TestViewerBehindARelayJoinsMidStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 2_000_000}
		net := line(t, 3, 2, src.Key)
		defer net.Close()
		done := make(chan map[stream.Position][]byte)
		go func() { done <- src.Run(context.Background(), t, net.Node(0), 15, false) }()
		time.Sleep(16*time.Second + 700*time.Millisecond) // within segment 8

		join(t, net, 2, net.Link(src.Key.ID(), 1))
		took := waitFor(t, 5*time.Second, "three whole segments", func() bool {
			return wholeSegments(net.Node(2), src.Key.ID()) >= 3
		})
		t.Logf("three whole segments after %v, at a round trip of %v", took, 2*latency)
		if took > time.Second {
			t.Errorf("a joiner waited %v for three whole segments, want at most 1s", took)
		}
		sent := <-done
		time.Sleep(3 * time.Second)
		if missing := p2ptest.Missing(net.Node(2), src.Key.ID(), after(sent, stream.Position{Epoch: 1, Segment: 6})); len(missing) > 0 {
			t.Errorf("the joiner lacks %d parts: %v", len(missing), missing)
		}
		if got := wholeSegments(net.Node(2), src.Key.ID()); got > 12 {
			t.Errorf("the joiner holds %d segments, though only the last few before it came are of use", got)
		}
	})
}

func TestNodeThatWasCutOffRepairsTheHole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 1_000_000}
		net := line(t, 3, 3, src.Key)
		defer net.Close()
		done := make(chan map[stream.Position][]byte)
		go func() { done <- src.Run(context.Background(), t, net.Node(0), 12, false) }()
		time.Sleep(8 * time.Second)
		// Connections break again and again for 6 s; the dialer brings them back.
		for range 6 {
			for _, c := range net.Host(2).Network().Conns() {
				c.Close()
			}
			time.Sleep(time.Second)
		}
		sent := <-done
		time.Sleep(5 * time.Second)
		if missing := p2ptest.Missing(net.Node(2), src.Key.ID(), sent); len(missing) > 0 {
			t.Errorf("lacks %d of %d parts: %v", len(missing), len(sent), missing)
		}
		s := net.Node(2).Swarms()[0].Stats()
		t.Logf("%d chunks, of which %d fetched, %d twice", s.ChunksReceived, s.ChunksFetched, s.ChunksDuplicate)
	})
}

func TestViewerOutlivesTheOnlyRelayItKnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 1_000_000}
		net := p2ptest.New(t, latency)
		for range 4 { // broadcaster, two relays, viewer
			net.AddNode(p2ptest.Link{})
		}
		net.Start()
		defer net.Close()
		id := src.Key.ID()
		join(t, net, 1, net.Link(id, 0))
		join(t, net, 2, net.Link(id, 0, 1))
		done := make(chan map[stream.Position][]byte)
		go func() { done <- src.Run(context.Background(), t, net.Node(0), 15, false) }()
		time.Sleep(7 * time.Second)
		join(t, net, 3, net.Link(id, 1))
		time.Sleep(7 * time.Second)
		net.Stop(1)
		sent := <-done
		time.Sleep(3 * time.Second)
		if missing := p2ptest.Missing(net.Node(3), id, after(sent, stream.Position{Epoch: 1, Segment: 3})); len(missing) > 0 {
			t.Errorf("lacks %d parts: %v", len(missing), missing)
		}
	})
}

func TestViewerLearnsOfWhoCameLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 1_000_000}
		net := line(t, 3, 3, src.Key) // the viewer joins before anybody can tell it of the broadcaster
		defer net.Close()
		time.Sleep(10 * time.Second)
		done := make(chan map[stream.Position][]byte)
		go func() { done <- src.Run(context.Background(), t, net.Node(0), 45, false) }()
		time.Sleep(25 * time.Second)
		net.Stop(1)
		sent := <-done
		time.Sleep(3 * time.Second)
		if missing := p2ptest.Missing(net.Node(2), src.Key.ID(), sent); len(missing) > 0 {
			t.Errorf("lacks %d of %d parts: %v", len(missing), len(sent), missing)
		}
	})
}

func TestRestartedBroadcasterBeginsANewEpochThatViewersFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 7, Rate: 1_000_000}
		net := p2ptest.New(t, latency)
		for range 4 { // broadcaster, relay, viewer, the broadcaster's new machine
			net.AddNode(p2ptest.Link{})
		}
		net.Start()
		defer net.Close()
		id := src.Key.ID()
		join(t, net, 1, net.Link(id, 0))
		join(t, net, 2, net.Link(id, 1))
		time.Sleep(3 * time.Second)
		first := src.Run(context.Background(), t, net.Node(0), 4, false)
		time.Sleep(time.Second)
		net.Stop(0)
		net.Connect(3, 1)
		time.Sleep(2 * time.Second)
		second := src.Run(context.Background(), t, net.Node(3), 4, true)
		time.Sleep(time.Second)
		for _, sent := range []map[stream.Position][]byte{first, second} {
			if missing := p2ptest.Missing(net.Node(2), id, sent); len(missing) > 0 {
				t.Errorf("lacks %d of %d parts: %v", len(missing), len(sent), missing)
			}
		}
		timeline := net.Node(2).Swarms()[0].Timelines()[0]
		if newest := timeline.Newest(); newest.Epoch != 8 || !timeline.Ended() {
			t.Errorf("newest header is %v, ended: %t; want the end of epoch 8", newest.Position, timeline.Ended())
		}
	})
}

func TestNodeThatWaitsForTheBroadcasterGetsTheStreamFromItsFirstPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 1_000_000}
		net := line(t, 3, 3, src.Key)
		defer net.Close()
		time.Sleep(time.Minute)
		sent := src.Run(context.Background(), t, net.Node(0), 4, true)
		time.Sleep(2 * time.Second)
		if missing := p2ptest.Missing(net.Node(2), src.Key.ID(), sent); len(missing) > 0 {
			t.Errorf("lacks %d of %d parts: %v", len(missing), len(sent), missing)
		}
	})
}

func TestStoreServesOnlyWhatItsBoundHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 1_000_000}
		net := p2ptest.New(t, latency)
		net.AddNode(p2ptest.Link{})
		const bound = 1 << 20
		net.AddNodeWith(p2ptest.Link{}, p2p.Config{Store: stream.NewStore(bound)})
		net.AddNode(p2ptest.Link{})
		net.Start()
		defer net.Close()
		id := src.Key.ID()
		join(t, net, 1, net.Link(id, 0))
		join(t, net, 2, net.Link(id, 1))
		time.Sleep(2 * time.Second)
		sent := src.Run(context.Background(), t, net.Node(0), 10, false)
		time.Sleep(2 * time.Second)
		if s := net.Node(1).Store().Stats(); s.Bytes > bound || s.Evicted == 0 {
			t.Errorf("the relay's store holds %d bytes and let go of %d, want at most %d and some", s.Bytes, s.Evicted, bound)
		}
		if missing := p2ptest.Missing(net.Node(2), id, sent); len(missing) > 0 {
			t.Errorf("the viewer lacks %d of %d parts: %v", len(missing), len(sent), missing)
		}
	})
}

func TestPeersBehindASlowLinkAreNotBlamed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 2_000_000}
		net := p2ptest.New(t, latency)
		net.AddNode(p2ptest.Link{})
		net.AddNode(p2ptest.Link{})
		net.AddNode(p2ptest.Link{Down: 1_500_000}) // less than the stream has
		net.Start()
		defer time.Sleep(2 * time.Second) // in which pubsub's retries to full queues end
		defer net.Close()
		join(t, net, 1, net.Link(src.Key.ID(), 0))
		viewer := join(t, net, 2, net.Link(src.Key.ID(), 1))
		time.Sleep(2 * time.Second)
		src.Run(context.Background(), t, net.Node(0), 40, false)
		s := viewer.Stats()
		t.Logf("%d chunks received, %d twice, %d late, %d lost", s.ChunksReceived, s.ChunksDuplicate, s.ChunksLate, s.ChunksLost)
		if s.ChunksLate == 0 {
			t.Error("no chunk came late")
		}
		if s.Penalties > 0 || s.ChunksRefused > 0 {
			t.Errorf("%d chunks were refused, honest peers blamed %d times", s.ChunksRefused, s.Penalties)
		}
	})
}

func TestViewerThatWasAwayForARestartGetsTheNewEpochFromItsStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 500_000}
		net := p2ptest.New(t, latency)
		for range 4 { // broadcaster, relay, viewer, the broadcaster's new machine
			net.AddNode(p2ptest.Link{})
		}
		net.Start()
		defer net.Close()
		id := src.Key.ID()
		join(t, net, 1, net.Link(id, 0))
		join(t, net, 2, net.Link(id, 1))
		time.Sleep(3 * time.Second)
		src.Run(context.Background(), t, net.Node(0), 3, true)
		net.Stop(0)
		net.Connect(3, 1)
		away := time.Now()
		done := make(chan map[stream.Position][]byte)
		go func() { done <- src.Run(context.Background(), t, net.Node(3), 10, false) }()
		for time.Since(away) < 9*time.Second {
			for _, c := range net.Host(2).Network().Conns() {
				c.Close()
			}
			time.Sleep(20 * time.Millisecond)
		}
		sent := <-done
		time.Sleep(3 * time.Second)
		if missing := p2ptest.Missing(net.Node(2), id, sent); len(missing) > 0 {
			t.Errorf("lacks %d of %d parts: %v", len(missing), len(sent), missing)
		}
	})
}

func TestBroadcasterWithAWrongClockIsHeard(t *testing.T) {
	for name, off := range map[string]time.Duration{"slow": -1000 * time.Hour, "fast": 1000 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				key := stream.NewKey()
				net := line(t, 3, 3, key)
				defer net.Close()
				time.Sleep(5 * time.Second)
				b, err := net.Node(0).Broadcast(key, "main", 1)
				if err != nil {
					t.Fatal(err)
				}
				sent := make(map[stream.Position][]byte)
				for i := range 60 {
					time.Sleep(500 * time.Millisecond)
					data := []byte{byte(i)}
					if err := b.Publish(context.Background(), stream.Part{StartsSegment: true, EndsSegment: true, Independent: true,
						Duration: 500 * time.Millisecond, ProgramTime: time.Now().Add(off), Data: data}); err != nil {
						t.Fatal(err)
					}
					sent[stream.Position{Epoch: 1, Segment: uint64(i)}] = data
				}
				time.Sleep(3 * time.Second)
				for i := 1; i < 3; i++ {
					if missing := p2ptest.Missing(net.Node(i), key.ID(), after(sent, stream.Position{Epoch: 1, Segment: 45})); len(missing) > 0 {
						t.Errorf("node %d lacks %d of %d parts: %v", i, len(missing), len(sent), missing)
					}
					if s := net.Node(i).Swarms()[0].Stats(); s.Penalties > 0 {
						t.Errorf("node %d blamed honest peers %d times: %v", i, s.Penalties, s.HeadersRefused)
					}
				}
			})
		})
	}
}

func TestViewerWhoseNetworkWasDeadComesBackToTheLiveEdge(t *testing.T) {
	t.Parallel()
	for _, dead := range []time.Duration{4 * time.Second, 50 * time.Second, 5 * time.Minute} {
		t.Run(dead.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 1_000_000}
				net := line(t, 3, 3, src.Key)
				defer net.Close()
				ctx, cancel := context.WithCancel(context.Background())
				done := make(chan map[stream.Position][]byte)
				go func() { done <- src.Run(ctx, t, net.Node(0), 1000, false) }()
				time.Sleep(20 * time.Second)
				net.Cut(2, true)
				time.Sleep(dead)
				net.Cut(2, false)
				took := waitFor(t, time.Minute, "the last three segments", func() bool {
					segments := net.Node(1).Swarms()[0].Timelines()[0].Segments(stream.Position{})
					for _, s := range segments[len(segments)-4 : len(segments)-1] {
						for _, h := range s.Headers {
							if !net.Node(2).Store().Whole(h.ID()) {
								return false
							}
						}
					}
					return true
				})
				cancel()
				sent := <-done
				time.Sleep(3 * time.Second)
				fetched := net.Node(2).Swarms()[0].Stats().ChunksFetched
				t.Logf("back after %v, %d chunks fetched", took, fetched)
				if took > 8*time.Second {
					t.Errorf("it took %v", took)
				}
				if fetched > 150*16 { // of 16 a part: as much as half a minute and more
					t.Errorf("fetched %d chunks, most of them too old to be played", fetched)
				}
				last := uint64(len(sent)/4) - 10
				if missing := p2ptest.Missing(net.Node(2), src.Key.ID(), after(sent, stream.Position{Epoch: 1, Segment: last})); len(missing) > 0 {
					t.Errorf("lacks %d parts of the last: %v", len(missing), missing)
				}
			})
		})
	}
}

func TestStreamsWhoseTopicsAreTheSameAreNotBothJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := p2ptest.New(t, latency)
		net.AddNode(p2ptest.Link{})
		net.Start()
		defer net.Close()
		node := net.Node(0)
		first := stream.ID{9: 1, 31: 1}
		second, third := first, first
		second[31], third[9] = 2, 2 // beyond the 80 bits of topics, and within
		s := join(t, net, 0, stream.Link{Stream: first})
		if _, err := node.Join(stream.Link{Stream: second}); err == nil || !strings.Contains(err.Error(), second.String()) || !strings.Contains(err.Error(), first.String()) {
			t.Errorf("join of a stream with another's topics: error %v, want one that names both", err)
		}
		join(t, net, 0, stream.Link{Stream: third})
		if again := join(t, net, 0, stream.Link{Stream: first}); again != s {
			t.Error("joined twice, another swarm")
		}
		if n := len(node.Swarms()); n != 2 {
			t.Errorf("node is part of %d swarms, want 2", n)
		}
	})
}

func TestJoinerGetsTheNextPartAsOthersDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 1_000_000}
		net := line(t, 3, 2, src.Key)
		defer net.Close()
		done := make(chan map[stream.Position][]byte)
		go func() { done <- src.Run(context.Background(), t, net.Node(0), 7, false) }()
		time.Sleep(8*time.Second + 50*time.Millisecond)

		join(t, net, 2, net.Link(src.Key.ID(), 1))
		time.Sleep(450 * time.Millisecond) // the part after the one that just began is published
		part := stream.PartID{Stream: src.Key.ID(), Rendition: "main", Position: stream.Position{Epoch: 1, Segment: 4}}
		took := waitFor(t, 5*time.Second, "the next part", func() bool { return net.Node(2).Store().Whole(part) })
		t.Logf("the first part that was published since is here %v after its publication", took)
		if took > 250*time.Millisecond {
			t.Errorf("it took %v; want at most 250ms, though no heartbeat passed since", took)
		}
		<-done
	})
}
