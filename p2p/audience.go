package p2p

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// rewoundAfter is how far behind the broadcaster a player is taken to have rewound.
	rewoundAfter = time.Minute
	// maxVersions bounds the versions that are told apart.
	maxVersions = 16
	// otherVersions is what the rest is called.
	otherVersions = "other"
)

// Audience is how a stream fares at the nodes that agreed to say so, estimated from a sample of
// them: each report stands for as many as were asked for one. Errors are standard errors of the
// sampling; nothing is known of nodes that did not agree.
type Audience struct {
	At      time.Time // when the newest survey began of which it is
	Surveys int       // of which it is
	Reports int       // of all these
	Share   float64   // of the nodes that the newest of them asked

	Nodes, NodesError     float64 // that agreed
	Relays                float64 // of those, set up as relays
	Viewers, ViewersError float64 // players, by these nodes and their gateways
	Largest               float64 // of those, the most that one report told of
	Kinds                 [stream.PlayerKinds]float64
	Rewound               float64 // share of the viewers, who play what is more than a minute old

	// Of the viewers that have not rewound.
	DelayP50, DelayP95 time.Duration
	// Of the viewers, what they stalled of the last minute or since they began; Stalling is the
	// share that did, and StalledShare that of all viewing time.
	StalledP50, StalledP95 time.Duration
	Stalling, StalledShare float64

	// Shares of the payload received in the last minute by whom it came from, 0 if nothing came.
	FromPeers, FromBroadcaster, FromOrigins float64
	Given                                   float64 // bits per second to peers, by all together

	// Where it is thin: shares of the nodes.
	OneFeeder float64 // fed by one neighbour at most
	NoSpare   float64 // whose uplink has no room for a further child

	Versions map[string]float64 // nodes
}

// answeredSurvey is a survey that is over.
type answeredSurvey struct {
	share   float64
	began   time.Time
	reports []*stream.Report
}

// newAudience estimates from surveys, oldest first, of which there is one at least: from the newest
// alone if that asked everybody, else from those of the last half minute, if the share was about
// the same. Each node was drawn by itself (Poisson sampling), so that a sum over the drawn, each
// divided by its share, estimates that over all without bias, and (1-share)/share² of the squares'
// sum its variance (Horvitz and Thompson 1952).
func newAudience(surveys []answeredSurvey) Audience {
	newest := surveys[len(surveys)-1]
	used := surveys[len(surveys)-1:]
	if newest.share < 1 {
		i := slices.IndexFunc(surveys, func(s answeredSurvey) bool {
			return newest.began.Sub(s.began) < audienceWindow && s.share >= newest.share/2
		})
		used = surveys[i:]
	}
	a := Audience{At: newest.began, Surveys: len(used), Share: newest.share, Versions: make(map[string]float64)}
	var nodes, viewers variance
	var delays, stalls weighted
	var rewound, playing, stalling, stalledTime, watchedTime float64
	var fromPeers, fromBroadcaster, fromOrigins float64
	for _, s := range used {
		w := 1 / (s.share * float64(len(used))) // nodes that a report stands for, of the mean
		for _, r := range s.reports {
			a.Reports++
			nodes.add(1, s.share, w)
			players := 0
			for k, n := range r.Players {
				a.Kinds[k] += w * float64(n)
				players += n
			}
			viewers.add(float64(players), s.share, w)
			a.Largest = max(a.Largest, float64(players))
			if r.Relay {
				a.Relays += w
			}
			if r.Feeders <= 1 {
				a.OneFeeder += w
			}
			if r.Children >= r.Slots {
				a.NoSpare += w
			}
			if seconds := r.Window.Seconds(); seconds > 0 {
				a.Given += w * 8 * float64(r.Given) / seconds
				fromPeers += w * float64(r.FromPeers) / seconds
				fromBroadcaster += w * float64(r.FromBroadcaster) / seconds
				fromOrigins += w * float64(r.FromOrigins) / seconds
			}
			for _, p := range r.Playing {
				// They stand for the node's other players, too.
				w := w * float64(max(players, len(r.Playing))) / float64(len(r.Playing))
				playing += w
				if p.Delay > rewoundAfter {
					rewound += w
				} else {
					delays.add(p.Delay, w)
				}
				if p.Watched > 0 {
					stalls.add(time.Duration(float64(p.Stalled)/float64(p.Watched)*float64(time.Minute)), w)
				}
				if p.Stalls > 0 {
					stalling += w
				}
				stalledTime += w * p.Stalled.Seconds()
				watchedTime += w * p.Watched.Seconds()
			}
			a.addVersion(r.Version, w)
		}
	}
	a.Nodes, a.NodesError = nodes.sum, math.Sqrt(nodes.squares)
	a.Viewers, a.ViewersError = viewers.sum, math.Sqrt(viewers.squares)
	a.DelayP50, a.DelayP95 = delays.quantile(0.5), delays.quantile(0.95)
	a.StalledP50, a.StalledP95 = stalls.quantile(0.5), stalls.quantile(0.95)
	a.Rewound, a.Stalling, a.StalledShare = share(rewound, playing), share(stalling, playing), share(stalledTime, watchedTime)
	a.OneFeeder, a.NoSpare = share(a.OneFeeder, a.Nodes), share(a.NoSpare, a.Nodes)
	all := fromPeers + fromBroadcaster + fromOrigins
	a.FromPeers, a.FromBroadcaster, a.FromOrigins = share(fromPeers, all), share(fromBroadcaster, all), share(fromOrigins, all)
	return a
}

func (a *Audience) addVersion(version string, nodes float64) {
	if _, known := a.Versions[version]; !known && len(a.Versions) >= maxVersions {
		version = otherVersions
	}
	a.Versions[cmp.Or(version, otherVersions)] += nodes
}

func share(part, of float64) float64 {
	if of == 0 {
		return 0
	}
	return part / of
}

// variance adds up what a sample says, and how uncertain that is.
type variance struct{ sum, squares float64 }

func (v *variance) add(x, share, weight float64) {
	v.sum += weight * x
	v.squares += (1 - share) * weight * weight * x * x
}

// weighted is a sample of durations that stand for more or fewer.
type weighted struct {
	values []weightedValue
	total  float64
}

type weightedValue struct {
	value  time.Duration
	weight float64
}

func (w *weighted) add(value time.Duration, weight float64) {
	w.values = append(w.values, weightedValue{value, weight})
	w.total += weight
}

// quantile returns the least value that a share q of the weight is not above, 0 of nothing.
func (w *weighted) quantile(q float64) time.Duration {
	slices.SortFunc(w.values, func(a, b weightedValue) int { return cmp.Compare(a.value, b.value) })
	sum := 0.0
	for _, v := range w.values {
		if sum += v.weight; sum >= q*w.total*(1-1e-9) {
			return v.value
		}
	}
	return 0
}
