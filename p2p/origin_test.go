package p2p_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

// originWay is how far origins are, one way.
const originWay = 30 * time.Millisecond

// signed returns a link that names the tests' origin and no peer.
func signed(t *testing.T, key stream.Key, net *p2ptest.Network, peers ...int) stream.Link {
	t.Helper()
	origins, err := key.SignOrigins([]string{p2ptest.Address})
	if err != nil {
		t.Fatal(err)
	}
	link := net.Link(key.ID(), peers...)
	link.Origins = origins
	return link
}

// lateness follows when a node holds what a source publishes: the part's whole time after
// its publication, which is when its last frame was.
type lateness struct {
	node *p2p.Node
	id   stream.ID
	seen map[stream.Position]time.Time
}

func follow(ctx context.Context, node *p2p.Node, id stream.ID) *lateness {
	l := &lateness{node: node, id: id, seen: make(map[stream.Position]time.Time)}
	for ctx.Err() == nil {
		for _, s := range node.Swarms() {
			for _, t := range s.Timelines() {
				for _, h := range t.Recent(8) {
					if _, ok := l.seen[h.Position]; !ok && node.Store().Whole(h.ID()) {
						l.seen[h.Position] = time.Now()
					}
				}
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	return l
}

// worst returns how late the latest part was of those published from a segment on.
func (l *lateness) worst(t *testing.T, sent map[stream.Position][]byte, from uint64) (worst time.Duration) {
	t.Helper()
	for pos := range sent {
		if pos.Segment < from {
			continue
		}
		at, ok := l.seen[pos]
		if !ok {
			t.Errorf("part %v never came", pos)
			continue
		}
		h := l.node.Swarms()[0].Timelines()[0].Header(pos)
		worst = max(worst, at.Sub(h.ProgramTime.Add(h.Duration)))
	}
	return worst
}

// broadcasterAndViewer starts a broadcaster with an origin, and a node that may fetch from it.
func broadcasterAndViewer(t *testing.T) (*p2ptest.Source, *p2ptest.Network, *p2ptest.Origin) {
	t.Helper()
	src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 1_000_000}
	net := p2ptest.New(t, latency)
	net.AddNode(p2ptest.Link{})
	origin := net.NewOrigin(0, originWay)
	net.AddNodeWith(p2ptest.Link{}, origin.Config())
	net.Start()
	return src, net, origin
}

func TestNodeWithoutPeersPlaysFromAnOriginAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, net, _ := broadcasterAndViewer(t)
		defer net.Close()
		done := make(chan map[stream.Position][]byte)
		go func() { done <- src.Run(context.Background(), t, net.Node(0), 15, false) }()
		time.Sleep(10*time.Second + 200*time.Millisecond)

		viewer := join(t, net, 1, signed(t, src.Key, net))
		took := waitFor(t, 2*time.Second, "three whole segments", func() bool {
			return wholeSegments(net.Node(1), src.Key.ID()) >= 3
		})
		if took > time.Second {
			t.Errorf("three whole segments took %v, want at most 1s", took)
		}
		ctx, cancel := context.WithCancel(context.Background())
		followed := make(chan *lateness)
		go func() { followed <- follow(ctx, net.Node(1), src.Key.ID()) }()
		sent := <-done
		time.Sleep(2 * time.Second)
		cancel()
		if worst := (<-followed).worst(t, sent, 6); worst > 500*time.Millisecond {
			t.Errorf("the latest part was here %v after its publication, want 0.5s", worst)
		}
		stats := viewer.Stats()
		if len(stats.Peers) != 0 || stats.BytesReceived != 0 || stats.Offload() != 0 {
			t.Errorf("%d peers sent %d bytes, though there are none", len(stats.Peers), stats.BytesReceived)
		}
		if len(stats.OriginFailures) != 0 || stats.OriginInVain != 0 {
			t.Errorf("an honest origin failed: %v, %d chunks in vain", stats.OriginFailures, stats.OriginInVain)
		}
		t.Logf("three segments after %v; %d requests, %d headers, %d chunks", took, stats.OriginRequests, stats.OriginHeaders, stats.OriginChunks)
	})
}

// TestOriginBridgesTheTimeWithoutPeers has all that a viewer has die without a word, and
// come back.
func TestOriginBridgesTheTimeWithoutPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 1_000_000}
		net := line(t, 2, 2, src.Key) // the broadcaster, and the relay
		defer net.Close()
		origin := net.NewOrigin(0, originWay)
		net.AddNodeWith(p2ptest.Link{}, origin.Config())
		viewer := join(t, net, 2, signed(t, src.Key, net, 1))
		ctx, cancel := context.WithCancel(context.Background())
		followed := make(chan *lateness)
		done := make(chan map[stream.Position][]byte)
		go func() { done <- src.Run(context.Background(), t, net.Node(0), 30, false) }()
		go func() { followed <- follow(ctx, net.Node(2), src.Key.ID()) }()

		time.Sleep(12 * time.Second)
		if s := viewer.Stats(); s.OriginBytes != 0 || s.BytesReceived == 0 {
			t.Errorf("with peers, %d bytes came from the origin and %d from them", s.OriginBytes, s.BytesReceived)
		}
		net.Cut(0, true) // the origin still has it
		net.Cut(1, true)
		time.Sleep(20 * time.Second)
		alone := viewer.Stats()
		if alone.OriginBytes == 0 {
			t.Error("nothing came from the origin, though all peers are gone")
		}
		net.Cut(0, false)
		net.Cut(1, false)
		back := waitFor(t, 15*time.Second, "bytes from peers", func() bool {
			return viewer.Stats().BytesReceived > alone.BytesReceived+200_000
		})
		before := viewer.Stats()
		sent := <-done
		after := viewer.Stats()
		time.Sleep(4 * time.Second)
		cancel()
		worst := (<-followed).worst(t, sent, 0)
		peers, from := after.BytesReceived-before.BytesReceived, after.OriginBytes-before.OriginBytes
		t.Logf("the latest part came %v late; peers deliver again after %v, and then %d bytes of %d; failures %v", worst, back, peers, peers+from, after.OriginFailures)
		// Players have three segments, 6 s, in reserve.
		if worst > 4*time.Second {
			t.Errorf("the latest part was here %v after its publication", worst)
		}
		if peers < 20*from {
			t.Errorf("since peers are back, %d bytes came from them and %d from the origin", peers, from)
		}
	})
}

func TestOriginThatFailsHarmsNobodyWithPeers(t *testing.T) {
	for reason, fault := range map[string]func(*p2ptest.Origin) http.HandlerFunc{
		"forged":    func(o *p2ptest.Origin) http.HandlerFunc { return o.Forge },
		"slow":      func(*p2ptest.Origin) http.HandlerFunc { return p2ptest.Stall },
		"missing":   func(*p2ptest.Origin) http.HandlerFunc { return http.NotFound },
		"redirect":  func(*p2ptest.Origin) http.HandlerFunc { return redirect },
		"malformed": func(*p2ptest.Origin) http.HandlerFunc { return captivePortal },
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 1_000_000}
				net := line(t, 2, 2, src.Key)
				defer net.Close()
				origin := net.NewOrigin(0, originWay)
				origin.Fail(fault(origin))
				net.AddNodeWith(p2ptest.Link{}, origin.Config())
				ctx, cancel := context.WithCancel(context.Background())
				followed := make(chan *lateness)
				done := make(chan map[stream.Position][]byte)
				go func() { done <- src.Run(context.Background(), t, net.Node(0), 18, false) }()
				time.Sleep(2 * time.Second)
				viewer := join(t, net, 2, signed(t, src.Key, net)) // which finds its peers late
				time.Sleep(4 * time.Second)
				net.Connect(2, 1)
				go func() { followed <- follow(ctx, net.Node(2), src.Key.ID()) }()
				sent := <-done
				time.Sleep(2 * time.Second)
				cancel()
				if worst := (<-followed).worst(t, sent, 5); worst > time.Second {
					t.Errorf("the latest part was here %v after its publication, though peers have all", worst)
				}
				stats := viewer.Stats()
				_, requests := origin.Served()
				t.Logf("%d requests, failures %v", requests, stats.OriginFailures)
				if stats.OriginFailures[reason] == 0 || len(stats.OriginFailures) != 1 {
					t.Errorf("failures %v, want some for the reason %q alone", stats.OriginFailures, reason)
				}
				if stats.OriginChunks != 0 || requests > 20 {
					t.Errorf("%d chunks from an origin that has none; it was asked %d times", stats.OriginChunks, requests)
				}
			})
		})
	}
}

func redirect(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "https://elsewhere.example/", http.StatusFound)
}

func captivePortal(w http.ResponseWriter, _ *http.Request) {
	_, _ = w.Write([]byte("\xffPlease accept the terms of use."))
}

// TestOriginThatLiesIsLeftAlone has an honest origin begin to lie while there is nobody else.
func TestOriginThatLiesIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, net, origin := broadcasterAndViewer(t)
		defer net.Close()
		done := make(chan map[stream.Position][]byte)
		go func() { done <- src.Run(context.Background(), t, net.Node(0), 20, false) }()
		time.Sleep(6 * time.Second)
		viewer := join(t, net, 1, signed(t, src.Key, net))
		time.Sleep(2 * time.Second)
		honest := viewer.Stats()
		origin.Fail(origin.Forge)
		<-done
		stats := viewer.Stats()
		if honest.OriginChunks == 0 || stats.OriginChunks > honest.OriginChunks+64 {
			t.Errorf("%d chunks while it was honest, %d in all", honest.OriginChunks, stats.OriginChunks)
		}
		if n := stats.OriginFailures["forged"]; n == 0 || n > 2*8 {
			t.Errorf("it was found to lie %d times within half a minute", n)
		}
	})
}

func TestManyViewersWithoutABroadcasterShareWhatOneFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 500_000}
		net := p2ptest.New(t, latency)
		net.AddNode(p2ptest.Link{}) // reached by way of the origin only
		origin := net.NewOrigin(0, originWay)
		const viewers = 6
		for range viewers {
			net.AddNodeWith(p2ptest.Link{}, origin.Config())
		}
		net.Start()
		defer net.Close()
		var swarms []*p2p.Swarm
		for i := range viewers {
			var peers []int
			if i > 0 {
				peers = []int{1}
			}
			swarms = append(swarms, join(t, net, i+1, signed(t, src.Key, net, peers...)))
		}
		for i := 1; i <= viewers; i++ {
			for j := i + 1; j <= viewers; j++ {
				net.Connect(i, j)
			}
		}
		sent := src.Run(context.Background(), t, net.Node(0), 15, false)
		time.Sleep(6 * time.Second)
		size := 0
		for _, data := range sent {
			size += len(data)
		}
		served, requests := origin.Served()
		for i := range swarms {
			if missing := p2ptest.Missing(net.Node(i+1), src.Key.ID(), sent); len(missing) > 0 {
				t.Errorf("viewer %d lacks %d parts: %v", i, len(missing), missing)
			}
		}
		t.Logf("the origin sent %.2f times the stream to %d viewers in %d requests", float64(served)/float64(size), viewers, requests)
		if float64(served) > 1.5*float64(size) {
			t.Errorf("the origin sent %d bytes to %d viewers, of a stream of %d", served, viewers, size)
		}
	})
}
