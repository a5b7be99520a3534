package bench

import (
	"context"
	"fmt"
	"math/rand"
	"strings"
	"time"

	"github.com/grapevine-live/grapevine/p2p/p2ptest"
)

const (
	mbit    = 1_000_000
	latency = 25 * time.Millisecond
	dials   = 6 // by each host, to hosts drawn at random
)

// scenario is a network and what happens on it. Each seed gives another graph, and other
// draws of whatever is drawn.
type scenario struct {
	name     string
	what     string
	nodes    int                                    // that there are before the measured time, with the broadcaster, which is node 0
	segments int                                    // of 2 s, measured
	warmup   int                                    // segments broadcast before that
	rate     int                                    // of the stream, bits per second
	source   int                                    // the broadcaster's uplink, bits per second
	uplinks  uplinks                                // the others'
	latency  [2]time.Duration                       // one way: of each host drawn between these two
	loss     float64                                // share of packets
	deadline time.Duration                          // of playout, after publication
	seeds    int                                    // at most; 0 means as many as were asked for
	classic  int                                    // seeds with which ordinary messages are measured beside it
	only     string                                 // the way that it is for, if it is not for production nodes
	store    int64                                  // bytes of each node's store; 0 means the default
	silent   float64                                // share of nodes that claim to have and never send
	forging  float64                                // share of nodes that send forged chunks
	attack   string                                 // what of; "" for none
	keyed    bool                                   // some attackers have the stream's key
	attacks  []attack                               // of a fifth of the nodes, one after the other
	origin   bool                                   // there is an HTTP origin, 25 ms away, that has what the broadcaster has
	events   func(ctx context.Context, r *swarmRun) // what happens during the measured time
}

// uplinks returns those of n viewers, in any order.
type uplinks func(s *scenario, n int) []int

// even gives all the same.
func even(bits int) uplinks {
	return func(_ *scenario, n int) []int { return shares(n, share{1, bits}) }
}

// utilised gives all the same, so little that the stream takes a share of what the swarm
// could carry at best: the rate over min(source, (source + sum of uplinks) / viewers),
// after Kumar, Liu and Ross.
func utilised(utilisation float64) uplinks {
	return func(s *scenario, n int) []int {
		bound := float64(s.rate) / utilisation
		return shares(n, share{1, int(bound - float64(s.source)/float64(n))})
	}
}

// mixed gives exact shares of the viewers different uplinks.
func mixed(of ...share) uplinks {
	return func(_ *scenario, n int) []int { return shares(n, of...) }
}

type share struct {
	of   float64
	bits int
}

func shares(n int, of ...share) (out []int) {
	upto := 0.0
	for _, s := range of {
		upto += s.of
		for float64(len(out)) < upto*float64(n)-1e-9 {
			out = append(out, s.bits)
		}
	}
	return out
}

// base is what all scenarios have in common unless they say otherwise.
func base(name, what string, nodes, source int, up uplinks) scenario {
	return scenario{
		name: name, what: what, nodes: nodes, segments: 10, warmup: 3,
		rate: 4 * mbit, source: source, uplinks: up,
		latency: [2]time.Duration{latency, latency}, deadline: 3 * time.Second,
	}
}

func (s scenario) with(change func(s *scenario)) scenario {
	change(&s)
	return s
}

// scenarios are all there are, in the order of the table. Uplinks in Mbit/s.
var scenarios = []scenario{
	base("even", "uplinks 20", 50, 20*mbit, even(20*mbit)).with(func(s *scenario) { s.classic = 3 }),
	base("wide100", "100 nodes, uplinks 20", 100, 20*mbit, even(20*mbit)),
	base("wide200", "200 nodes, uplinks 20", 200, 20*mbit, even(20*mbit)),
	base("thin", "source 5.2, uplinks 20", 100, 5.2*mbit, even(20*mbit)).with(func(s *scenario) { s.classic = 1 }),
	base("starved", "source 8, uplinks 6", 50, 8*mbit, even(6*mbit)).with(func(s *scenario) { s.classic = 1 }),
	base("edge", "source 8, uplinks that make utilisation 0.9, deadline 5 s", 50, 8*mbit, utilised(0.9)).with(func(s *scenario) {
		s.deadline = 5 * time.Second
		s.classic = 1
	}),
	base("edge85", "source 8, uplinks that make utilisation 0.85, deadline 5 s", 50, 8*mbit, utilised(0.85)).with(func(s *scenario) {
		s.deadline = 5 * time.Second
	}),
	base("uneven", "uplinks: 30% 1, 50% 8, 20% 50; latencies 5 to 150 ms", 100, 20*mbit,
		mixed(share{.3, mbit}, share{.5, 8 * mbit}, share{.2, 50 * mbit})).with(func(s *scenario) {
		s.latency = [2]time.Duration{5 * time.Millisecond, 150 * time.Millisecond}
	}),
	base("churn", "uplinks 20; 2% of nodes die without a word each second, as many join", 50, 20*mbit, even(20*mbit)).with(func(s *scenario) {
		s.events = churn(0.02)
	}),
	base("loss", "uplinks 20; 2% of packets lost", 50, 20*mbit, even(20*mbit)).with(func(s *scenario) { s.loss = 0.02 }),
	base("crowd", "uplinks 20; 10 nodes, then 90 join within 2 s", 10, 20*mbit, even(20*mbit)).with(func(s *scenario) {
		s.warmup = 5
		s.events = crowd(9, 2*time.Second)
	}),
	base("liars", "uplinks 20; 15% claim to have and never send, 5% forge", 50, 20*mbit, even(20*mbit)).with(func(s *scenario) {
		s.silent, s.forging = 0.15, 0.05
		s.events = lie
	}),
	base("offload", "20 viewers and an origin, uplinks 20", 21, 20*mbit, even(20*mbit)).with(func(s *scenario) { s.origin = true }),
	base("offload-starved", "20 viewers and an origin, the broadcaster's uplink 5.2, the others' 4", 21, 52*mbit/10, even(4*mbit)).with(func(s *scenario) {
		s.origin = true
	}),
	base("offload-cut", "20 viewers and an origin, which alone has the stream", 21, 20*mbit, even(20*mbit)).with(func(s *scenario) {
		s.origin, s.deadline, s.events = true, 5*time.Second, cutSource
	}),
	attacked("forged", "forged headers", attack{of: keyless(p2ptest.ForgeHeaders(5))}),
	attacked("replayed", "headers of an earlier epoch", attack{of: keyless(p2ptest.ReplayHeaders)}).with(func(s *scenario) {
		s.warmup = 18 // until the epoch before is over for sure
	}),
	attacked("chunks", "forged chunks to whoever asks", attack{role: forging}),
	attacked("unasked", "chunks that nobody asked for", attack{of: keyless(p2ptest.ForgeChunks)}),
	attacked("withheld", "false haves and promises, and nothing sent", attack{role: silent}),
	attacked("equivocation", "a second header for each part, signed with the stream's key", attack{of: p2ptest.Equivocate}).with(func(s *scenario) { s.keyed = true }),
	attacked("malformed", "nonsense for messages", attack{of: keyless(p2ptest.SendNonsense)}),
	attacked("oversize", "messages of 1 MiB", attack{of: keyless(p2ptest.SendTooMuch)}),
	attacked("wants", "5,000 changes of wants a second", attack{of: keyless(p2ptest.FloodWants(5000))}),
	attacked("groups", "5,000 parts a second that there are none of", attack{of: keyless(p2ptest.FloodGroups(5000))}),
	attacked("control", "5,000 control messages a second", attack{of: keyless(p2ptest.FloodControl(5000))}),
	attacked("fetches", "1,000 requests a second", attack{of: keyless(p2ptest.FloodFetches(1000))}),
	attacked("slow", "everything is asked for and not read", attack{of: keyless(p2ptest.ReadSlowly)}),
	attacked("all", "each of these by one of the nodes").with(func(s *scenario) {
		s.warmup, s.keyed, s.attacks = 18, true, []attack{
			{of: keyless(p2ptest.ForgeHeaders(5))}, {of: keyless(p2ptest.ReplayHeaders)}, {role: forging}, {of: keyless(p2ptest.ForgeChunks)}, {role: silent},
			{of: p2ptest.Equivocate}, {of: keyless(sequence(p2ptest.SendNonsense, p2ptest.SendTooMuch))}, {of: keyless(p2ptest.FloodWants(5000))},
			{of: keyless(sequence(p2ptest.FloodGroups(5000), p2ptest.FloodControl(5000)))}, {of: keyless(sequence(p2ptest.FloodFetches(1000), p2ptest.ReadSlowly))},
		}
	}),
	base("headers", "50,000 headers a second at the broadcaster by 10 sybils", 40, 20*mbit, even(20*mbit)).with(func(s *scenario) {
		s.attack, s.seeds, s.events = "headers", 1, flood
	}),
	base("connections", "10,000 connections to the broadcaster from 1,000 addresses", 40, 20*mbit, even(20*mbit)).with(func(s *scenario) {
		s.attack, s.seeds, s.events = "connections", 1, knock
	}),
	base("eclipse", "10 join by links to 32 that withhold, and to 8 that do not", 52, 20*mbit, even(20*mbit)).with(func(s *scenario) {
		s.attack, s.silent, s.warmup, s.events = "eclipse", 32./52, 6, eclipse
	}),
	decided(100), decided(1000), decided(10_000),
	base("long", "8 nodes, uplinks 20, 300 kbit/s for 6 h", 8, 20*mbit, even(20*mbit)).with(func(s *scenario) {
		s.rate, s.segments, s.seeds = 300_000, 6*3600/2, 1
		s.store = 16 << 20 // full after seven minutes: what grows after that is no cache
		s.events = watchMemory
	}),
}

// decided is even, with the decisions only: in the simulator of events, in which a seed
// always gives the same.
func decided(nodes int) scenario {
	return base(fmt.Sprintf("schedule%d", nodes), fmt.Sprintf("%d nodes, decisions only", nodes), nodes, 20*mbit, even(20*mbit)).with(func(s *scenario) {
		s.only, s.segments, s.seeds = "schedule", 3, 1
	})
}

// named returns the scenarios of a list of names, separated by commas. A name without
// its number means all that differ by it only.
func named(names string) (out []scenario, unknown string) {
	for name := range strings.SplitSeq(names, ",") {
		found := false
		for _, s := range scenarios {
			if name == s.name || name == "attack" && s.attack != "" || name != "edge" && name == strings.TrimRight(s.name, "0123456789") {
				out, found = append(out, s), true
			}
		}
		if !found {
			return nil, name
		}
	}
	return out, ""
}

// roles of hosts.
type role int

const (
	honest role = iota
	silent
	forging
	attacking
)

// cast draws who plays what. The broadcaster is honest.
func (s *scenario) cast(r *rand.Rand) []role {
	out := make([]role, s.nodes)
	order := r.Perm(s.nodes - 1)
	n := int(s.silent*float64(s.nodes) + .5)
	m := int(s.forging*float64(s.nodes) + .5)
	attackers := 0
	if len(s.attacks) > 0 {
		attackers = s.nodes / 5
	}
	for k, i := range order {
		switch {
		case k < attackers:
			if out[i+1] = attacking; s.attacks[k%len(s.attacks)].role != honest {
				out[i+1] = s.attacks[k%len(s.attacks)].role
			}
		case k < n:
			out[i+1] = silent
		case k < n+m:
			out[i+1] = forging
		}
	}
	return out
}

// links draws the hosts' links, the broadcaster's first.
func (s *scenario) links(r *rand.Rand) []p2ptest.Link {
	ups := s.uplinks(s, s.nodes-1)
	r.Shuffle(len(ups), func(i, j int) { ups[i], ups[j] = ups[j], ups[i] })
	out := make([]p2ptest.Link, 0, s.nodes)
	for _, up := range append([]int{s.source}, ups...) {
		out = append(out, s.link(up, r))
	}
	return out
}

func (s *scenario) link(up int, r *rand.Rand) p2ptest.Link {
	lo, hi := s.latency[0], s.latency[1]
	return p2ptest.Link{Up: up, Down: 100 * mbit, Latency: lo + time.Duration(r.Float64()*float64(hi-lo))}
}

// bound is the highest rate that the swarm could carry at best (Kumar, Liu and Ross, "Stochastic
// Fluid Theory for P2P Streaming Systems", 2007), in bits per second. Liars give and get nothing.
func bound(links []p2ptest.Link, roles []role) float64 {
	sum, viewers := 0, 0
	for i := range links {
		if i > 0 && roles[i] == honest {
			sum += links[i].Up
			viewers++
		}
	}
	source := float64(links[0].Up)
	return min(source, (source+float64(sum))/float64(viewers))
}
