package simulate

import (
	"math/rand/v2"
	"time"
)

// Names are the scenarios that [Scenario] knows.
var Names = []string{"even", "thin", "starved", "edge", "edge85", "uneven", "churn", "loss", "crowd", "liars"}

// Scenario returns a named swarm of so many nodes that carries 4 Mbit/s in parts of half
// a second, for parts of them. It reports whether it knows the name.
func Scenario(name string, nodes, parts int, seed uint64) (Config, bool) {
	cfg := Config{
		Nodes: nodes, Dials: 6, Uplink: uplinks(20e6, 20e6),
		Latency: func(int, *rand.Rand) time.Duration { return 25 * time.Millisecond },
		Rate:    4e6, Part: 500 * time.Millisecond, Chunk: 8192,
		Warmup: 12, Parts: parts, Deadline: 3 * time.Second, Seed: seed,
	}
	switch name {
	case "even":
	case "thin":
		cfg.Uplink = uplinks(5.2e6, 20e6)
	case "starved":
		cfg.Uplink = uplinks(8e6, 6e6)
	case "edge", "edge85": // the stream takes 90%, or 85%, of what all can send
		n, of := float64(nodes-1), 0.9
		if name == "edge85" {
			of = 0.85
		}
		cfg.Uplink = uplinks(8e6, int((4e6/of*n-8e6)/n))
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
		cfg.Latency = func(_ int, r *rand.Rand) time.Duration {
			return time.Duration(5+r.Float64()*145) * time.Millisecond
		}
	case "churn": // 2% die each second, and as many join
		due := 0.0
		cfg.Every = func(w *World, _ int) {
			for due += 0.02 * float64(nodes) * cfg.Part.Seconds(); due >= 1; due-- {
				alive := w.Alive()
				w.Kill(alive[w.Rand().IntN(len(alive))])
				w.Join(cfg.Dials)
			}
		}
	case "loss":
		cfg.Loss = 0.02
	case "crowd": // nine times as many join within two seconds
		cfg.Nodes = max(2, nodes/10)
		cfg.Every = func(w *World, part int) {
			if k := part - cfg.Warmup; k >= 0 && k < 4 {
				for range (nodes - cfg.Nodes) / 4 {
					w.Join(cfg.Dials)
				}
			}
		}
	case "liars":
		cfg.Liars, cfg.Forgers = .15, .05
		cfg.Warmup = 20 // they lie from the beginning
	default:
		return Config{}, false
	}
	return cfg, true
}

// uplinks gives the broadcaster one uplink, and all others another, in bits per second.
func uplinks(source, others int) func(int, *rand.Rand) int {
	return func(i int, _ *rand.Rand) int {
		if i == 0 {
			return source
		}
		return others
	}
}
