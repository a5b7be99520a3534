package bench

import (
	"math/rand"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/p2p/schedule"
	"github.com/grapevine-live/grapevine/p2p/schedule/simulate"
)

// decisions is what the simulator of events tells beside a run's usual figures.
type decisions struct {
	HopsMean     float64 `json:"hops_mean"` // from the broadcaster, of each viewer's stripes
	HopsMax      int     `json:"hops_max"`
	PerNode      float64 `json:"events_per_node_s"` // what happens to a node in a second of stream: messages and timers
	Microseconds float64 `json:"event_us"`          // CPU time for each, with all that is simulated around it
}

// runSchedule moves the stream in the simulator of events.
func runSchedule(t *testing.T, s scenario, seed int64) result {
	cfg, ok := simulate.Scenario("even", s.nodes, s.segments*partsPerSegment, uint64(seed))
	if !ok {
		t.Fatal("the simulator has no scenario even")
	}
	cfg.Warmup = s.warmup * partsPerSegment
	start := time.Now()
	r := simulate.Run(cfg)
	took := time.Since(start)
	res := result{
		RX: r.Rx, Source: r.Src, UploadMax: r.UploadMax, Pairs: r.Pairs, InTime: r.InTime,
		Utilisation: float64(s.rate) / bound(s.links(rand.New(rand.NewSource(seed))), make([]role, s.nodes)),
	}
	for _, d := range r.Delays {
		res.Delays.add(d)
	}
	d := &decisions{Microseconds: float64(took.Nanoseconds()) / 1e3 / float64(r.Events)}
	d.PerNode = float64(r.Events) / float64(s.nodes) / (float64(cfg.Warmup+cfg.Parts) * cfg.Part.Seconds())
	total := 0
	for h, n := range r.Hops[:schedule.Adrift] {
		d.HopsMean += float64(h * n)
		if total += n; n > 0 {
			d.HopsMax = h
		}
	}
	d.HopsMean /= float64(max(1, total))
	res.Decisions = d
	return res
}
