package p2p

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// swarmOfPlayers makes nodes with one or two players each, whose truth is known.
func swarmOfPlayers(n int) (reports []*stream.Report, viewers int) {
	for i := range n {
		r := &stream.Report{Feeders: 1 + i%4, Slots: 16 * (i % 2), Version: "v1", Window: time.Minute, FromPeers: 90, FromBroadcaster: 5, FromOrigins: 5, Given: 7_500_000}
		for range 1 + i%2 {
			r.Players[stream.PlayerVLC]++
			p := stream.PlayerReport{Kind: stream.PlayerVLC, Delay: time.Duration(1+i%10) * time.Second, Watched: time.Minute}
			if i%5 == 0 {
				p.Stalls, p.Stalled = 1, 6*time.Second
			}
			r.Playing = append(r.Playing, p)
		}
		viewers += 1 + i%2
		reports = append(reports, r)
	}
	return reports, viewers
}

func TestAudienceOfAll(t *testing.T) {
	all, viewers := swarmOfPlayers(1000)
	a := newAudience([]answeredSurvey{{share: 0.9, began: time.Unix(0, 0), reports: all[:7]}, {share: 1, began: time.Unix(10, 0), reports: all}})
	if a.Nodes != 1000 || a.Viewers != float64(viewers) || a.NodesError != 0 || a.ViewersError != 0 || a.Surveys != 1 {
		t.Errorf("%g ± %g nodes, %g ± %g viewers of %d surveys, want 1000 and %d of one", a.Nodes, a.NodesError, a.Viewers, a.ViewersError, a.Surveys, viewers)
	}
	// Nodes with two players have delays of 2, 4, … 10 s.
	if a.DelayP50 != 6*time.Second || a.DelayP95 != 10*time.Second {
		t.Errorf("delays %v and %v", a.DelayP50, a.DelayP95)
	}
	if a.StalledP50 != 0 || a.StalledP95 != 6*time.Second || math.Abs(a.Stalling-0.2) > 1e-9 || math.Abs(a.StalledShare-0.02) > 1e-9 {
		t.Errorf("stalled %v and %v, %g of the viewers, %g of the time", a.StalledP50, a.StalledP95, a.Stalling, a.StalledShare)
	}
	if a.OneFeeder != 0.25 || a.NoSpare != 0.5 || math.Abs(a.FromPeers-0.9) > 1e-9 || math.Abs(a.Given-1e9) > 1 {
		t.Errorf("thin %g and %g, from peers %g, %g bit/s given", a.OneFeeder, a.NoSpare, a.FromPeers, a.Given)
	}
}

// Of many samples the mean is the truth, and their spread is what is said of it.
func TestAudienceIsEstimatedWithoutBias(t *testing.T) {
	const trials, nodes = 400, 2000
	all, viewers := swarmOfPlayers(nodes)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, shares := range [][]float64{{0.05}, {0.02, 0.02, 0.03}, {0.0001, 0.1}} {
		t.Run(fmt.Sprint(shares), func(t *testing.T) {
			var sum, squares, said float64
			p50 := 0
			for range trials {
				var surveys []answeredSurvey
				for i, share := range shares {
					s := answeredSurvey{share: share, began: time.Unix(int64(10*i), 0)}
					for _, r := range all {
						if rng.Float64() < share {
							s.reports = append(s.reports, r)
						}
					}
					surveys = append(surveys, s)
				}
				a := newAudience(surveys)
				off := a.Viewers - float64(viewers)
				sum, squares, said = sum+off, squares+off*off, said+a.ViewersError
				if a.DelayP50 >= 5*time.Second && a.DelayP50 <= 7*time.Second {
					p50++
				}
			}
			bias, spread := sum/trials, math.Sqrt(squares/trials)
			t.Logf("off by %.1f in the mean, spread %.1f, said to be %.1f, of %d viewers", bias, spread, said/trials, viewers)
			if math.Abs(bias) > 4*spread/math.Sqrt(trials) {
				t.Errorf("off by %g in the mean of %d trials, with a spread of %g", bias, trials, spread)
			}
			if r := said / trials / spread; r < 0.85 || r > 1.15 {
				t.Errorf("said to be uncertain by %g, is by %g", said/trials, spread)
			}
			if p50 < trials*3/4 {
				t.Errorf("the median delay was within 1 s of the truth in %d of %d trials", p50, trials)
			}
		})
	}
}

func TestAudienceOfNobody(t *testing.T) {
	a := newAudience([]answeredSurvey{{share: 0.5}})
	if a.Viewers != 0 || a.DelayP95 != 0 || a.OneFeeder != 0 || math.IsNaN(a.StalledShare) {
		t.Errorf("%+v", a)
	}
}

// That nobody of a small sample answered is not told as that there is nobody.
func TestASampleOfNobodySaysNothing(t *testing.T) {
	round := func(sampling uint64, reports int) *surveyRound {
		survey, err := stream.NewKey().SignSurvey(stream.Survey{Round: 1, Sampling: sampling, Interval: surveySoon}, stream.NewSurveyKey(stream.ID{}))
		if err != nil {
			t.Fatal(err)
		}
		r := &surveyRound{survey: survey, began: time.Unix(1, 0), reports: make(map[stream.ReporterID]*stream.Report)}
		for i := range reports {
			r.reports[stream.ReporterID{byte(i)}] = &stream.Report{}
		}
		return r
	}
	for _, c := range []struct {
		rounds []*surveyRound
		nodes  float64
		ok     bool
	}{
		{nil, 0, false},
		{[]*surveyRound{round(stream.MaxSampling, 7)}, 0, false}, // which is under way
		{[]*surveyRound{round(stream.MaxSampling/16, 0), round(stream.MaxSampling, 0)}, 0, false},
		{[]*surveyRound{round(stream.MaxSampling/16, 1), round(stream.MaxSampling, 0)}, 16, true},
		{[]*surveyRound{round(stream.MaxSampling, 0), round(stream.MaxSampling, 3)}, 0, true},
	} {
		v := &Surveyor{rounds: c.rounds}
		if a, ok := v.Audience(); ok != c.ok || ok && a.Nodes != c.nodes {
			t.Errorf("%d surveys: %g nodes, %t; want %g, %t", len(c.rounds), a.Nodes, ok, c.nodes, c.ok)
		}
	}
}

// However large the swarm is and whatever it was before, the sample grows or shrinks to what is
// wanted within a few surveys.
func TestTheShareFollowsTheSwarm(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, nodes := range []int{0, 3, 30, 500, 20_000, 1_000_000} {
		share, last := firstShare, 0.
		interval := surveySoon
		for round := range 8 {
			expected := share * float64(nodes)
			reports := int(max(0, math.Round(expected+math.Sqrt(expected)*rng.NormFloat64())))
			dropped := max(0, reports-allReports-int(allReportsRate*interval.Seconds()))
			last = float64(reports) / interval.Seconds()
			share, interval = nextShare(share, reports-dropped, dropped)
			if round == 3 && nodes <= 20 && share < 1 {
				t.Errorf("%d nodes: a share of %g after four surveys, want all", nodes, share)
			}
		}
		t.Logf("%d nodes: a share of %g every %v, %.1f reports a second", nodes, share, interval, last)
		if expected := share * float64(nodes) / interval.Seconds(); expected > 1.05*reportsRate {
			t.Errorf("%d nodes: %g reports a second are to be expected", nodes, expected)
		} else if nodes > 1000 && expected < reportsRate/2 {
			t.Errorf("%d nodes: only %g reports a second are to be expected", nodes, expected)
		}
	}
}

func FuzzParseReports(f *testing.F) {
	f.Add(marshalReports(stream.NewKey().ID(), [][]byte{{1}, {}}))
	f.Add(marshalReports(stream.ID{}, make([][]byte, maxReportBatch+1)))
	f.Add([]byte{0x0a})
	f.Fuzz(func(t *testing.T, raw []byte) {
		id, reports, err := parseReports(raw)
		if err != nil {
			if !errors.Is(err, errWire) || reports != nil {
				t.Errorf("%v, %d reports", err, len(reports))
			}
			return
		}
		again, back, err := parseReports(marshalReports(id, reports))
		if err != nil || again != id || len(back) != len(reports) || len(reports) > maxReportBatch {
			t.Fatalf("%d reports of %s read back as %d of %s: %v", len(reports), id, len(back), again, err)
		}
		for i := range back {
			if !bytes.Equal(back[i], reports[i]) {
				t.Errorf("report %d: %x, want %x", i, back[i], reports[i])
			}
		}
	})
}
