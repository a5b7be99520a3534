package simulate

import (
	"slices"
	"time"

	"github.com/grapevine-live/grapevine/p2p/schedule"
	"github.com/grapevine-live/grapevine/stream"
)

// rings counts the nodes that feed each other in a ring, in each stripe.
func (w *World) rings() (count int) {
	parents := make([][schedule.Stripes]schedule.Peer, len(w.nodes))
	for i, n := range w.nodes {
		parents[i] = n.x.Parents()
	}
	for i := range w.nodes {
		for s := range schedule.Stripes {
			at := int(parents[i][s])
			for range w.nodes {
				if at < 0 || at == i || w.nodes[at].dead || w.nodes[at].liar {
					break
				}
				at = int(parents[at][s])
			}
			if at == i && !w.nodes[i].dead && !w.nodes[i].liar {
				count++
			}
		}
	}
	return count
}

// Add adds a node without connections, and returns it.
func (w *World) Add() int {
	i := len(w.nodes)
	up := w.cfg.Uplink(i, w.rng)
	b := &bucket{rate: float64(up) / 8 * 0.93}
	n := &node{b: b,
		x:  schedule.New(schedule.Config{Source: i == 0, Uplink: b, Seed: w.cfg.Seed<<32 + uint64(i), TTL: 15 * time.Second}),
		up: float64(up), latency: w.cfg.Latency(i, w.rng),
		known: make(map[stream.Position]bool), heard: make(map[stream.Position]bool), early: make(map[stream.Position][]message), since: w.now,
	}
	w.nodes = append(w.nodes, n)
	return i
}

// dial connects a node with n others drawn at random, three of which it passes headers on to.
func (w *World) dial(i, n int) {
	for k := range n {
		j := w.rng.IntN(len(w.nodes))
		for w.nodes[j].dead {
			j = w.rng.IntN(len(w.nodes))
		}
		w.Connect(i, j)
		if k < meshDials {
			w.Mesh(i, j)
		}
	}
}

const meshDials = 3

// Join adds a node, connected with n others drawn at random, which gets the headers of the
// last parts at once.
func (w *World) Join(n int) {
	i := w.Add()
	w.dial(i, n)
	at := w.now + 3*w.nodes[i].latency // a round trip and the answer
	for k := max(0, w.count-joinParts); k < w.count; k++ {
		w.push(event{at: at, to: int32(i), kind: header, msg: int32(k)})
	}
}

// publishedAt returns when a part is published.
func (w *World) publishedAt(pos stream.Position) time.Duration {
	return time.Duration(int(pos.Segment)*partsPerSegment+int(pos.Part)+1) * w.cfg.Part
}

// heartbeat is gossipsub's.
const heartbeat = time.Second

// joinParts are the parts that who joins fetches the headers of.
const joinParts = 4

// Connect connects two nodes.
func (w *World) Connect(i, j int) {
	if i == j || w.nodes[i].banned[j] || w.nodes[j].banned[i] || slices.Contains(w.nodes[i].peers, j) || w.nodes[i].dead || w.nodes[j].dead {
		return
	}
	a, b := w.nodes[i], w.nodes[j]
	a.peers, b.peers = append(a.peers, j), append(b.peers, i)
	rtt := a.latency + b.latency
	a.x.Neighbour(schedule.Peer(j), true, rtt)
	b.x.Neighbour(schedule.Peer(i), true, rtt)
	w.wake(i)
	w.wake(j)
}

// Mesh has two nodes pass headers to each other.
func (w *World) Mesh(i, j int) {
	if slices.Contains(w.nodes[i].peers, j) {
		w.nodes[i].mesh = append(w.nodes[i].mesh, j)
		w.nodes[j].mesh = append(w.nodes[j].mesh, i)
	}
}

// Kill has a node fall silent; its neighbours are not told.
func (w *World) Kill(i int) {
	w.nodes[i].dead = true
	for _, j := range w.nodes[i].peers {
		after := closeAfter + time.Duration(w.rng.Int64N(int64(closeVaries)))
		w.push(event{at: w.now + after, to: int32(j), kind: closed, msg: int32(i)})
	}
}

// Disconnect closes a connection for good.
func (w *World) Disconnect(i, j int) {
	for _, e := range [2][2]int{{i, j}, {j, i}} {
		n, k := w.nodes[e[0]], e[1]
		n.x.Gone(schedule.Peer(k), w.time())
		n.peers = slices.DeleteFunc(n.peers, func(o int) bool { return o == k })
		n.mesh = slices.DeleteFunc(n.mesh, func(o int) bool { return o == k })
	}
	n := w.nodes[i]
	if n.banned == nil {
		n.banned = make(map[int]bool)
	}
	n.banned[j] = true
}

// closeAfter is after how long at least a connection to a dead node is closed, and
// closeVaries how much longer it may take; see [schedule.Silences].
const (
	closeAfter  = 5 * time.Second
	closeVaries = 2 * time.Second
)
