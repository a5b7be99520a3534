package p2p_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

// telling returns what has a node report so many players of VLC.
func telling(players int, delay time.Duration) func(stream.ID) (stream.Report, bool) {
	return func(stream.ID) (stream.Report, bool) {
		r := stream.Report{Version: "test", Players: [stream.PlayerKinds]int{stream.PlayerVLC: players}}
		for range players {
			r.Playing = append(r.Playing, stream.PlayerReport{Kind: stream.PlayerVLC, Delay: delay, Watched: time.Minute, Stalled: 3 * time.Second, Stalls: 1})
		}
		return r, true
	}
}

// surveyedLine is nodes each of which knows the one before and the one after it, and host 0 broadcasts.
type surveyedLine struct {
	net  *p2ptest.Network
	key  stream.Key
	asks *p2p.Surveyor
	end  context.CancelFunc // of what is published; the broadcaster goes on to ask
}

// inLine runs f in a line of nodes, of which those with a function report, and a further host
// that has no node and is connected to number 1.
func inLine(t *testing.T, reports []func(stream.ID) (stream.Report, bool), f func(t *testing.T, l *surveyedLine, stranger host.Host)) {
	t.Helper()
	inLineOf(t, func(*testing.T) stream.Key { return stream.NewKey() }, reports, f)
}

// inLineOf is inLine with a key, which is made in the bubble.
func inLineOf(t *testing.T, key func(*testing.T) stream.Key, reports []func(stream.ID) (stream.Report, bool), f func(t *testing.T, l *surveyedLine, stranger host.Host)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &surveyedLine{net: p2ptest.New(t, 25*time.Millisecond), key: key(t)}
		for _, report := range reports {
			l.net.AddNodeWith(p2ptest.Link{}, p2p.Config{Report: report})
		}
		stranger := l.net.AddHost(p2ptest.Link{})
		l.net.Start()
		defer l.net.Close()
		var err error
		if l.asks, err = l.net.Node(0).Survey(l.key, 1); err != nil {
			t.Fatal(err)
		}
		for i := range reports {
			join(t, l.net, i, stream.Link{Stream: l.key.ID()})
			var next []host.Host
			if i > 0 {
				next = append(next, l.net.Host(i-1))
			}
			if i+1 < len(reports) {
				next = append(next, l.net.Host(i+1))
			}
			if i == 1 {
				next = append(next, stranger)
			}
			l.net.Node(i).OnlyTo(next...)
			if i > 0 {
				l.net.Connect(i, i-1)
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		onAir, end := context.WithCancel(ctx)
		l.end = end
		var running sync.WaitGroup
		defer func() { cancel(); running.Wait() }()
		running.Go(func() {
			(&p2ptest.Source{Key: l.key, Epoch: 1, Rate: 1_000_000}).Run(onAir, t, l.net.Node(0), 100, false)
		})
		running.Go(func() { l.asks.Run(ctx) })
		f(t, l, stranger)
	})
}

func (l *surveyedLine) stats(i int) p2p.SwarmStats { return l.net.Node(i).Swarms()[0].Stats() }

func TestReportsReachTheBroadcasterOverFourHops(t *testing.T) {
	refuses := func(stream.ID) (r stream.Report, agreed bool) { return r, false }
	inLine(t, []func(stream.ID) (stream.Report, bool){telling(9, 0), nil, telling(0, 0), refuses, telling(2, 6*time.Second)}, func(t *testing.T, l *surveyedLine, _ host.Host) {
		time.Sleep(90 * time.Second)
		a, ok := l.asks.Audience()
		if !ok {
			t.Fatal("no survey is over after 90 s")
		}
		t.Logf("%+v", a)
		if a.Share != 1 || a.Nodes != 2 || a.NodesError != 0 || a.Viewers != 2 || a.ViewersError != 0 || a.Kinds[stream.PlayerVLC] != 2 || a.Largest != 2 {
			t.Errorf("%g ± %g nodes and %g ± %g viewers with a share of %g, want 2 and 2 exactly, of all", a.Nodes, a.NodesError, a.Viewers, a.ViewersError, a.Share)
		}
		if a.DelayP50 != 6*time.Second || a.DelayP95 != 6*time.Second || a.StalledP50 != 3*time.Second || a.Stalling != 1 || math.Abs(a.StalledShare-0.05) > 1e-9 {
			t.Errorf("delays %v and %v, stalled %v, %g of the viewers, %g of the time", a.DelayP50, a.DelayP95, a.StalledP50, a.Stalling, a.StalledShare)
		}
		// In a line each is fed by one, none of them the broadcaster.
		if a.OneFeeder != 1 || a.FromPeers != 1 || a.FromBroadcaster != 0 || a.FromOrigins != 0 || a.NoSpare != 0 {
			t.Errorf("one feeder %g, from peers %g, the broadcaster %g, origins %g; no spare upload %g", a.OneFeeder, a.FromPeers, a.FromBroadcaster, a.FromOrigins, a.NoSpare)
		}
		if a.Given < 0.8e6 || a.Given > 1.3e6 {
			t.Errorf("%g bit/s given, want those of one child, 1 Mbit/s", a.Given)
		}
		if a.Versions["test"] != 2 {
			t.Errorf("versions %v", a.Versions)
		}
		for i, agreed := range []bool{false, false, true, false, true} { // the broadcaster tells itself nothing
			st := l.stats(i)
			t.Logf("node %d: %d surveys, %d reports of its own, %d passed", i, st.Surveys, st.ReportsSent, st.ReportsPassed)
			if (st.ReportsSent > 0) != agreed {
				t.Errorf("node %d sent %d reports of its own, though agreed is %t", i, st.ReportsSent, agreed)
			}
			if st.ReportsRefused+st.ReportsDropped+st.ReportsLost+st.SurveysRefused > 0 {
				t.Errorf("node %d: %d refused, %d dropped, %d lost", i, st.ReportsRefused, st.ReportsDropped, st.ReportsLost)
			}
		}
		if near, far := l.stats(1).ReportsPassed, l.stats(3).ReportsPassed; near <= far || far == 0 {
			t.Errorf("%d reports passed next to the broadcaster, %d three hops away: each goes hop by hop", near, far)
		}
	})
}

// A broadcaster that comes back asks anew, and nodes report under keys that have nothing to do with
// those of before.
func TestADelegateIsAnsweredUntilItIsRevoked(t *testing.T) {
	master := stream.NewKey()
	key := func(t *testing.T) stream.Key { return delegated(t, master, time.Hour) }
	inLineOf(t, key, []func(stream.ID) (stream.Report, bool){nil, nil, telling(2, time.Second)}, func(t *testing.T, l *surveyedLine, _ host.Host) {
		time.Sleep(time.Minute)
		if a, ok := l.asks.Audience(); !ok || a.Viewers != 2 {
			t.Fatalf("%g viewers are told, want 2", a.Viewers)
		}
		l.end() // or else it would fail to publish
		time.Sleep(10 * time.Second)
		asked := l.stats(2).Surveys
		time.Sleep(10 * time.Second)
		if l.stats(2).Surveys == asked {
			t.Error("it asks no more before it is revoked")
		}
		if _, err := l.net.Node(2).Swarms()[0].Revoke(revoke(t, master, 1, l.key)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		before := l.stats(2)
		time.Sleep(time.Minute)
		if after := l.stats(2); after.Surveys != before.Surveys || after.ReportsSent != before.ReportsSent {
			t.Errorf("%d more surveys of a revoked key are passed on, %d more reports sent", after.Surveys-before.Surveys, after.ReportsSent-before.ReportsSent)
		}
	})
}

func TestABroadcasterThatComesBackIsAnswered(t *testing.T) {
	inLine(t, []func(stream.ID) (stream.Report, bool){nil, nil, telling(1, time.Second)}, func(t *testing.T, l *surveyedLine, _ host.Host) {
		time.Sleep(20 * time.Second)
		again, err := l.net.Node(0).Survey(l.key, 2)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { again.Run(ctx) })
		defer func() { cancel(); running.Wait() }()
		time.Sleep(20 * time.Second)
		if a, ok := again.Audience(); !ok || a.Viewers != 1 {
			t.Errorf("%+v, %t", a, ok)
		}
	})
}

// sendReports has a host send a message of reports to host 1, as a neighbour does.
func (l *surveyedLine) sendReports(t *testing.T, from host.Host, message []byte) {
	t.Helper()
	s, err := from.NewStream(context.Background(), l.net.Host(1).ID(), p2p.ReportProtocol)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w := bufio.NewWriter(s)
	_, _ = w.Write(binary.AppendUvarint(nil, uint64(len(message))))
	_, _ = w.Write(message)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}

// survey has a peer that joined the topic return the next survey.
func (l *surveyedLine) survey(t *testing.T, ps *pubsub.PubSub) *stream.SignedSurvey {
	t.Helper()
	topic, err := ps.Join("gv1/" + l.key.ID().String()[:16] + "/-survey")
	if err != nil {
		t.Fatal(err)
	}
	defer topic.Close()
	sub, err := topic.Subscribe()
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Cancel()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		m, err := sub.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		s, err := stream.OpenSurvey(l.key.ID(), m.Data)
		if err != nil {
			t.Fatal(err)
		}
		if s.Sampling == stream.MaxSampling {
			return s
		}
	}
}

func sealed(t *testing.T, s *stream.SignedSurvey, by *stream.Reporter, r stream.Report) []byte {
	t.Helper()
	raw, err := by.Seal(s, r)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestForgedAndReplayedReportsDoNotCount(t *testing.T) {
	inLine(t, []func(stream.ID) (stream.Report, bool){nil, nil, telling(1, time.Second)}, func(t *testing.T, l *surveyedLine, stranger host.Host) {
		l.net.Connect(3, 1)
		a := newAttacker(t, stranger, l.key.ID())
		defer a.stop()
		survey := l.survey(t, a.ps)
		who, id := stream.NewReporter(), l.key.ID()
		lie, _ := telling(1, time.Second)(id)
		send := func(reports ...[]byte) {
			l.sendReports(t, stranger, p2p.MarshalReports(id, reports))
			time.Sleep(300 * time.Millisecond)
		}
		check := func(what string, passed, refused int64, reason string, count int64) {
			t.Helper()
			if st := l.stats(1); st.ReportsRefused != refused || st.ReportsPassed < passed {
				t.Errorf("%s: the relay passed %d and refused %d reports, want %d and %d", what, st.ReportsPassed, st.ReportsRefused, passed, refused)
			}
			if got := l.asks.Stats().Refused[reason]; reason != "" && got != count {
				t.Errorf("%s: the broadcaster refused %d as %s, want %d", what, got, reason, count)
			}
		}
		// A liar's own is one report, as any is.
		own := sealed(t, survey, who, lie)
		send(own)
		check("a report", 1, 0, "", 0)
		// The same bytes end at the relay; others of the same key at the broadcaster.
		send(own, own)
		check("replayed", 1, 2, "", 0)
		send(sealed(t, survey, who, lie))
		check("a second one", 2, 2, "again", 1)
		// Sealed to somebody else, or not by the key: it does not open.
		other := stream.Survey{Epoch: survey.Epoch, Round: survey.Round, Sampling: survey.Sampling, Interval: survey.Interval}
		forged, err := l.key.SignSurvey(other, stream.NewSurveyKey(id))
		if err != nil {
			t.Fatal(err)
		}
		send(sealed(t, forged, stream.NewReporter(), lie))
		check("sealed otherwise", 3, 2, "forged", 1)
		// Of a round that is none.
		other.Round += 1000
		ahead, err := l.key.SignSurvey(other, stream.NewSurveyKey(id))
		if err != nil {
			t.Fatal(err)
		}
		send(sealed(t, ahead, stream.NewReporter(), lie))
		check("of another round", 3, 3, "", 0)
		// None of that lowers a score: an honest peer may be late. What is malformed does.
		if n := l.stats(1).Penalties; n != 0 {
			t.Errorf("%d penalties", n)
		}
		send([]byte("no report"))
		check("malformed", 3, 4, "", 0)
		l.sendReports(t, stranger, p2p.MarshalReports(id, nil))
		time.Sleep(300 * time.Millisecond)
		if n := l.stats(1).Penalties; n != 2 {
			t.Errorf("%d penalties, want one for each malformed message", n)
		}
		time.Sleep(25 * time.Second)
		if a, ok := l.asks.Audience(); !ok || a.Viewers != 1 {
			t.Errorf("%+v, %t: want the honest node's viewer alone in later rounds", a, ok)
		}
	})
}

// A forged survey is refused, passed on to nobody, and answered by nobody.
func TestForgedSurveysAreNotAnswered(t *testing.T) {
	inLine(t, []func(stream.ID) (stream.Report, bool){nil, nil, telling(1, time.Second)}, func(t *testing.T, l *surveyedLine, stranger host.Host) {
		l.net.Connect(3, 1)
		a := newAttacker(t, stranger, l.key.ID())
		defer a.stop()
		past := l.survey(t, a.ps)
		time.Sleep(30 * time.Second)
		topic, err := a.ps.Join("gv1/" + l.key.ID().String()[:16] + "/-survey")
		if err != nil {
			t.Fatal(err)
		}
		defer topic.Close()
		time.Sleep(2 * time.Second)
		sent := l.stats(2).ReportsSent
		forged, err := stream.NewKey().SignSurvey(stream.Survey{Epoch: 1, Round: 1 << 40, Sampling: stream.MaxSampling, Interval: time.Second}, stream.NewSurveyKey(l.key.ID()))
		if err != nil {
			t.Fatal(err)
		}
		before := l.stats(1)
		for _, raw := range [][]byte{forged.Bytes(), past.Bytes()} {
			if err := topic.Publish(context.Background(), raw); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Second)
		after := l.stats(1)
		if n := after.SurveysRefused - before.SurveysRefused; n != 1 {
			t.Errorf("%d surveys refused, want the forged one", n)
		}
		if n := l.stats(2).ReportsSent - sent; n > 1 {
			t.Errorf("%d reports within 2 s: an old survey was answered", n)
		}
		if l.stats(2).SurveysRefused > 0 {
			t.Error("the forged survey was passed on")
		}
	})
}

// Whoever floods has its own bucket emptied, and others are heard.
func TestAFloodOfReportsIsHeldBack(t *testing.T) {
	inLine(t, []func(stream.ID) (stream.Report, bool){nil, nil, telling(1, time.Second)}, func(t *testing.T, l *surveyedLine, stranger host.Host) {
		l.net.Connect(3, 1)
		a := newAttacker(t, stranger, l.key.ID())
		defer a.stop()
		survey := l.survey(t, a.ps)
		before, began := l.stats(1), time.Now()
		const flood = 400
		for range flood / 20 {
			var batch [][]byte
			for range 20 {
				batch = append(batch, sealed(t, survey, stream.NewReporter(), stream.Report{}))
			}
			l.sendReports(t, stranger, p2p.MarshalReports(l.key.ID(), batch))
		}
		time.Sleep(time.Second)
		after, most := l.stats(1), p2p.PeerReports+int64(math.Ceil(time.Since(began).Seconds()*p2p.PeerReportsRate))
		passed, dropped := after.ReportsPassed-before.ReportsPassed, after.ReportsDropped-before.ReportsDropped
		t.Logf("%d of %d passed, %d dropped", passed, flood, dropped)
		if passed > most+2 || passed+dropped < flood { // the honest node's reports are among them
			t.Errorf("%d passed and %d dropped of %d, want at most %d passed", passed, dropped, flood, most)
		}
		if refused := l.asks.Stats().Refused; len(refused) > 0 {
			t.Errorf("refused: %v", refused)
		}
		time.Sleep(30 * time.Second)
		if a, ok := l.asks.Audience(); !ok || a.Nodes != 1 {
			t.Errorf("%+v, %t: want the honest node alone once the flood is over", a, ok)
		}
	})
}

// By way of a trusted relay, which alone both know, the broadcaster of a private stream hears of its
// viewer, and the relay has nothing of that in plain.
func TestReportsOfAPrivateStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		net := p2ptest.New(t, latency)
		for i := range 3 {
			var cfg p2p.Config
			if i == 2 {
				cfg.Report = telling(1, time.Second)
			}
			net.AddNodeWith(p2ptest.Link{}, cfg)
		}
		net.Start()
		t.Cleanup(net.Close)
		s := hide(t, net, 1)
		asks, err := net.Node(0).Survey(s.key, 1)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		t.Cleanup(func() { cancel(); running.Wait() })
		running.Go(func() { asks.Run(ctx) })
		join(t, net, 1, s.link)
		time.Sleep(2 * time.Second)
		s.view(t, join(t, net, 2, s.link), s.guests.invite(t, s.key, 1), stream.NewViewerSeed())
		time.Sleep(25 * time.Second)
		if a, ok := asks.Audience(); !ok || a.Nodes != 1 || a.Viewers != 1 {
			t.Errorf("%+v, %t: want the viewer", a, ok)
		}
		if st := net.Node(1).Swarms()[0].Stats(); st.ReportsPassed == 0 || st.ReportsSent > 0 {
			t.Errorf("the relay passed %d reports and sent %d", st.ReportsPassed, st.ReportsSent)
		}
	})
}
