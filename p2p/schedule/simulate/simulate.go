// Package simulate runs thousands of exchanges on a network of events: the same
// decisions as the node's, without its cryptography, QUIC and goroutines. Links have a
// latency and an uplink that sends one message after the other; headers are flooded.
// It is deterministic.
package simulate

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/grapevine-live/grapevine/p2p/schedule"
	"github.com/grapevine-live/grapevine/stream"
)

// Config is a swarm and what it carries.
type Config struct {
	Nodes    int
	Dials    int                                     // by each node, to others drawn at random
	Uplink   func(i int, r *rand.Rand) int           // bits per second; node 0 is the broadcaster
	Latency  func(i int, r *rand.Rand) time.Duration // one way, half of it on each side
	Rate     int                                     // of the stream, bits per second
	Part     time.Duration                           // each part's duration
	Chunk    int                                     // bytes
	Warmup   int                                     // parts before it is measured
	Parts    int                                     // parts measured
	Deadline time.Duration                           // of playout, after publication
	Loss     float64                                 // share of packets that have to be repeated
	Liars    float64                                 // share of the viewers that claim and promise everything, and send nothing
	Forgers  float64                                 // share of the viewers that pass on other bytes
	Seed     uint64
	// Every is called at each part's publication, to let nodes die and join.
	Every func(w *World, part int)
}

// Result is what was measured, of the nodes that were there from the beginning to the end
// and are honest.
type Result struct {
	Rx, Src, UploadMax float64                 // a viewer's download, the broadcaster's and the busiest node's upload, over the stream's bytes
	Delays             []time.Duration         // of each chunk, from its publication, sorted
	Pairs, InTime      int                     // of a node and a part, and those of them that were complete by the deadline
	Startup            []time.Duration         // of each that joined, until it had a whole part, sorted
	Hops               [schedule.Unfed + 1]int // how many nodes' stripes are so many hops from the broadcaster
	Stats              schedule.Stats          // summed up over all nodes
	Duplicates, Events int
	CutOff             []time.Duration // when each neighbour of a liar or forger cut it off
	Slandered          int             // times that an honest node was taken for a liar
	Rings              int             // nodes' stripes found, when a part was published, fed by themselves in the end
}

// Continuity returns the share of pairs of a node and a part that were complete in time.
func (r *Result) Continuity() float64 { return float64(r.InTime) / float64(max(1, r.Pairs)) }

// Delay returns the delay that a share of all chunks kept to.
func (r *Result) Delay(share float64) time.Duration {
	if len(r.Delays) == 0 {
		return 0
	}
	return r.Delays[int(float64(len(r.Delays)-1)*share)]
}

// node is one node.
type node struct {
	x           *schedule.Exchange
	up          float64 // bits per second
	latency     time.Duration
	free        time.Duration // when the uplink has sent what it was given
	peers, mesh []int
	b           *bucket
	banned      map[int]bool
	known       map[stream.Position]bool
	heard       map[stream.Position]bool // of parts whose header is not there
	early       map[stream.Position][]message
	stepAt      time.Duration // of the timer that counts
	timerAt     time.Duration // of the timer pushed last
	due         bool
	dead        bool
	liar        bool
	forger      bool
	started     bool // it has a whole part
	since       time.Duration
	in, out     float64
	in0, out0   float64
}

// World is a running simulation.
type World struct {
	cfg       Config
	rng       *rand.Rand
	nodes     []*node
	events    events
	messages  []message // under way
	unused    []int32   // of messages
	seq       int32
	count     int // parts published
	now       time.Duration
	base      time.Time
	sizes     map[stream.Position]schedule.Part
	published map[stream.Position]time.Duration
	got       map[stream.Position][]int // chunks in time, by node
	res       Result
	measuring bool
}

const partsPerSegment = 4

func position(i int) stream.Position {
	return stream.Position{Epoch: 1, Segment: uint64(i / partsPerSegment), Part: uint32(i % partsPerSegment)}
}

// Run simulates.
func Run(cfg Config) Result {
	w := &World{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 1)), base: time.Unix(1e9, 0),
		sizes: make(map[stream.Position]schedule.Part), published: make(map[stream.Position]time.Duration), got: make(map[stream.Position][]int)}
	for range cfg.Nodes {
		w.Add()
	}
	for i, n := range w.nodes {
		switch x := float64(i-1) / float64(cfg.Nodes-1); {
		case i == 0:
		case x < cfg.Liars:
			n.liar = true
		case x < cfg.Liars+cfg.Forgers:
			n.forger = true
		}
		w.dial(i, cfg.Dials)
	}
	size := cfg.Rate / 8 * int(cfg.Part/time.Millisecond) / 1000
	total := cfg.Warmup + cfg.Parts
	for i := range total {
		w.push(event{at: time.Duration(i+1) * cfg.Part, kind: publication, msg: int32(i)})
		n := (size + cfg.Chunk - 1) / cfg.Chunk
		w.sizes[position(i)] = schedule.Part{Position: position(i), Size: size, ChunkSize: cfg.Chunk, Chunks: n, Duration: cfg.Part}
	}
	end := time.Duration(total)*cfg.Part + cfg.Deadline + time.Second
	for len(w.events) > 0 {
		e := w.events.pop()
		if e.at > end {
			break
		}
		w.now = e.at
		switch e.kind {
		case arrival:
			m := w.messages[e.msg]
			w.messages[e.msg] = message{}
			w.unused = append(w.unused, e.msg)
			w.deliver(int(e.to), m)
		case timer:
			if n := w.nodes[e.to]; n.stepAt == e.at && !n.dead {
				w.step(int(e.to))
			}
		case header:
			pos := position(int(e.msg))
			w.header(int(e.to), -1, pos, !w.nodes[e.to].heard[pos])
		case closed:
			if n := w.nodes[e.to]; !n.dead {
				n.x.Gone(schedule.Peer(e.msg), w.time())
				n.peers = slices.DeleteFunc(n.peers, func(j int) bool { return j == int(e.msg) })
				n.mesh = slices.DeleteFunc(n.mesh, func(j int) bool { return j == int(e.msg) })
				w.wake(int(e.to))
				for len(n.peers) < w.cfg.Dials {
					w.dial(int(e.to), 1)
				}
			}
		case publication:
			if w.count == cfg.Warmup {
				w.measuring = true
				for _, n := range w.nodes {
					n.in0, n.out0 = n.in, n.out
				}
			}
			if cfg.Every != nil {
				cfg.Every(w, w.count)
			}
			w.res.Rings += w.rings()
			w.count++
			w.publish(position(int(e.msg)))
		}
		w.res.Events++
	}
	bytes := float64(cfg.Parts * size)
	viewers := 0.0
	for i, n := range w.nodes {
		out := (n.out - n.out0) / bytes
		w.res.UploadMax = max(w.res.UploadMax, out)
		if i > 0 && !n.dead {
			for _, h := range n.x.Hops() {
				w.res.Hops[h]++
			}
		}
		s := n.x.Stats()
		w.res.Stats.Expired += s.Expired
		w.res.Stats.Overdue += s.Overdue
		w.res.Stats.Revoked += s.Revoked
		w.res.Stats.Changed += s.Changed
		w.res.Stats.LateFeeds += s.LateFeeds
		w.res.Stats.Unsolved += s.Unsolved
		w.res.Stats.ChunksSent += s.ChunksSent
		w.res.Stats.Fed += s.Fed
		w.res.Stats.Feeding += s.Feeding
		w.res.Stats.Slots += s.Slots
		if i == 0 {
			w.res.Src = out
		} else if !n.dead && n.since == 0 && !n.liar && !n.forger {
			w.res.Rx += (n.in - n.in0) / bytes
			viewers++
		}
	}
	w.res.Rx /= viewers
	for pos := range w.published {
		for i, n := range w.nodes {
			if i == 0 || n.dead || n.since > 0 || n.liar || n.forger {
				continue
			}
			w.res.Pairs++
			if w.got[pos][i] == w.sizes[pos].Chunks {
				w.res.InTime++
			}
		}
	}
	slices.Sort(w.res.Delays)
	slices.Sort(w.res.Startup)
	slices.Sort(w.res.CutOff)
	return w.res
}

// Alive returns the viewers that are alive.
func (w *World) Alive() (out []int) {
	for i := 1; i < len(w.nodes); i++ {
		if !w.nodes[i].dead {
			out = append(out, i)
		}
	}
	return out
}

// Rand returns the simulation's randomness.
func (w *World) Rand() *rand.Rand { return w.rng }
