//go:build linux

package main

import (
	"runtime/metrics"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/grapevine-live/grapevine/scripts/bench/cores"
)

// kilobytes reads a field such as "123 kB" as bytes.
func kilobytes(status, name string) int64 {
	n, _ := strconv.ParseInt(strings.TrimSuffix(cores.StatusField(status, name), " kB"), 10, 64)
	return n << 10
}

// usage is what a process used and did since it started.
type usage struct {
	CPU       time.Duration `json:"cpu"`       // user and system
	Faults    int64         `json:"faults"`    // pages that the kernel had to find
	Allocated int64         `json:"allocated"` // bytes
	Bytes     int64         `json:"bytes"`     // payload sent, or received
	Chunks    int64         `json:"chunks"`
	Cache     int64         `json:"cache"`   // bytes that the cache holds now
	Dropped   int64         `json:"dropped"` // messages and events
	Mesh      int           `json:"mesh"`    // neighbours in gossipsub's mesh
}

// used returns what this process used until now.
func used() (u usage) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err == nil {
		u.CPU, u.Faults = time.Duration(r.Utime.Nano()+r.Stime.Nano()), r.Minflt
	}
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	u.Allocated = int64(sample[0].Value.Uint64())
	return u
}
