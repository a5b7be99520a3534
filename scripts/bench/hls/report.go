//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
)

const (
	mb = 1e6
	// muchOthers is the share of a core from which on others spoil the figures.
	muchOthers = 0.2
)

func (r run) ratio() float64 { return r.Server.BytesPerCPUSecond / r.Nginx.BytesPerCPUSecond }

// median returns the median of a figure of all runs.
func median(runs []run, of func(run) float64) float64 {
	figures := make([]float64, len(runs))
	for i, r := range runs {
		figures[i] = of(r)
	}
	slices.Sort(figures)
	n := len(figures)
	return (figures[(n-1)/2] + figures[n/2]) / 2
}

func medianSide(runs []run, of func(run) side) side {
	return side{
		BytesPerCPUSecond: median(runs, func(r run) float64 { return of(r).BytesPerCPUSecond }),
		BytesPerSecond:    median(runs, func(r run) float64 { return of(r).BytesPerSecond }),
		RequestsPerSecond: median(runs, func(r run) float64 { return of(r).RequestsPerSecond }),
		Core:              median(runs, func(r run) float64 { return of(r).Core }),
		ClientsCore:       median(runs, func(r run) float64 { return of(r).ClientsCore }),
	}
}

// summarise sets the figures of all runs together.
func (res *result) summarise() {
	res.Server = medianSide(res.Runs, func(r run) side { return r.Server })
	res.Nginx = medianSide(res.Runs, func(r run) side { return r.Nginx })
	res.Ratio = median(res.Runs, run.ratio)
	res.OthersCore = median(res.Runs, func(r run) float64 { return max(r.Server.others, r.Nginx.others) })
}

func (res *result) print(w io.Writer) {
	fmt.Fprintf(w, "%d clients, segments of %.1f MB, median of %d runs of %v each\n\n", res.Clients,
		float64(res.Rate)/8*partDuration.Seconds()*segmentParts/mb, len(res.Runs), res.interval)
	fmt.Fprintf(w, "%-8s %12s %8s %12s %6s %9s\n", "", "MB per CPU-s", "MB/s", "requests/s", "core", "clients'")
	for _, s := range []struct {
		name string
		side
	}{{"server", res.Server}, {"nginx", res.Nginx}} {
		fmt.Fprintf(w, "%-8s %12.0f %8.0f %12.0f %5.0f%% %8.0f%%\n", s.name, s.BytesPerCPUSecond/mb, s.BytesPerSecond/mb, s.RequestsPerSecond, 100*s.Core, 100*s.ClientsCore)
	}
	fmt.Fprintf(w, "\nratio %.2f\n", res.Ratio)
	if !res.Pinned {
		fmt.Fprintln(w, "the servers had no core of their own: there is only one, or no taskset")
	}
	if res.OthersCore > muchOthers {
		fmt.Fprintf(w, "others used %.0f%% of a core meanwhile: prefer the ratio to the rest\n", 100*res.OthersCore)
	}
}
