package bench

import (
	"math/rand"
	"time"

	"github.com/grapevine-live/grapevine/p2p/p2ptest"
)

const (
	rate = 4_000_000 // bits per second
	mbit = 1_000_000
)

// scenario is a network and what happens on it. Each seed gives another graph.
type scenario struct {
	Name     string
	What     string
	Nodes    int // with the broadcaster, which is node 0
	Segments int // of 2 s, measured
	Warmup   int // segments broadcast before that
	Rate     int // bits per second; 0 means 4 Mbit/s
	Source   int // the broadcaster's uplink, bits per second
	Uplink   func(i int, r *rand.Rand) int
	Latency  time.Duration // one way
	Deadline time.Duration // of playout, after publication
	Classic  bool          // ordinary messages are measured beside it
}

func even(bits int) func(int, *rand.Rand) int { return func(int, *rand.Rand) int { return bits } }

func (s scenario) rate() int {
	if s.Rate == 0 {
		return rate
	}
	return s.Rate
}

func (s scenario) link(i int, r *rand.Rand) p2ptest.Link {
	up := s.Source
	if i > 0 {
		up = s.Uplink(i, r)
	}
	return p2ptest.Link{Up: up, Down: 100 * mbit}
}

const latency = 25 * time.Millisecond

var scenarios = []scenario{
	{Name: "even", What: "uplinks 20", Nodes: 50, Segments: 10, Warmup: 3, Source: 20 * mbit, Uplink: even(20 * mbit), Latency: latency, Deadline: 3 * time.Second, Classic: true},
	{Name: "wide", What: "uplinks 20", Nodes: 100, Segments: 10, Warmup: 3, Source: 20 * mbit, Uplink: even(20 * mbit), Latency: latency, Deadline: 3 * time.Second},
	{Name: "thin", What: "source 5.2, uplinks 20", Nodes: 100, Segments: 10, Warmup: 3, Source: 5_200_000, Uplink: even(20 * mbit), Latency: latency, Deadline: 3 * time.Second},
	{Name: "starved", What: "source 8, uplinks 6", Nodes: 50, Segments: 10, Warmup: 3, Source: 8 * mbit, Uplink: even(6 * mbit), Latency: latency, Deadline: 3 * time.Second},
	{Name: "uneven", What: "30% at 1, 50% at 8, 20% at 50", Nodes: 100, Segments: 10, Warmup: 3, Source: 20 * mbit, Uplink: func(_ int, r *rand.Rand) int {
		switch x := r.Float64(); {
		case x < 0.3:
			return mbit
		case x < 0.8:
			return 8 * mbit
		default:
			return 50 * mbit
		}
	}, Latency: latency, Deadline: 3 * time.Second},
}
