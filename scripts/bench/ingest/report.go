//go:build linux

package main

import (
	"fmt"
	"io"
	"time"
)

const mb = 1e6

func printHead(w io.Writer) {
	fmt.Fprintf(w, "%-8s %9s %12s %10s %8s %6s\n", "stream", "heap, MB", "resident, MB", "goroutines", "read, GB", "core")
}

func (h hour) print(w io.Writer) {
	fmt.Fprintf(w, "%-8v %9.2f %12.1f %10d %8.2f %5.2f%%\n", time.Duration(h.StreamSeconds*float64(time.Second)).Round(time.Second),
		float64(h.Heap)/mb, float64(h.Resident)/mb, h.Goroutines, float64(h.Bytes)/1e9, 100*h.Core)
}

// growth returns by how many bytes the heap has grown since the first look.
func (res result) growth() int64 {
	return int64(res.Hours[len(res.Hours)-1].Heap) - int64(res.Hours[0].Heap)
}

func (res result) print(w io.Writer) {
	last := res.Hours[len(res.Hours)-1]
	fmt.Fprintf(w, "\n%.1f Mbit/s in %d parts, none lost; the heap grew by %.0f kB after the first look; %.2f%% of a core\n",
		float64(last.Bytes)*8/1e6/last.StreamSeconds, res.Parts, float64(res.growth())/1e3, 100*last.Core)
}
