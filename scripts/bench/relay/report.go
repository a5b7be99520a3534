//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
)

// median returns the median of a figure of all runs.
func median(runs []run, of func(run) float64) float64 {
	figures := make([]float64, len(runs))
	for i, r := range runs {
		figures[i] = of(r)
	}
	slices.Sort(figures)
	if n := len(figures); n%2 == 0 {
		return (figures[n/2-1] + figures[n/2]) / 2
	}
	return figures[len(figures)/2]
}

func medianSide(runs []run, of func(run) side) side {
	return side{
		BytesPerCPUSecond: median(runs, func(r run) float64 { return of(r).BytesPerCPUSecond }),
		BytesPerSecond:    median(runs, func(r run) float64 { return of(r).BytesPerSecond }),
		Core:              median(runs, func(r run) float64 { return of(r).Core }),
		SinksCore:         median(runs, func(r run) float64 { return of(r).SinksCore }),
		Allocated:         median(runs, func(r run) float64 { return of(r).Allocated }),
		FaultsPerMB:       median(runs, func(r run) float64 { return of(r).FaultsPerMB }),
	}
}

const (
	mb = 1e6
	// muchOthers is the share of a core from which on others spoil the figures.
	muchOthers = 0.2
)

// summarise sets the figures of all runs together.
func (res *result) summarise() {
	res.Relay = medianSide(res.Runs, func(r run) side { return r.Relay })
	res.Bare = medianSide(res.Runs, func(r run) side { return r.Bare })
	res.BareCopy = medianSide(res.Runs, func(r run) side { return r.BareCopy })
	res.BareFast = medianSide(res.Runs, func(r run) side { return r.BareFast })
	of := func(f func(run) float64) float64 { return median(res.Runs, f) }
	res.Ratio = of(func(r run) float64 { return r.Relay.BytesPerCPUSecond / r.Bare.BytesPerCPUSecond })
	res.RatioCopy = of(func(r run) float64 { return r.Relay.BytesPerCPUSecond / r.BareCopy.BytesPerCPUSecond })
	res.RatioFast = of(func(r run) float64 { return r.Relay.BytesPerCPUSecond / r.BareFast.BytesPerCPUSecond })
	res.Mesh = int(of(func(r run) float64 { return float64(r.mesh) }))
	res.Chunk = int(of(func(r run) float64 { return float64(r.chunk) }))
	res.Continuity = of(func(r run) float64 { return r.delivery.continuity() })
	res.DelayMS.P50 = of(func(r run) float64 { return r.delivery.P50.Seconds() * 1000 })
	res.DelayMS.P99 = of(func(r run) float64 { return r.delivery.P99.Seconds() * 1000 })
	res.ResidentMB = of(func(r run) float64 { return float64(r.resident) / mb })
	res.CacheMB = of(func(r run) float64 { return float64(r.cache) / mb })
	res.OthersCore = of(func(r run) float64 { return r.others })
	res.BesideMB = of(func(r run) float64 { return float64(r.resident-r.cache) / mb })
}

func (res *result) print(w io.Writer) {
	fmt.Fprintf(w, "%d neighbours at %.1f Mbit/s in chunks of %.1f KiB, median of %d runs of %v\n", res.Neighbours, float64(res.Rate)/1e6, float64(res.Chunk)/1024, len(res.Runs), res.interval)
	fmt.Fprintf(w, "why not more: %s; %d peers are in the relay's mesh\n\n", res.Limit, res.Mesh)
	fmt.Fprintf(w, "%-20s %12s %6s %7s %6s %7s %10s %10s\n", "", "MB per CPU-s", "ratio", "MB/s", "core", "sinks'", "alloc/byte", "faults/MB")
	row := func(name string, s side, ratio string) {
		fmt.Fprintf(w, "%-20s %12.1f %6s %7.1f %5.0f%% %6.0f%% %10.2f %10.1f\n", name, s.BytesPerCPUSecond/1e6, ratio, s.BytesPerSecond/1e6, 100*s.Core, 100*s.SinksCore, s.Allocated, s.FaultsPerMB)
	}
	row("relay", res.Relay, "")
	row("bare, same chunks", res.Bare, fmt.Sprintf("%.2f", res.Ratio))
	row("bare, 32 KiB chunks", res.BareCopy, fmt.Sprintf("%.2f", res.RatioCopy))
	row("bare, unbounded rate", res.BareFast, fmt.Sprintf("%.2f", res.RatioFast))
	fmt.Fprintf(w, "\ncontinuity %.3f%%, delay p50 %.0f ms, p99 %.0f ms\n", 100*res.Continuity, res.DelayMS.P50, res.DelayMS.P99)
	fmt.Fprintf(w, "resident %.0f MB, of which cache %.0f MB, beside it %.0f MB\n", res.ResidentMB, res.CacheMB, res.BesideMB)
	if !res.Pinned {
		fmt.Fprintln(w, "the relay had no core of its own: there is only one, or no taskset")
	}
	if res.OthersCore > muchOthers {
		fmt.Fprintf(w, "others used %.0f%% of a core meanwhile: take fewer neighbours and longer delays with a grain of salt, or run this with chrt -r 1\n", 100*res.OthersCore)
	}
}
