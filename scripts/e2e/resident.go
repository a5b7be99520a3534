//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"
)

// residentEvery is how often a process' memory is looked at.
const residentEvery = 100 * time.Millisecond

// resident returns how many bytes of memory a process has: resident in proc_pid_statm(5).
func resident(pid int) (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(raw), &size, &pages); err != nil {
		return 0, fmt.Errorf("read /proc/%d/statm: %w", pid, err)
	}
	return pages * int64(os.Getpagesize()), nil
}

// residentMost looks at a process' memory while f runs, and returns the most that it had.
func residentMost(ctx context.Context, pid int, f func(context.Context) error) (most int64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var looking sync.WaitGroup
	var failed error
	looking.Go(func() {
		for {
			n, err := resident(pid)
			if err != nil {
				failed = err
				return
			}
			most = max(most, n)
			if settle(ctx, residentEvery) != nil {
				return
			}
		}
	})
	err = f(ctx)
	cancel()
	looking.Wait()
	if err == nil {
		err = failed
	}
	return most, err
}
