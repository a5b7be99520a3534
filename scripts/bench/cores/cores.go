//go:build linux

// Package cores gives a measured process a core of its own, and reads what processes
// and the machine used of theirs.
package cores

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// userHZ is the clock of /proc/stat and /proc/PID/stat.
const userHZ = 100

// Division is two lists of CPUs as taskset takes them, empty if processes are not bound.
type Division struct{ One, Rest string }

// Divide gives the measured process a core of its own, One. Nothing is divided where
// there is only one, or no taskset.
func Divide() (d Division) {
	if _, err := exec.LookPath("taskset"); err != nil {
		return d
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return d
	}
	cpus := parseCPUs(StatusField(string(status), "Cpus_allowed_list"))
	if len(cpus) < 2 {
		return d
	}
	// The first gets most interrupts.
	last := len(cpus) - 1
	return Division{One: cpus[last], Rest: strings.Join(cpus[:last], ",")}
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

// StatusField returns a field of /proc/PID/status.
func StatusField(status, name string) string {
	for line := range strings.Lines(status) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// Busy returns how long this machine's cores were busy, or taken by other machines,
// since it started.
func Busy() (d time.Duration) {
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

// Of returns the CPU time, user and system, that a process has used since it started, in
// steps of a hundredth of a second.
func Of(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name, in parentheses, may hold anything; utime and stime are fields 14 and 15.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	var d time.Duration
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		d += time.Duration(n) * time.Second / userHZ
	}
	return d, nil
}
