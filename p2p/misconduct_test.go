package p2p_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

func TestWhoForgesHeadersIsCutOff(t *testing.T) {
	attacked(t, noKey(p2ptest.ForgeHeaders(5)), 5*time.Second, 15*time.Second, func(s *siege) { s.cutOff(t, p2p.Forged) })
}

func TestWhoReplaysHeadersIsCutOff(t *testing.T) {
	// Until the grace of an epoch is over, honest peers may have some of the one before.
	attacked(t, noKey(p2ptest.ReplayHeaders), 35*time.Second, 15*time.Second, func(s *siege) { s.cutOff(t, p2p.Replayed) })
}

func TestWhoSendsChunksUnaskedIsCutOff(t *testing.T) {
	attacked(t, noKey(p2ptest.ForgeChunks), 5*time.Second, 15*time.Second, func(s *siege) { s.cutOff(t, p2p.Unsolicited) })
}

func TestWhoSendsNonsenseIsCutOff(t *testing.T) {
	attacked(t, noKey(p2ptest.SendNonsense), 5*time.Second, 15*time.Second, func(s *siege) { s.cutOff(t, p2p.Malformed) })
}

func TestWhoSendsTooLargeMessagesIsCutOff(t *testing.T) {
	attacked(t, noKey(p2ptest.SendTooMuch), 5*time.Second, 15*time.Second, func(s *siege) { s.cutOff(t, p2p.Malformed) })
}

func TestFloodOfHeadersIsCutOff(t *testing.T) {
	attacked(t, noKey(p2ptest.ForgeHeaders(50_000)), 5*time.Second, 15*time.Second, func(s *siege) { s.cutOff(t, p2p.Forged) })
}

// A message may hold many headers, all of which gossipsub hands over at once.
func TestFewOfAFloodAreLookedAtAndOneLineIsLogged(t *testing.T) {
	const together = 64
	attacked(t, noKey(p2ptest.ForgeHeadersTogether(together)), 5*time.Second, 15*time.Second, func(s *siege) {
		s.cutOff(t, p2p.Forged)
		for i := range 3 {
			n := s.net.Node(i).Swarms()[0].Stats().HeadersRefused["forged"]
			t.Logf("node %d looked at %d forged headers of %d", i, n, together)
			if n > together/8 {
				t.Errorf("node %d looked at %d forged headers of %d, want little more than four", i, n, together)
			}
			if got := s.logs[i].with("refused"); len(got) > 0 {
				t.Errorf("node %d logged %d lines beside the one", i, len(got))
			}
			if st := s.net.Node(i).Stats(); st.SaidTooMuch == 0 {
				t.Errorf("node %d does not count what it dropped", i)
			}
		}
	})
}

func TestFloodOfWantsIsCutOff(t *testing.T) {
	attacked(t, noKey(p2ptest.FloodWants(5_000)), 5*time.Second, 15*time.Second, func(s *siege) { s.cutOff(t, p2p.Flood) })
}

func TestFloodOfGroupsIsCutOff(t *testing.T) {
	attacked(t, noKey(p2ptest.FloodGroups(5_000)), 5*time.Second, 15*time.Second, func(s *siege) { s.cutOff(t, p2p.Flood) })
}

func TestFloodOfControlIsCutOff(t *testing.T) {
	attacked(t, noKey(p2ptest.FloodControl(5_000)), 5*time.Second, 15*time.Second, func(s *siege) { s.cutOff(t, p2p.Flood) })
}

func TestWhoBreaksTheRulesOfGossipIsCutOff(t *testing.T) {
	attacked(t, noKey(p2ptest.FloodControl(200)), 5*time.Second, 15*time.Second, func(s *siege) { s.cutOff(t, p2p.Gossip) })
}

func TestFloodOfFetchesIsCutOff(t *testing.T) {
	attacked(t, noKey(p2ptest.FloodFetches(1_000)), 5*time.Second, 15*time.Second, func(s *siege) { s.cutOff(t, p2p.Flood) })
}

// Whoever has the stream's key, too, signs a header for each part before the broadcaster does, and
// has no chunk of it: all get what the broadcaster serves.
func TestEquivocationIsNobodysFaultAndKnownToAll(t *testing.T) {
	attacked(t, p2ptest.Equivocate, 5*time.Second, 15*time.Second, func(s *siege) {
		for i := range 3 {
			st := s.net.Node(i).Swarms()[0].Stats()
			if i > 0 && st.Equivocations < 10 {
				t.Errorf("node %d knows of %d parts with two headers", i, st.Equivocations)
			}
			// The attacker may be, as it claims chunks that it withholds.
			for _, line := range s.logs[i].with("peer cut off") {
				if !strings.Contains(line, s.net.Host(3).ID().String()) || !strings.Contains(line, "reason=withheld") {
					t.Errorf("node %d: %s", i, line)
				}
			}
			if got := s.logs[i].with("two headers were signed"); len(got) != 1 {
				t.Errorf("node %d warned %d times, want once: %q", i, len(got), got)
			}
			// What comes before the header that it belongs to is kept, and its senders stay parents.
			if i > 0 && (st.ChunksRefused > 0 || st.ChunksFetched > st.ChunksReceived/20 || st.WantsExpired > st.ChunksReceived/4) {
				t.Errorf("node %d refused %d chunks of %d, fetched %d, and wanted %d in vain", i, st.ChunksRefused, st.ChunksReceived, st.ChunksFetched, st.WantsExpired)
			}
		}
	})
}

// Its claims are put to the test though others bring all that is wanted, so that it is cut off.
func TestWhoEquivocatesIsCutOffForWhatItClaims(t *testing.T) {
	attacked(t, p2ptest.Equivocate, 5*time.Second, 15*time.Second, func(s *siege) {
		st := s.attacker.Stats()
		t.Logf("%+v", st)
		for i := 1; i < 3; i++ { // the broadcaster knows better
			if n := s.net.Node(i).Stats().CutOff[p2p.Withheld]; n != 1 {
				t.Errorf("node %d cut off %d peers for what they withhold, want 1", i, n)
			}
		}
		for _, d := range st.CutOff {
			if d > 10*time.Second {
				t.Errorf("cut off after %v, want 10 s at most", d)
			}
		}
	})
}

// Somebody who has the stream's key says that it is next year: those who watch stay where they are.
func TestHeadersOfNextYearAreLeftAlone(t *testing.T) {
	attacked(t, p2ptest.Postdate, 5*time.Second, 10*time.Second, func(s *siege) {
		for i := range 3 {
			st := s.net.Node(i).Swarms()[0].Stats()
			if st.HeadersRefused["ahead"] < 10 || st.PeersCutOff > 0 {
				t.Errorf("node %d refused %d headers as from the future, and cut off %d peers", i, st.HeadersRefused["ahead"], st.PeersCutOff)
			}
		}
	})
}

func TestStreamsOfAPeerAreBounded(t *testing.T) {
	attacked(t, noKey(p2ptest.OpenStreams(500)), 5*time.Second, 5*time.Second, func(s *siege) {
		for _, c := range s.net.Host(1).Network().ConnsToPeer(s.net.Host(3).ID()) {
			n := c.Stat().NumStreams
			t.Logf("%d streams", n)
			if n < 200 || n > 270 {
				t.Errorf("an attacker that opened 2500 streams has %d, want as many as one peer may and no more", n)
			}
		}
	})
}

func TestWhoWithholdsIsCutOff(t *testing.T) {
	lied(t, false, p2p.Withheld)
}

func TestWhoForgesChunksIsCutOff(t *testing.T) {
	lied(t, true, p2p.Forged)
}

// lied runs a broadcaster, four viewers in a chain and a liar that knows them all.
func lied(t *testing.T, forge bool, why p2p.Misconduct) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 500_000}
		net := p2ptest.New(t, latency)
		const viewers = 4
		for range 1 + viewers {
			net.AddNode(p2ptest.Link{})
		}
		liar := net.AddLiar(p2ptest.Link{}, src.Key.ID(), forge)
		net.Start()
		defer net.Close()
		for i := range viewers {
			join(t, net, i+1, net.Link(src.Key.ID(), i))
			net.Connect(1+viewers, i+1)
		}
		time.Sleep(3 * time.Second)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan map[stream.Position][]byte)
		go func() { done <- src.Run(ctx, t, net.Node(0), 1000, false) }()
		time.Sleep(3 * time.Second)
		liar.Lie()
		began := time.Now()
		time.Sleep(20 * time.Second)
		cancel()
		sent := <-done
		time.Sleep(3 * time.Second)
		if st := liar.Stats(); st.Asked == 0 || st.Still || st.Last.Sub(began) > 10*time.Second {
			t.Errorf("the liar was asked %d times, the last time after %v; still: %t", st.Asked, st.Last.Sub(began), st.Still)
		}
		cut := int64(0)
		for i := range viewers {
			cut += net.Node(i + 1).Stats().CutOff[why]
			if missing := p2ptest.Missing(net.Node(i+1), src.Key.ID(), sent); len(missing) > 0 {
				t.Errorf("viewer %d lacks %d of %d parts: %v", i+1, len(missing), len(sent), missing)
			}
		}
		if cut == 0 {
			t.Errorf("nobody cut the liar off for %s", why)
		}
	})
}

// Of the peers that a viewer knows four of five claim to have all, withhold it, and tell only of
// each other.
func TestEclipsedViewerPlaysFromTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 500_000}
		net := p2ptest.New(t, latency)
		for range 4 {
			net.AddNode(p2ptest.Link{})
		}
		var liars []*p2ptest.Liar
		hosts := []int{1, 2}
		for i := range 8 {
			liars = append(liars, net.AddLiar(p2ptest.Link{}, src.Key.ID(), false))
			hosts = append(hosts, 4+i)
		}
		net.Start()
		defer net.Close()
		for i := 1; i < 4; i++ {
			join(t, net, i, net.Link(src.Key.ID(), 0))
		}
		for i := range liars {
			net.Connect(4+i, 1+i%3)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan map[stream.Position][]byte)
		go func() { done <- src.Run(ctx, t, net.Node(0), 1000, false) }()
		time.Sleep(12 * time.Second)
		for _, l := range liars {
			l.LieToNewcomers(liars)
		}
		viewer := net.AddNode(p2ptest.Link{})
		s, err := viewer.Join(net.Link(src.Key.ID(), hosts...))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		whole := 0
		for _, line := range s.Timelines() {
			for _, seg := range line.Segments(stream.Position{}) {
				ok := seg.Complete
				for _, h := range seg.Headers {
					ok = ok && viewer.Store().Whole(h.ID())
				}
				if ok {
					whole++
				}
			}
		}
		if whole < 3 {
			t.Errorf("after 10 s %d segments are whole, want the 3 with which players begin", whole)
		}
		cancel()
		<-done
	})
}

// Whoever has a stream's key runs two broadcasters at a time: viewers of one and the other are not
// set against each other.
func TestTwoBroadcastersOfOneKeySetNobodyAgainstAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := stream.NewKey()
		net := p2ptest.New(t, latency)
		for range 6 {
			net.AddNode(p2ptest.Link{})
		}
		net.Start()
		defer net.Close()
		var viewers []*p2p.Swarm
		for i := 2; i < 6; i++ {
			viewers = append(viewers, join(t, net, i, net.Link(key.ID(), i%2)))
		}
		for i := 2; i < 6; i++ {
			for j := 2; j < i; j++ {
				net.Connect(i, j)
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		var runs sync.WaitGroup
		for i := range 2 {
			// Of another rate, so that the parts differ.
			src := &p2ptest.Source{Key: key, Epoch: 1, Rate: 500_000 + 100_000*i}
			runs.Go(func() { src.Run(ctx, t, net.Node(i), 1000, false) })
		}
		time.Sleep(30 * time.Second)
		cancel()
		runs.Wait()
		for i, s := range viewers {
			st := s.Stats()
			if st.Equivocations == 0 {
				t.Errorf("viewer %d does not know that two headers were signed", i)
			}
			if st.PeersCutOff > 0 || st.Penalties > 0 {
				t.Errorf("viewer %d cut off %d peers, and penalised %d times", i, st.PeersCutOff, st.Penalties)
			}
			t.Logf("viewer %d: %d parts with two headers, %d chunks refused", i, st.Equivocations, st.ChunksRefused)
		}
	})
}

// One that is thrown out comes back as somebody else, until nobody new is let in from its
// address; who is there from the same address stays.
func TestSybilsOfOneAddressAreLetInNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 500_000}
		net := p2ptest.New(t, latency)
		net.AddNode(p2ptest.Link{})
		sybil := net.AddSybil(p2ptest.Link{}, src.Key.ID(), p2ptest.ForgeHeaders(50))
		net.Start()
		defer net.Close()
		net.Connect(1, 0)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan map[stream.Position][]byte)
		go func() { done <- src.Run(ctx, t, net.Node(0), 1000, false) }()
		time.Sleep(3 * time.Second)
		sybil.Attack()
		time.Sleep(30 * time.Second)
		st, figures := sybil.Stats(), net.Node(0).Stats()
		if n := figures.CutOff[p2p.Forged]; n != 4 {
			t.Errorf("%d identities of %d were cut off, want 4 until the address was", n, st.Identities)
		}
		if figures.BannedAddrs != 1 || figures.ConnsRefused == 0 {
			t.Errorf("%d addresses are banned, and %d connections were refused", figures.BannedAddrs, figures.ConnsRefused)
		}
		time.Sleep(time.Minute)
		if n := net.Node(0).Stats().CutOff[p2p.Forged]; n < 5 || n > 8 {
			t.Errorf("%d identities were cut off within 90 s; want that one is let in again after a minute, and not many", n)
		}
		cancel()
		<-done
	})
}

// Many connections from many addresses find no room, and cost those who watch nothing.
func TestConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 500_000}
		net := p2ptest.New(t, latency)
		net.AddNode(p2ptest.Link{})
		net.AddNode(p2ptest.Link{})
		net.Start()
		defer net.Close()
		strangers := net.NewStrangers(20)
		defer strangers.Close()
		join(t, net, 1, net.Link(src.Key.ID(), 0))
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		done := make(chan map[stream.Position][]byte)
		go func() { done <- src.Run(ctx, t, net.Node(0), 1000, false) }()
		k := strangers.Knock(ctx, 0, 1000, 500)
		t.Logf("%+v", k)
		if n := len(net.Host(0).Network().Conns()); n > 321 {
			t.Errorf("%d connections", n)
		}
		if k.Opened+k.Refused != 1000 || k.Held > 320 {
			t.Errorf("%+v, want at most 320 to be held", k)
		}
		sent := <-done
		time.Sleep(3 * time.Second)
		if missing := p2ptest.Missing(net.Node(1), src.Key.ID(), sent); len(missing) > 0 {
			t.Errorf("the viewer lacks %d of %d parts: %v", len(missing), len(sent), missing)
		}
	})
}
