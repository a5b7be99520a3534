//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/grapevine-live/grapevine/scripts/bench/cores"
	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/ingest"
)

// hour is what was seen after a while of the stream, an hour.
type hour struct {
	StreamSeconds float64 `json:"stream_seconds"`
	Heap          uint64  `json:"heap"`
	Resident      int64   `json:"resident"`
	Goroutines    int     `json:"goroutines"`
	Bytes         int64   `json:"bytes"`
	CPUSeconds    float64 `json:"cpu_seconds"`
	Core          float64 `json:"core"`
}

type result struct {
	Rate  int    `json:"rate"`
	Hours []hour `json:"hours"`
	Parts uint64 `json:"parts"`
}

// counted counts what is read.
type counted struct {
	io.Reader
	bytes atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.bytes.Add(int64(n))
	return n, err
}

// measure has the stream of o ingested, and looks at the process every o.every of it. seen
// is told of each look; it may be nil.
func measure(ctx context.Context, in io.Reader, o options, seen func(hour)) (res result, err error) {
	res.Rate = o.rate
	read := &counted{Reader: in}
	i, err := ingest.New(ingest.Config{Input: "-", Stdin: read})
	if err != nil {
		return res, err
	}
	before, err := cpuTime()
	if err != nil {
		return res, err
	}
	var media time.Duration
	look := func() error {
		h, err := lookAt(media, before)
		if err != nil {
			return err
		}
		h.Bytes = read.bytes.Load()
		res.Hours = append(res.Hours, h)
		if seen != nil {
			seen(h)
		}
		return nil
	}
	next := o.every
	err = i.Run(ctx, func(p stream.Part) error {
		if media += p.Duration; media < next {
			return nil
		}
		next += o.every
		return look()
	})
	if err != nil {
		return res, err
	}
	res.Parts = i.Stats().Parts
	return res, whole(i.Stats(), media, o)
}

// lookAt reads the process's figures after so much of the stream.
func lookAt(media, before time.Duration) (h hour, err error) {
	used, err := cpuTime()
	if err != nil {
		return h, err
	}
	if h.Resident, err = resident(); err != nil {
		return h, err
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	h.Heap, h.Goroutines = m.HeapAlloc, runtime.NumGoroutine()
	h.StreamSeconds = media.Seconds()
	h.CPUSeconds = (used - before).Seconds()
	h.Core = h.CPUSeconds / h.StreamSeconds
	return h, nil
}

// whole fails unless all of the stream was published, as one piece.
func whole(s ingest.Stats, media time.Duration, o options) error {
	var errs []error
	for _, lost := range []struct {
		what  string
		count uint64
	}{
		{"bytes between packets", s.Garbage},
		{"missing packets", s.LostPackets},
		{"damaged frames", s.DamagedFrames},
		{"skipped frames", s.SkippedFrames},
		{"discontinuities", s.Discontinuities},
	} {
		if lost.count > 0 {
			errs = append(errs, fmt.Errorf("%d %s in a stream without fault", lost.count, lost.what))
		}
	}
	// Parts are as exact as a microsecond.
	if off := (media - o.length()).Abs(); off > time.Second/frameRate {
		errs = append(errs, fmt.Errorf("%v of %v were published", media, o.length()))
	}
	return errors.Join(errs...)
}

// cpuTime returns what this process has used, user and system.
func cpuTime() (time.Duration, error) {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0, fmt.Errorf("read the CPU time: %w", err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()), nil
}

// resident returns this process's memory in bytes.
func resident() (int64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	kib, err := strconv.ParseInt(strings.TrimSuffix(cores.StatusField(string(status), "VmRSS"), " kB"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read VmRSS: %w", err)
	}
	return kib << 10, nil
}
