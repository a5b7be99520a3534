package simulate

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var chunk = flag.Int("chunk", 8192, "")
var nn = flag.Int("n", 50, "")
var kind = flag.String("kind", "even", "")
var seeds = flag.Int("seeds", 1, "")
var verbose = flag.Bool("nodes", false, "")
var parts = flag.Int("parts", 40, "")

func even(source, others int) func(int, *rand.Rand) int {
	return func(i int, _ *rand.Rand) int {
		if i == 0 {
			return source
		}
		return others
	}
}

func TestTry(t *testing.T) {
	for seed := range *seeds {
		cfg := Config{Nodes: *nn, Dials: 6, Uplink: even(20e6, 20e6), Latency: func(int, *rand.Rand) time.Duration { return 25 * time.Millisecond },
			Rate: 4e6, Part: 500 * time.Millisecond, Chunk: *chunk, Warmup: 30, Parts: *parts, Deadline: 3 * time.Second, Seed: uint64(seed + 1)}
		switch *kind {
		case "thin":
			cfg.Uplink = even(5.2e6, 20e6)
		case "starved":
			cfg.Uplink = even(8e6, 6e6)
		case "edge":
			cfg.Uplink = even(8e6, 4.28e6)
			cfg.Deadline = 5 * time.Second
		case "uneven":
			cfg.Uplink = func(i int, r *rand.Rand) int {
				switch x := r.Float64(); {
				case i == 0:
					return 20e6
				case x < .3:
					return 1e6
				case x < .8:
					return 8e6
				default:
					return 50e6
				}
			}
			cfg.Latency = func(_ int, r *rand.Rand) time.Duration { return time.Duration(5+r.Float64()*145) * time.Millisecond }
		case "liars":
			cfg.Liars, cfg.Forgers = .15, .05
		case "churn":
			due := 0.0
			cfg.Every = func(w *World, part int) {
				for due += 0.02 * float64(cfg.Nodes) * cfg.Part.Seconds(); due >= 1; due-- {
					alive := w.Alive()
					w.Kill(alive[w.Rand().IntN(len(alive))])
					w.Join(cfg.Dials)
				}
			}
		}
		start := time.Now()
		r := Run(cfg)
		q := func(p float64) time.Duration {
			if len(r.Delays) == 0 {
				return 0
			}
			return r.Delays[int(float64(len(r.Delays)-1)*p)].Round(time.Millisecond)
		}
		slices.Sort(r.CutOff)
		fmt.Println("cut off", len(r.CutOff), "slandered", r.Slandered)
		if len(r.CutOff) > 0 {
			fmt.Println("cut off last", r.CutOff[len(r.CutOff)-1], "p90", r.CutOff[len(r.CutOff)*9/10])
		}
		if *verbose {
			for _, l := range r.Lines {
				fmt.Println(l)
			}
		}
		fmt.Println("metas src", r.Metas[0], "others", r.Metas[1], r.Metas[2], r.Metas[3])
		fmt.Printf("%s n=%d chunk=%d rx %.3f src %.2f upmax %.2f p50 %v p95 %v p99 %v max %v cont %.3f%% dup %d ev %d in %v\n  %+v\n", *kind, *nn, *chunk, r.Rx, r.Src, r.UploadMax, q(.5), q(.95), q(.99), q(1), 100*float64(r.InTime)/float64(r.Pairs), r.Duplicates, r.Events, time.Since(start).Round(time.Millisecond), r.Stats)
	}
}
