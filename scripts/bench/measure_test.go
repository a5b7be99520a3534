package bench

import (
	"math/rand"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	parts        = 4 // in a segment of 2 s
	partDuration = 500 * time.Millisecond
	dials        = 6 // by each host, to hosts drawn at random
)

// way is a way of moving a stream.
type way struct {
	name string
	run  func(t *testing.T, s scenario, seed int64) result
}

var (
	swarmWay   = way{"grapevine", runSwarm}
	classicWay = way{"classic", runClassic}
)

// result is what one run measured.
type result struct {
	rx        float64         // bytes received per byte of stream, mean of all nodes but the broadcaster
	src       float64         // bytes that the broadcaster sent per byte of stream
	uploadMax float64         // of the node that sent most
	delays    []time.Duration // from a chunk's publication to its arrival at each node
	pairs     int             // node and part
	inTime    int             // of those, complete by the deadline
	bound     float64         // the fluid bound over the stream's rate
}

// arrivals notes when each node got each chunk.
type arrivals struct {
	deadline time.Duration

	mu    sync.Mutex // guards all following
	parts map[stream.Position]*arrival
}

type arrival struct {
	published time.Time
	chunks    int
	delays    []time.Duration
	inTime    map[int]int // chunks by the deadline, by node
}

func newArrivals(deadline time.Duration) *arrivals {
	return &arrivals{deadline: deadline, parts: make(map[stream.Position]*arrival)}
}

func (a *arrivals) publish(p stream.Position, chunks int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.parts[p] = &arrival{published: time.Now(), chunks: chunks, inTime: make(map[int]int)}
}

// receive notes a chunk. Those of parts that are not measured are passed over.
func (a *arrivals) receive(node int, p stream.Position) {
	a.mu.Lock()
	defer a.mu.Unlock()
	part := a.parts[p]
	if part == nil {
		return
	}
	d := time.Since(part.published)
	part.delays = append(part.delays, d)
	if d <= a.deadline {
		part.inTime[node]++
	}
}

// partPosition is the position of the broadcast's part i.
func partPosition(i int) stream.Position {
	return stream.Position{Epoch: 1, Segment: uint64(i / parts), Part: uint32(i % parts)}
}

// addHosts adds the scenario's hosts and returns the sum of all uplinks but the
// broadcaster's, in bits per second.
func (s scenario) addHosts(r *rand.Rand, add func(i int, l p2ptest.Link)) (uplinks int) {
	for i := range s.Nodes {
		l := s.link(i, r)
		if i > 0 {
			uplinks += l.Up
		}
		add(i, l)
	}
	return uplinks
}

// measure broadcasts by publish, which gets each part when its last frame is there,
// and measures all but the warm-up.
func (s scenario) measure(t *testing.T, r *rand.Rand, net *p2ptest.Network, a *arrivals, uplinks int, publish func(i int, at time.Time, data []byte) error) result {
	partSize := s.rate() / 8 * int(partDuration/time.Millisecond) / 1000
	chunkSize := stream.ChunkSizeFor(partSize)
	in, out := make([]int64, s.Nodes), make([]int64, s.Nodes)
	start := time.Now()
	for i := range (s.Warmup + s.Segments) * parts {
		time.Sleep(time.Until(start.Add(time.Duration(i+1) * partDuration)))
		if i == s.Warmup*parts {
			for n := range s.Nodes {
				in[n], out[n] = net.Bytes(n)
			}
		}
		data := make([]byte, partSize)
		r.Read(data)
		if i >= s.Warmup*parts {
			a.publish(partPosition(i), (partSize+chunkSize-1)/chunkSize)
		}
		if err := publish(i, start.Add(time.Duration(i)*partDuration), data); err != nil {
			t.Fatal(err)
		}
	}
	// What is still under way counts, too.
	time.Sleep(s.Deadline + time.Second)
	total := float64(s.Segments * parts * partSize)
	viewers := float64(s.Nodes - 1)
	res := result{bound: min(float64(s.Source), float64(s.Source+uplinks)/viewers) / float64(s.rate())}
	for n := range s.Nodes {
		i, o := net.Bytes(n)
		sent := float64(o-out[n]) / total
		res.uploadMax = max(res.uploadMax, sent)
		if n == 0 {
			res.src = sent
		} else {
			res.rx += float64(i-in[n]) / total / viewers
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.parts {
		res.delays = append(res.delays, p.delays...)
		res.pairs += s.Nodes - 1
		for _, n := range p.inTime {
			if n == p.chunks {
				res.inTime++
			}
		}
	}
	slices.Sort(res.delays)
	return res
}
