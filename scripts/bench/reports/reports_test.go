package reports

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/hls"
	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

var (
	nodes  = flag.Int("nodes", 0, "`N` viewers' nodes; as a test, six")
	seed   = flag.Int64("seed", 1, "who is connected to whom")
	asJSON = flag.Bool("json", false, "one JSON object, and nothing else")
)

// stdout is where results go; what package testing prints goes to standard error.
var stdout = os.Stdout

func TestMain(m *testing.M) {
	flag.Parse()
	if *nodes > 0 {
		os.Stdout = os.Stderr
	}
	os.Exit(m.Run())
}

const (
	latency = 25 * time.Millisecond
	dials   = 6
	rate    = 300_000
	cutFor  = 15 * time.Second
)

// course is how long each phase lasts.
type course struct {
	settle time.Duration // before anything is measured, and while surveys find out how many there are
	phase  time.Duration // without surveys, with them, and of playing before anything fails
	rest   time.Duration // after that
}

var (
	whole = course{30 * time.Second, time.Minute, 45 * time.Second}
	brief = course{10 * time.Second, 20 * time.Second, 36 * time.Second}
)

// figures are of the players of some nodes, or what is said of them.
type figures struct {
	Nodes      float64 `json:"nodes"`
	Viewers    float64 `json:"viewers"`
	VLC        float64 `json:"vlc"`
	DelayP50   float64 `json:"delay_p50_s"`
	DelayP95   float64 `json:"delay_p95_s"`
	StalledP50 float64 `json:"stalled_p50_s"`
	StalledP95 float64 `json:"stalled_p95_s"`
	Stalling   float64 `json:"stalling"`
}

// result is what one run measured.
type result struct {
	Agreed figures `json:"agreed"` // the truth of those that agreed
	All    figures `json:"all"`    // the truth of all
	Told   figures `json:"told"`   // what the broadcaster says of those that agreed
	Share  float64 `json:"share"`  // of nodes that the last survey asked

	NodesError   float64 `json:"nodes_error"`   // standard error that the broadcaster says
	ViewersError float64 `json:"viewers_error"` // likewise

	Reports  float64 `json:"reports"`  // taken a second, while there was no stream
	Node     float64 `json:"node"`     // bytes a second that a node sends for surveys and reports, in packets, mean
	Source   float64 `json:"source"`   // bytes a second that the broadcaster receives and sends for them
	Refused  int64   `json:"refused"`  // reports, by all
	Dropped  int64   `json:"dropped"`  // likewise
	Lost     int64   `json:"lost"`     // likewise
	Baseline float64 `json:"baseline"` // bytes a second that a node sends without them
}

func TestReportsAreTrue(t *testing.T) {
	n, c, show := *nodes, whole, io.Writer(stdout)
	if n == 0 {
		n, c, show = 6, brief, io.Discard
	}
	synctest.Test(t, func(t *testing.T) {
		r := run(t, n, c)
		if *asJSON {
			_ = json.NewEncoder(show).Encode(r)
		} else {
			r.print(show)
		}
		off := func(what string, told, truth, most float64) {
			if math.Abs(told-truth) > most {
				t.Errorf("%s: %g told, %g in truth", what, told, truth)
			}
		}
		// Four standard errors of the sample, which is all of them unless there are many.
		off("nodes", r.Told.Nodes, r.Agreed.Nodes, 4*r.NodesError)
		off("viewers", r.Told.Viewers, r.Agreed.Viewers, 4*r.ViewersError)
		off("viewers with VLC", r.Told.VLC, r.Agreed.VLC, 4*r.ViewersError)
		// The server does not see what a player keeps back.
		off("delay p50", r.Told.DelayP50, r.Agreed.DelayP50, caching.Seconds()+0.5)
		off("delay p95", r.Told.DelayP95, r.Agreed.DelayP95, caching.Seconds()+0.5)
		off("stalled p95", r.Told.StalledP95, r.Agreed.StalledP95, caching.Seconds()+0.5)
		off("stalling", r.Told.Stalling, r.Agreed.Stalling, 0.01+4*r.ViewersError/max(1, r.Agreed.Viewers))
		if r.All.Stalling == 0 || n > 20 && r.Agreed.Stalling == 0 {
			t.Errorf("nobody stalled: %+v", r)
		}
	})
}

func (r *result) print(w io.Writer) {
	fmt.Fprintf(w, "%-28s %10s %10s %10s\n", "", "told", "agreed", "all")
	line := func(what, format string, f func(*figures) float64) {
		fmt.Fprintf(w, "%-28s %10s %10s %10s\n", what, fmt.Sprintf(format, f(&r.Told)), fmt.Sprintf(format, f(&r.Agreed)), fmt.Sprintf(format, f(&r.All)))
	}
	line("nodes", "%.0f", func(f *figures) float64 { return f.Nodes })
	line("viewers", "%.0f", func(f *figures) float64 { return f.Viewers })
	line("of these VLC", "%.0f", func(f *figures) float64 { return f.VLC })
	line("delay, p50", "%.1f s", func(f *figures) float64 { return f.DelayP50 })
	line("delay, p95", "%.1f s", func(f *figures) float64 { return f.DelayP95 })
	line("stalled of a minute, p50", "%.1f s", func(f *figures) float64 { return f.StalledP50 })
	line("stalled of a minute, p95", "%.1f s", func(f *figures) float64 { return f.StalledP95 })
	line("stalled at all", "%.1f%%", func(f *figures) float64 { return 100 * f.Stalling })
	fmt.Fprintf(w, "\na share of %.2f was asked, with standard errors of %.1f nodes and %.1f viewers; %.1f reports a second; %d refused, %d dropped, %d lost\n", r.Share, r.NodesError, r.ViewersError, r.Reports, r.Refused, r.Dropped, r.Lost)
	fmt.Fprintf(w, "surveys and reports take %.0f bytes a second that a node sends, in packets, beside %.0f that it sends anyway without a stream; %.0f that the broadcaster sends and receives\n", r.Node, r.Baseline, r.Source)
}

// swarm is a run under way.
type swarm struct {
	t       *testing.T
	net     *p2ptest.Network
	key     stream.Key
	viewers []*viewer
}

// viewer is a node with its players.
type viewer struct {
	node    *p2p.Node
	swarm   *p2p.Swarm
	agreed  bool
	server  *hls.Server
	players []*player
}

// Streams and Status make a viewer an hls.Node.
func (v *viewer) Streams() []hls.Stream {
	return []hls.Stream{{ID: v.swarm.ID(), Timelines: v.swarm.Timelines(), Store: v.node.Store()}}
}

func (v *viewer) Status() hls.Status { return hls.Status{} }

// run compares once.
func run(t *testing.T, n int, c course) *result {
	s := &swarm{t: t, net: p2ptest.New(t, latency), key: stream.NewKey()}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer s.net.Close()
	defer func() { cancel(); running.Wait() }()
	source := s.net.AddNode(p2ptest.Link{})
	for i := range n {
		s.add(i)
	}
	s.net.Start()
	s.net.ConnectRandomly(dials, *seed)
	asks, err := source.Survey(s.key, 1)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range s.viewers {
		s.join(ctx, &running, i, v)
	}
	time.Sleep(c.settle)

	r := &result{}
	node, broadcaster := s.bytes(c.phase)
	r.Baseline = node
	running.Go(func() { asks.Run(ctx) })
	time.Sleep(c.settle)
	reports := asks.Stats().Reports
	nodeAsked, broadcasterAsked := s.bytes(c.phase)
	r.Node, r.Source = nodeAsked-node, broadcasterAsked-broadcaster
	r.Reports = float64(asks.Stats().Reports-reports) / c.phase.Seconds()

	running.Go(func() {
		(&p2ptest.Source{Key: s.key, Epoch: 1, Rate: rate}).Run(ctx, t, source, 1000, false)
	})
	time.Sleep(20 * time.Second)
	stop := make(chan struct{})
	for _, v := range s.viewers {
		for _, p := range v.players {
			running.Go(func() { p.run(stop) })
		}
	}
	defer close(stop)
	time.Sleep(c.phase)
	s.cut(true)
	time.Sleep(cutFor)
	s.cut(false)
	time.Sleep(c.rest)
	s.compare(r, asks)
	return r
}

// add adds a viewer's node. One of two agreed.
func (s *swarm) add(i int) {
	v := &viewer{agreed: i%2 == 0}
	var cfg p2p.Config
	var server atomic.Pointer[hls.Server]
	cfg.Report = func(id stream.ID) (r stream.Report, agreed bool) {
		if !v.agreed || server.Load() == nil {
			return r, false
		}
		r.Version = "bench"
		r.Players, r.Playing = server.Load().Playing(id, time.Now())
		return r, true
	}
	v.node = s.net.AddNodeWith(p2ptest.Link{Up: 20_000_000}, cfg)
	var err error
	if v.server, err = hls.NewServer(hls.Config{Node: v}); err != nil {
		s.t.Fatal(err)
	}
	server.Store(v.server)
	s.viewers = append(s.viewers, v)
}

// join has a node watch, by players of which each third node has none, one or two.
func (s *swarm) join(ctx context.Context, running *sync.WaitGroup, i int, v *viewer) {
	var err error
	if v.swarm, err = v.node.Join(stream.Link{Stream: s.key.ID()}); err != nil {
		s.t.Fatal(err)
	}
	running.Go(func() { _ = v.server.Run(ctx) })
	handler := v.server.Handler()
	agents := []struct {
		agent string
		kind  stream.PlayerKind
	}{{"VLC/3.0.20 LibVLC/3.0.20", stream.PlayerVLC}, {"libmpv", stream.PlayerMPV}, {"Lavf/60.16.100", stream.PlayerFFmpeg}}
	for k := range (i / 2) % 3 {
		a := agents[(i/6+k)%len(agents)]
		v.players = append(v.players, &player{handler: handler, path: "/" + s.key.ID().String() + "/main/", agent: fmt.Sprintf("%s (%d)", a.agent, k), kind: a.kind})
	}
}

// cut cuts a fourth of the nodes with players off, or ends that.
func (s *swarm) cut(off bool) {
	rng := rand.New(rand.NewSource(*seed)) // the same ones both times
	var some []int
	for i, v := range s.viewers {
		if len(v.players) > 0 {
			some = append(some, i)
		}
	}
	rng.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
	for _, i := range some[:(len(some)+3)/4] {
		s.net.Cut(1+i, off)
	}
}

// bytes returns what a node sends, and the broadcaster sends and receives, a second within d.
func (s *swarm) bytes(d time.Duration) (node, source float64) {
	count := func() (nodes, source float64) {
		for i := range s.viewers {
			_, out := s.net.WireBytes(1 + i)
			nodes += float64(out)
		}
		in, out := s.net.WireBytes(0)
		return nodes / float64(len(s.viewers)), float64(in + out)
	}
	nodeBefore, sourceBefore := count()
	time.Sleep(d)
	nodeAfter, sourceAfter := count()
	return (nodeAfter - nodeBefore) / d.Seconds(), (sourceAfter - sourceBefore) / d.Seconds()
}

// compare reads what the broadcaster was told, and the truth.
func (s *swarm) compare(r *result, asks *p2p.Surveyor) {
	a, ok := asks.Audience()
	if !ok {
		s.t.Fatal("no survey is over")
	}
	r.Share, r.NodesError, r.ViewersError = a.Share, a.NodesError, a.ViewersError
	r.Told = figures{a.Nodes, a.Viewers, a.Kinds[stream.PlayerVLC], a.DelayP50.Seconds(), a.DelayP95.Seconds(), a.StalledP50.Seconds(), a.StalledP95.Seconds(), a.Stalling}
	var agreed, all []*viewer
	for _, v := range s.viewers {
		all = append(all, v)
		if v.agreed {
			agreed = append(agreed, v)
		}
		st := v.swarm.Stats()
		r.Refused += st.ReportsRefused
		r.Dropped += st.ReportsDropped
		r.Lost += st.ReportsLost
		if !v.agreed && st.ReportsSent > 0 {
			s.t.Errorf("a node that did not agree sent %d reports", st.ReportsSent)
		}
	}
	r.Agreed, r.All = s.truth(agreed), s.truth(all)
}

// truth is what the players of some nodes know.
func (s *swarm) truth(of []*viewer) figures {
	f := figures{Nodes: float64(len(of))}
	var delays, stalls []time.Duration
	now := time.Now()
	for _, v := range of {
		for _, p := range v.players {
			delay, stalled, err := p.fares(now)
			if err != nil {
				s.t.Error(err)
			}
			delays, stalls = append(delays, delay), append(stalls, stalled)
			f.Viewers++
			if p.kind == stream.PlayerVLC {
				f.VLC++
			}
			if stalled > 0 {
				f.Stalling++
			}
		}
	}
	f.Stalling /= max(1, f.Viewers)
	f.DelayP50, f.DelayP95 = quantile(delays, 0.5), quantile(delays, 0.95)
	f.StalledP50, f.StalledP95 = quantile(stalls, 0.5), quantile(stalls, 0.95)
	return f
}

func quantile(values []time.Duration, q float64) float64 {
	slices.SortFunc(values, cmp.Compare)
	if len(values) == 0 {
		return 0
	}
	return values[min(len(values)-1, int(math.Ceil(q*float64(len(values))))-1)].Seconds()
}
