package soak

import (
	"syscall"
	"time"
)

// cpu returns the process's CPU time: clocks on the wall are virtual here.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
