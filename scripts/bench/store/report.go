//go:build linux

package main

import (
	"fmt"
	"io"
)

const mb = 1e6

func (res result) print(w io.Writer) {
	fmt.Fprintf(w, "%d streams of %.1f Mbit/s, %.0f MB kept of %.0f\n\n", res.Streams, float64(res.Rate)/1e6, float64(res.Size)/mb, 2*float64(res.Size)/mb)
	fmt.Fprintf(w, "%-6s %8s %6s %8s %8s %8s %8s %14s %8s %8s\n", "", "written", "room", "cpu s/GB", "MB/s", "mem, MB", "append", "read 50/99, ms", "open, ms", "mem, MB")
	none := res.Of["none"]
	for _, name := range []string{"files", "bbolt"} {
		f := res.Of[name]
		fmt.Fprintf(w, "%-6s %8.3f %6.3f %8.3f %8.0f %8.0f %8.1f %7.2f %6.2f %8.1f %8.0f\n", name,
			f.written(), f.room(), f.cpu(none), f.rate(), f.memory(none), 1e3*f.Append, 1e3*f.ReadMedian, 1e3*f.Read99, 1e3*f.Open, float64(f.OpenResident-none.OpenResident)/mb)
	}
	a, b := res.Of["files"], res.Of["bbolt"]
	fmt.Fprintf(w, "\nfiles to bbolt: %.2f of the bytes written, %.2f of the room, %.2f of the CPU time, %.1f times the rate\n",
		a.written()/b.written(), a.room()/b.room(), a.cpu(none)/b.cpu(none), a.rate()/b.rate())
}

func (f figures) written() float64         { return float64(f.Written) / float64(f.Payload) }
func (f figures) room() float64            { return float64(f.Files) / float64(f.Held) }
func (f figures) cpu(none figures) float64 { return (f.CPU - none.CPU) / (float64(f.Payload) / 1e9) }
func (f figures) rate() float64            { return float64(f.Payload) / mb / f.Seconds }

func (f figures) memory(none figures) float64 { return float64(f.Resident-none.Resident) / mb }
