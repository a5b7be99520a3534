//go:build linux

package main

import (
	"os"
	"os/exec"
	"runtime/metrics"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// userHZ is the clock of /proc/stat.
const userHZ = 100

// cores are lists of CPUs as taskset takes them, empty if processes are not bound.
type cores struct{ one, rest string }

// divideCores gives the measured process a core of its own.
func divideCores() (c cores) {
	if _, err := exec.LookPath("taskset"); err != nil {
		return c
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return c
	}
	cpus := parseCPUs(statusField(string(status), "Cpus_allowed_list"))
	if len(cpus) < 2 {
		return c
	}
	// The first gets most interrupts.
	last := len(cpus) - 1
	return cores{one: cpus[last], rest: strings.Join(cpus[:last], ",")}
}

// parseCPUs expands a list such as 0-2,5.
func parseCPUs(list string) (out []string) {
	for r := range strings.SplitSeq(list, ",") {
		from, to, ok := strings.Cut(r, "-")
		if !ok {
			to = from
		}
		a, err1 := strconv.Atoi(from)
		b, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil {
			return nil
		}
		for ; a <= b; a++ {
			out = append(out, strconv.Itoa(a))
		}
	}
	return out
}

// statusField returns a field of /proc/PID/status.
func statusField(status, name string) string {
	for line := range strings.Lines(status) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// kilobytes reads a field such as "123 kB" as bytes.
func kilobytes(status, name string) int64 {
	n, _ := strconv.ParseInt(strings.TrimSuffix(statusField(status, name), " kB"), 10, 64)
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

// machine returns how long this machine's cores were busy, or taken by other machines,
// since it started.
func machine() (d time.Duration) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(stat), "\n")
	for i, f := range strings.Fields(first) {
		// cpu user nice system idle iowait irq softirq steal; proc(5)
		if i == 0 || i == 4 || i == 5 || i > 8 {
			continue
		}
		n, _ := strconv.ParseInt(f, 10, 64)
		d += time.Duration(n) * time.Second / userHZ
	}
	return d
}
