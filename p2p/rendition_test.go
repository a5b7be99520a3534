package p2p_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

// ladder broadcasts two renditions of one stream from node 0, and returns what it
// broadcast of each.
type ladder struct {
	high, low *p2ptest.Source
	sent      [2]chan map[stream.Position][]byte
}

func newLadder() *ladder {
	key := stream.NewKey()
	l := &ladder{
		high: &p2ptest.Source{Key: key, Rendition: "high", Epoch: 1, Rate: 2_000_000},
		low:  &p2ptest.Source{Key: key, Rendition: "low", Epoch: 1, Rate: 500_000},
	}
	for i := range l.sent {
		l.sent[i] = make(chan map[stream.Position][]byte, 1)
	}
	return l
}

func (l *ladder) run(t *testing.T, net *p2ptest.Network, segments int) {
	for i, src := range []*p2ptest.Source{l.high, l.low} {
		go func() { l.sent[i] <- src.Run(context.Background(), t, net.Node(0), segments, false) }()
	}
}

// span returns the parts of segments from to before to.
func span(all map[stream.Position][]byte, from, to uint64) map[stream.Position][]byte {
	out := make(map[stream.Position][]byte)
	for pos, data := range all {
		if pos.Segment >= from && pos.Segment < to {
			out[pos] = data
		}
	}
	return out
}

func TestNodeCarriesTheRenditionsThatItIsToldTo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLadder()
		net := line(t, 4, 3, l.high.Key)
		defer net.Close()
		l.run(t, net, 30)
		time.Sleep(10*time.Second + 300*time.Millisecond) // within segment 5

		viewer := join(t, net, 3, net.Link(l.high.Key.ID(), 1, 2))
		if err := viewer.Carry([]string{"low"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second) // segment 10
		all, _ := net.Bytes(3)
		got, of := viewer.Stats().BytesReceived, 10+4*2+2 // seconds: since then, the last segments, and the one begun
		t.Logf("received %d bytes, of which %d of chunks", all, got)
		if share := float64(got) / float64(of*l.low.Rate/8); share > 1 {
			t.Errorf("received %.2f times what the low rendition has", share)
		}

		// It may name one before it exists; that is no error.
		if err := viewer.Carry([]string{"high", "low", "later"}); err != nil {
			t.Fatal(err)
		}
		took := waitFor(t, 2*time.Second, "three whole segments of the other rendition", func() bool {
			whole := 0
			for _, g := range viewer.Timelines()[0].Segments(stream.Position{}) {
				all := g.Complete
				for _, h := range g.Headers {
					all = all && net.Node(3).Store().Whole(h.ID())
				}
				if all {
					whole++
				}
			}
			return whole >= 3
		})
		t.Logf("three whole segments %v after it was told", took)
		if took > time.Second {
			t.Errorf("the other rendition can be played after %v, want at most 1s", took)
		}
		time.Sleep(10 * time.Second) // segment 15

		if err := viewer.Carry([]string{"high"}); err != nil {
			t.Fatal(err)
		}
		high, low := <-l.sent[0], <-l.sent[1]
		time.Sleep(3 * time.Second)
		id := l.high.Key.ID()
		if missing := p2ptest.MissingOf(net.Node(3), id, "low", span(low, 5, 15)); len(missing) > 0 {
			t.Errorf("of what it carried first it lacks %d parts: %v", len(missing), missing)
		}
		if missing := p2ptest.MissingOf(net.Node(3), id, "high", span(high, 10, 30)); len(missing) > 0 {
			t.Errorf("of what it carried then it lacks %d parts: %v", len(missing), missing)
		}
		if have := len(span(low, 17, 30)) - len(p2ptest.MissingOf(net.Node(3), id, "low", span(low, 17, 30))); have > 0 {
			t.Errorf("it holds %d parts of a rendition that it had left", have)
		}
		if have := len(span(high, 0, 5)) - len(p2ptest.MissingOf(net.Node(3), id, "high", span(high, 0, 5))); have > 0 {
			t.Errorf("it fetched %d parts from long before it carried them", have)
		}
		for i := range 4 {
			for _, s := range net.Node(i).Swarms() {
				if st := s.Stats(); st.Penalties > 0 || st.ChunksRefused > 0 {
					t.Errorf("node %d refused %d chunks and penalised %d times", i, st.ChunksRefused, st.Penalties)
				}
			}
		}
		for i := 1; i < 3; i++ { // who carries all goes on
			for name, want := range map[string]map[stream.Position][]byte{"high": high, "low": low} {
				if missing := p2ptest.MissingOf(net.Node(i), id, name, want); len(missing) > 0 {
					t.Errorf("node %d lacks %d parts of %s: %v", i, len(missing), name, missing)
				}
			}
		}
	})
}

func TestRenditionIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLadder()
		net := line(t, 3, 3, l.high.Key)
		defer net.Close()
		l.run(t, net, 30)
		viewer := net.Node(2).Swarms()[0]
		turns := []string{"high", "low"}
		for i := range 8 { // as a player that cannot decide
			time.Sleep(5 * time.Second)
			if err := viewer.Carry(turns[i%2 : i%2+1]); err != nil {
				t.Fatal(err)
			}
		}
		high, low := <-l.sent[0], <-l.sent[1]
		time.Sleep(3 * time.Second)
		// It came back to low after 40 s, in segment 20, and began a few before that.
		if missing := p2ptest.MissingOf(net.Node(2), l.high.Key.ID(), "low", span(low, 19, 30)); len(missing) > 0 {
			t.Errorf("lacks %d parts: %v", len(missing), missing)
		}
		if have := len(span(high, 22, 30)) - len(p2ptest.MissingOf(net.Node(2), l.high.Key.ID(), "high", span(high, 22, 30))); have > 0 {
			t.Errorf("it holds %d parts of a rendition that it had left", have)
		}
	})
}

// TestNobodyIsBlamedForWhatIsUnderWay has a viewer leave a rendition and carry it again
// before its neighbours, which are far away, can know.
func TestNobodyIsBlamedForWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLadder()
		net := p2ptest.New(t, 150*time.Millisecond)
		for range 3 {
			net.AddNode(p2ptest.Link{})
		}
		net.Start()
		defer net.Close()
		id := l.high.Key.ID()
		join(t, net, 1, net.Link(id, 0))
		viewer := join(t, net, 2, net.Link(id, 0, 1))
		l.run(t, net, 20)
		time.Sleep(20 * time.Second)
		for range 3 {
			for _, names := range [][]string{{"low"}, {"low", "high"}} {
				if err := viewer.Carry(names); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(3 * time.Second)
		}
		high := <-l.sent[0]
		<-l.sent[1]
		time.Sleep(3 * time.Second)
		s := viewer.Stats()
		if s.Penalties > 0 || s.ChunksRefused > 0 {
			t.Errorf("refused %d chunks of honest peers, and penalised %d times", s.ChunksRefused, s.Penalties)
		}
		if s.ChunksLate == 0 {
			t.Error("no chunk was under way when the viewer turned")
		}
		if missing := p2ptest.MissingOf(net.Node(2), id, "high", span(high, 2, 20)); len(missing) > 0 {
			t.Errorf("lacks %d parts: %v", len(missing), missing)
		}
	})
}
