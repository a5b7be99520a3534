//go:build linux

package main

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/grapevine-live/grapevine/scripts/bench/cores"
)

const (
	firstNeighbours = 8
	mostNeighbours  = 512
	// fullCore is the share of a core from which on it counts as full.
	fullCore = 0.95
	// inTime is the least share of parts that must be whole in time.
	inTime = 0.999
	// settle is how long new sinks get before anything is measured, and settleEach how much
	// longer for each: they catch up first.
	settle     = 1500 * time.Millisecond
	settleEach = 20 * time.Millisecond
	// quiet is how long before the next part is published an interval begins and ends:
	// what was published is with the sinks then, unless they fall behind.
	quiet = 50 * time.Millisecond
	// searchInterval is enough to see whether a number of sinks is too many.
	searchInterval = 2 * time.Second
	// bareWarmup is how long the streams of the bare copy run before it is measured.
	bareWarmup = 500 * time.Millisecond
	// copyChunk is what io.Copy writes at a time.
	copyChunk = 32 << 10
	// fastInterval is how long the bare copy runs as fast as it can.
	fastInterval = 2 * time.Second
)

type options struct {
	rate, neighbours, runs int
	upload                 int
	interval               time.Duration
	cache, memory          int64
	profile                string
	cores                  cores.Division
	say                    func(format string, args ...any) // of progress
}

// result is what the bench found. Figures of several runs are medians.
type result struct {
	Neighbours int     `json:"neighbours"`
	Limit      string  `json:"limit"` // what kept them from being more
	Mesh       int     `json:"mesh"`  // of them, and the broadcaster, in the relay's gossipsub mesh
	Rate       int     `json:"rate"`  // of the stream, bits per second
	Chunk      int     `json:"chunk"` // mean bytes
	Pinned     bool    `json:"pinned"`
	Relay      side    `json:"relay"`
	Bare       side    `json:"bare"`      // at the same rate, in chunks of the same size
	BareCopy   side    `json:"bare_copy"` // at the same rate, in chunks of 32 KiB
	BareFast   side    `json:"bare_fast"` // in those as fast as it can
	Ratio      float64 `json:"ratio"`     // of the relay's bytes per CPU second to the bare copy's; median of the runs' own
	RatioCopy  float64 `json:"ratio_copy"`
	RatioFast  float64 `json:"ratio_fast"`
	Continuity float64 `json:"continuity"` // parts whole at the sinks by the deadline
	DelayMS    delayMS `json:"delay_ms"`   // from a part's publication to a chunk's arrival
	ResidentMB float64 `json:"resident_mb"`
	CacheMB    float64 `json:"cache_mb"`
	BesideMB   float64 `json:"beside_mb"`   // resident beside the cache
	OthersCore float64 `json:"others_core"` // cores that others used or took meanwhile
	Runs       []run   `json:"runs"`
	interval   time.Duration
}

type delayMS struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// side is what one of those compared did.
type side struct {
	BytesPerCPUSecond float64 `json:"bytes_per_cpu_s"` // payload delivered per second of CPU time
	BytesPerSecond    float64 `json:"bytes_per_s"`
	Core              float64 `json:"core"`       // share of a core that it used
	SinksCore         float64 `json:"sinks_core"` // cores that the receiving process used
	Allocated         float64 `json:"allocated"`  // bytes per byte delivered
	FaultsPerMB       float64 `json:"page_faults_per_mb"`
}

// run is one measurement.
type run struct {
	Relay    side `json:"relay"`
	Bare     side `json:"bare"`
	BareCopy side `json:"bare_copy"`
	BareFast side `json:"bare_fast"`
	delivery delivery
	cache    int64
	resident int64
	chunk    int
	dropped  int64
	mesh     int
	others   float64
}

// measure looks for the number of neighbours if need be, and measures.
func measure(ctx context.Context, o options) (*result, error) {
	res := &result{Neighbours: o.neighbours, Limit: "asked for", Rate: o.rate, Pinned: o.cores.One != "", interval: o.interval}
	if res.Neighbours == 0 {
		var err error
		if res.Neighbours, res.Limit, err = o.search(ctx); err != nil {
			return nil, fmt.Errorf("look for the number of neighbours: %w", err)
		}
	}
	for i := range o.runs {
		var r run
		profile := ""
		if i == o.runs-1 {
			profile = o.profile
		}
		if err := o.measureRelay(ctx, res.Neighbours, profile, &r); err != nil {
			return nil, err
		}
		if err := o.measureBare(ctx, res.Neighbours, profile, &r); err != nil {
			return nil, err
		}
		o.say("run %d of %d: relay %.1f MB/CPU-s at %.0f%% of a core, bare %.1f, in larger chunks %.1f, as fast as it can %.1f", i+1, o.runs,
			r.Relay.BytesPerCPUSecond/1e6, 100*r.Relay.Core, r.Bare.BytesPerCPUSecond/1e6, r.BareCopy.BytesPerCPUSecond/1e6, r.BareFast.BytesPerCPUSecond/1e6)
		res.Runs = append(res.Runs, r)
	}
	res.summarise()
	return res, nil
}

func (d delivery) continuity() float64 { return float64(d.Whole) / float64(max(1, d.Pairs)) }

// search doubles the sinks until something is full, and tries once between the last
// number that was not too many and the first that was.
func (o options) search(ctx context.Context) (n int, limit string, err error) {
	tooMany := mostNeighbours + 1
	for next := firstNeighbours; next < tooMany; {
		s, err := o.startSwarm(ctx)
		if err != nil {
			return 0, "", err
		}
		for ; next < tooMany; next *= 2 {
			var r run
			if err = s.grow(ctx, next); err == nil {
				err = s.observe(ctx, next, searchInterval, &r)
			}
			if err != nil {
				s.stop()
				return 0, "", err
			}
			if why := r.full(); why != "" {
				tooMany, limit = next, why
				break
			}
			n = next
		}
		s.stop()
		if next = (n + tooMany) / 2; n == 0 || tooMany != 2*n {
			break
		}
	}
	if n == 0 {
		return 0, "", fmt.Errorf("%d neighbours are too many: %s", firstNeighbours, limit)
	}
	return n, limit, nil
}

// full returns what was full, "" for nothing.
func (r *run) full() string {
	switch late := r.delivery.continuity() < inTime; {
	case r.Relay.Core >= fullCore:
		return "the relay's core is full"
	case late && r.Relay.SinksCore >= fullCore*float64(sinkCores()):
		return "the sinks' cores are full"
	case late:
		return "parts come late, though no core is full"
	}
	return ""
}

// sinkCores is how many cores are not the relay's.
func sinkCores() int { return max(1, runtime.NumCPU()-1) }

func (o options) measureRelay(ctx context.Context, n int, profile string, r *run) error {
	s, err := o.startSwarm(ctx)
	if err != nil {
		return err
	}
	defer s.stop()
	if err := s.grow(ctx, n); err != nil {
		return err
	}
	return s.relay.profiled(ctx, profile, func() error { return s.observe(ctx, n, o.interval, r) })
}

// measureBare copies what the relay was measured with.
func (o options) measureBare(ctx context.Context, n int, profile string, r *run) error {
	var processes []*process
	defer func() {
		for _, p := range slices.Backward(processes) {
			p.stop()
		}
	}()
	start := func(role string, oneCore bool) (*process, error) {
		p, err := o.start(ctx, role, oneCore)
		if err == nil {
			processes = append(processes, p)
		}
		return p, err
	}
	copier, err := start("copier", true)
	if err != nil {
		return err
	}
	feeder, err := start("feeder", false)
	if err != nil {
		return err
	}
	drains, err := start("drains", false)
	if err != nil {
		return err
	}
	var addr string
	if err := copier.ask(ctx, command{Do: "start", Chunk: cmp.Or(r.chunk, copyChunk)}, &addr); err != nil {
		return err
	}
	if err := drains.ask(ctx, command{Do: "grow", N: n, Peer: addr}, nil); err != nil {
		return err
	}
	if err := feeder.ask(ctx, command{Do: "connect", Peer: addr}, nil); err != nil {
		return err
	}
	observe := func(rate int, interval time.Duration) (side, error) {
		var began time.Time
		if err := feeder.ask(ctx, command{Do: "feed", Rate: rate, N: partSize(o.rate)}, &began); err != nil {
			return side{}, err
		}
		from := nextQuiet(began.Add(bareWarmup))
		if err := sleepUntil(ctx, from); err != nil {
			return side{}, err
		}
		var sent, got [2]usage
		for i := range sent {
			if err := sleepUntil(ctx, from.Add(time.Duration(i)*interval)); err != nil {
				return side{}, err
			}
			if err := copier.ask(ctx, command{Do: "usage"}, &sent[i]); err != nil {
				return side{}, err
			}
			if err := drains.ask(ctx, command{Do: "usage"}, &got[i]); err != nil {
				return side{}, err
			}
		}
		if err := feeder.ask(ctx, command{Do: "stop"}, nil); err != nil {
			return side{}, err
		}
		return newSide(got[1].Bytes-got[0].Bytes, sent[0], sent[1], got[1].CPU-got[0].CPU, interval), nil
	}
	if profile != "" {
		profile += ".bare"
	}
	if err := copier.profiled(ctx, profile, func() error {
		r.Bare, err = observe(o.rate, o.interval)
		return err
	}); err != nil {
		return err
	}
	if err := copier.ask(ctx, command{Do: "chunk", Chunk: copyChunk}, nil); err != nil {
		return err
	}
	if r.BareCopy, err = observe(o.rate, o.interval); err != nil {
		return err
	}
	r.BareFast, err = observe(0, fastInterval)
	return err
}

func newSide(bytes int64, before, after usage, sinksCPU, interval time.Duration) side {
	cpu := after.CPU - before.CPU
	return side{
		BytesPerCPUSecond: float64(bytes) / max(cpu.Seconds(), 1e-6),
		BytesPerSecond:    float64(bytes) / interval.Seconds(),
		Core:              cpu.Seconds() / interval.Seconds(),
		SinksCore:         sinksCPU.Seconds() / interval.Seconds(),
		Allocated:         float64(after.Allocated-before.Allocated) / float64(max(1, bytes)),
		FaultsPerMB:       float64(after.Faults-before.Faults) / float64(max(1, bytes)) * mb,
	}
}

// nextQuiet returns a moment soon at which a broadcast that began at start is quiet.
func nextQuiet(start time.Time) time.Time {
	soon := time.Now().Add(quiet)
	parts := max(0, soon.Sub(start))/partDuration + 1
	return start.Add(parts*partDuration - quiet)
}

func sleepUntil(ctx context.Context, t time.Time) error {
	select {
	case <-time.After(time.Until(t)):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
