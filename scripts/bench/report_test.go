package bench

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// printer prints results as a table for eyes or as JSON, a line each.
type printer struct{ json bool }

func (p printer) header() {
	if !p.json {
		fmt.Fprintf(stdout, "%-9s %-9s %5s %6s %6s %7s %7s %7s %7s %7s %11s %5s\n", "scenario", "way", "nodes", "rx", "src", "up max", "p50", "p95", "p99", "max", "continuity", "util")
	}
}

func percentile(d []time.Duration, p float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	return d[int(float64(len(d)-1)*p)]
}

func (p printer) scenario(s scenario, w way, runs []result) {
	var sum result
	for _, r := range runs {
		n := float64(len(runs))
		sum.rx += r.rx / n
		sum.src += r.src / n
		sum.uploadMax = max(sum.uploadMax, r.uploadMax)
		sum.delays = append(sum.delays, r.delays...)
		sum.pairs += r.pairs
		sum.inTime += r.inTime
		sum.bound += r.bound / n
	}
	slices.Sort(sum.delays)
	continuity := float64(sum.inTime) / float64(max(1, sum.pairs))
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	if p.json {
		_ = json.NewEncoder(stdout).Encode(map[string]any{
			"scenario": s.Name, "way": w.name, "nodes": s.Nodes, "rx": sum.rx, "src_upload": sum.src, "upload_max": sum.uploadMax,
			"delay_ms":   map[string]float64{"p50": ms(percentile(sum.delays, .5)), "p95": ms(percentile(sum.delays, .95)), "p99": ms(percentile(sum.delays, .99)), "max": ms(percentile(sum.delays, 1))},
			"continuity": continuity, "utilisation": 1 / sum.bound,
		})
		return
	}
	fmt.Fprintf(stdout, "%-9s %-9s %5d %6.3f %6.2f %7.2f %5.0fms %5.0fms %5.0fms %5.0fms %10.3f%% %5.2f\n", s.Name, w.name, s.Nodes, sum.rx, sum.src, sum.uploadMax,
		ms(percentile(sum.delays, .5)), ms(percentile(sum.delays, .95)), ms(percentile(sum.delays, .99)), ms(percentile(sum.delays, 1)), 100*continuity, 1/sum.bound)
}
