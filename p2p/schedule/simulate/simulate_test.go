package simulate

import (
	"flag"
	"strings"
	"testing"
	"time"
)

var (
	figures = flag.String("figures", "", "print the figures of these scenarios, separated by commas, instead of testing")
	nodes   = flag.Int("nodes", 50, "in each")
	parts   = flag.Int("parts", 40, "measured")
	seeds   = flag.Int("seeds", 3, "of each")
)

// TestFigures prints what a scenario comes to at any size:
//
//	go test ./p2p/schedule/simulate -run Figures -v -figures even,thin -nodes 100
func TestFigures(t *testing.T) {
	if *figures == "" {
		t.Skip("no -figures")
	}
	for _, name := range strings.Split(*figures, ",") {
		for seed := range *seeds {
			cfg, ok := Scenario(name, *nodes, *parts, uint64(seed+1))
			if !ok {
				t.Fatalf("no scenario %q", name)
			}
			start := time.Now()
			r := Run(cfg)
			report(t, name, *nodes, &r)
			t.Logf("  hops %v, %d events in %v, %+v", r.Hops, r.Events, time.Since(start).Round(time.Millisecond), r.Stats)
		}
	}
}

func report(t *testing.T, name string, nodes int, r *Result) {
	t.Helper()
	ms := time.Millisecond
	t.Logf("%s n=%d rx %.3f src %.2f upmax %.2f p50 %v p95 %v p99 %v max %v continuity %.3f%% twice %d in rings %d", name, nodes, r.Rx, r.Src, r.UploadMax,
		r.Delay(.5).Round(ms), r.Delay(.95).Round(ms), r.Delay(.99).Round(ms), r.Delay(1).Round(ms), 100*r.Continuity(), r.Duplicates, r.Rings)
	if k := len(r.Startup); k > 0 {
		t.Logf("  start-up of %d: p50 %v max %v", k, r.Startup[k/2].Round(ms), r.Startup[k-1].Round(ms))
	}
	if k := len(r.CutOff); k > 0 {
		t.Logf("  cut off %d times: p50 %v max %v", k, r.CutOff[k/2].Round(ms), r.CutOff[k-1].Round(ms))
	}
	if r.Slandered > 0 {
		t.Errorf("%s: %d honest nodes were taken for liars", name, r.Slandered)
	}
}

func TestScenarios(t *testing.T) {
	for _, c := range []struct {
		name       string
		nodes      int
		continuity float64
		rx, src    float64
		p99        time.Duration
	}{
		{"even", 20, 1, 1.04, 1.2, 350 * time.Millisecond},
		{"thin", 20, 1, 1.06, 1.2, 700 * time.Millisecond},
		{"starved", 20, 0.999, 1.08, 1.3, time.Second},
		{"uneven", 20, 0.99, 1.15, 1.6, 2 * time.Second},
		{"churn", 20, 0.98, 1.15, 1.8, 2 * time.Second},
		{"loss", 20, 0.999, 1.10, 1.5, time.Second},
		{"liars", 20, 0.99, 1.10, 3, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, _ := Scenario(c.name, c.nodes, 8, 1)
			cfg.Warmup = 16
			r := Run(cfg)
			report(t, c.name, c.nodes, &r)
			if r.Continuity() < c.continuity || r.Rx > c.rx || r.Src > c.src || r.Delay(.99) > c.p99 {
				t.Errorf("want continuity %.1f%%, rx %.2f, src %.2f, p99 %v", 100*c.continuity, c.rx, c.src, c.p99)
			}
			if r.Rings > 0 {
				t.Errorf("%d times a node fed itself", r.Rings)
			}
		})
	}
}

func TestSameSeedSameResult(t *testing.T) {
	cfg, _ := Scenario("uneven", 15, 4, 7)
	a, b := Run(cfg), Run(cfg)
	if a.Events != b.Events || a.Rx != b.Rx || a.Stats != b.Stats {
		t.Errorf("%d events, then %d", a.Events, b.Events)
	}
}
