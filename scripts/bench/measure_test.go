package bench

import (
	"context"
	"math/rand"
	"sync"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/p2p/p2ptest"
)

// settle is how long nodes get to find each other before the broadcast begins.
const settle = 5 * time.Second

// way is a way of moving a stream.
type way struct {
	name  string
	run   func(t *testing.T, s scenario, seed int64) result
	clock bool // it runs by the machine's clock, and keeps its own virtual time
}

var ways = []way{{"grapevine", runSwarm, false}, {"classic", runClassic, false}, {"schedule", runSchedule, true}}

// result is what one run measured.
type result struct {
	RX          float64 `json:"rx"`         // bytes received per byte of stream, mean of the nodes that count
	RXWire      float64 `json:"rx_wire"`    // the same in packets
	Source      float64 `json:"source"`     // bytes that the broadcaster sent per byte of stream
	SourceWire  float64 `json:"src_wire"`   // the same in packets
	UploadMax   float64 `json:"upload_max"` // of the node that sent most
	Delays      times   `json:"delays"`     // from a chunk's publication to its arrival at each node that counts
	Pairs       int     `json:"pairs"`      // of such a node and a part
	InTime      int     `json:"in_time"`    // of those, complete by the deadline
	Stalls      times   `json:"stalls"`     // of players, one at each node that counts: how long each was
	Utilisation float64 `json:"utilisation"`

	Startup      times `json:"startup"`        // of joiners, see doc.go
	Picture      times `json:"picture"`        // of joiners
	JoinerPairs  int   `json:"joiner_pairs"`   // as Pairs, of joiners once they play
	JoinerInTime int   `json:"joiner_in_time"` // of those, complete by the deadline
	CutOff       times `json:"cut_off"`        // of liars: from their first lie until nobody asks them
	LiarsInMesh  int   `json:"liars_in_mesh"`  // at the end, pairs of an honest node and a liar
	LiarsAsked   int   `json:"liars_asked"`    // for chunks

	Attack    attackResult `json:"attack"`
	Decisions *decisions   `json:"decisions"`
	Counts    chunkCounts  `json:"counts"` // of the nodes that count
	Memory    []memory     `json:"memory"` // as the run went on
}

// chunkCounts is what nodes count themselves.
type chunkCounts struct {
	Received int64 `json:"received"` // chunks
	Twice    int64 `json:"twice"`    // chunks that were there already, or not of use any more
	Fetched  int64 `json:"fetched"`  // of those received, by the fetch protocol
	Expired  int64 `json:"expired"`  // wants that were not met in time
	Overdue  int64 `json:"overdue"`  // chunks not sent, as they were too late
	Revoked  int64 `json:"revoked"`  // promises taken back
	Dropped  int64 `json:"dropped"`  // messages that full queues lost

	PeerBytes   int64 `json:"peer_bytes"`   // payload from peers
	OriginBytes int64 `json:"origin_bytes"` // payload from the origin
}

// add adds k times o.
func (t *chunkCounts) add(o chunkCounts, k int64) {
	t.Received += k * o.Received
	t.Twice += k * o.Twice
	t.Fetched += k * o.Fetched
	t.Expired += k * o.Expired
	t.Overdue += k * o.Overdue
	t.Revoked += k * o.Revoked
	t.Dropped += k * o.Dropped
	t.PeerBytes += k * o.PeerBytes
	t.OriginBytes += k * o.OriginBytes
}

// offload is the share of the payload that came from peers.
func (t *chunkCounts) offload() float64 {
	return float64(t.PeerBytes) / float64(max(1, t.PeerBytes+t.OriginBytes))
}

// memory is what a process held at one moment.
type memory struct {
	At         int   `json:"at_s"`       // seconds into the measured time
	Heap       int64 `json:"heap_bytes"` // live, after collecting garbage
	Goroutines int   `json:"goroutines"`
}

// trial is one run of a scenario under way, whichever way the stream moves.
type trial struct {
	*testing.T
	scenario
	rand     *rand.Rand
	chance   *rand.Rand // of events
	net      *p2ptest.Network
	arrivals *arrivals
	roles    []role
	links    []p2ptest.Link
	patience time.Duration // how much longer than the deadline what is late is waited for
	counted  func(i int) chunkCounts

	mu   sync.Mutex   // guards all following
	left map[int]bool // hosts that died during the measured time
	res  result
}

func newTrial(t *testing.T, s scenario, seed int64) *trial {
	r := rand.New(rand.NewSource(seed))
	tr := &trial{T: t, scenario: s, rand: r, chance: rand.New(rand.NewSource(-seed)), roles: s.cast(r), links: s.links(r), left: make(map[int]bool)}
	tr.net = p2ptest.New(t, latency)
	tr.net.Lose(s.loss, seed)
	tr.arrivals = newArrivals(s.warmup*partsPerSegment, s.segments*partsPerSegment, s.deadline)
	for range tr.links {
		tr.arrivals.addNode()
	}
	return tr
}

// counts reports whether a host is one of those that the figures are of: honest viewers
// that are there from before the measured time until its end.
func (tr *trial) counts(i int) bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return i > 0 && i < tr.nodes && tr.roles[i] == honest && !tr.left[i]
}

// complete reports whether everything came to everybody who counts.
func (tr *trial) complete() bool {
	for i := range tr.nodes {
		if all := tr.arrivals.of(i); tr.counts(i) && all.Never > 0 {
			return false
		}
	}
	return true
}

// traffic is what a host moved so far.
type traffic struct {
	in, out, wireIn, wireOut int64
	counts                   chunkCounts
}

func (tr *trial) traffic(i int) (t traffic) {
	t.in, t.out = tr.net.Bytes(i)
	t.wireIn, t.wireOut = tr.net.WireBytes(i)
	if tr.counted != nil && tr.roles[i] == honest {
		t.counts = tr.counted(i)
	}
	return t
}

// measure broadcasts by publish, which gets each part when its last frame is there, and
// measures all but the warm-up. Meanwhile events happen, whose context ends with the
// broadcast.
func (tr *trial) measure(publish func(i int, at time.Time, data []byte) error, events func(context.Context)) result {
	partSize := tr.rate / 8 * int(partDuration/time.Millisecond) / 1000
	before := make([]traffic, tr.nodes)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var happening sync.WaitGroup
	start := time.Now()
	for i := range (tr.warmup + tr.segments) * partsPerSegment {
		time.Sleep(time.Until(start.Add(time.Duration(i+1) * partDuration)))
		if i == tr.warmup*partsPerSegment {
			for n := range before {
				before[n] = tr.traffic(n)
			}
			if events != nil {
				happening.Go(func() { events(ctx) })
			}
		}
		data := make([]byte, partSize)
		tr.rand.Read(data)
		tr.arrivals.publish(i)
		if err := publish(i, start.Add(time.Duration(i)*partDuration), data); err != nil {
			tr.Fatal(err)
		}
	}
	// What is still under way counts, too.
	time.Sleep(tr.deadline + time.Second)
	for late := time.Duration(0); late < tr.patience && !tr.complete(); late += time.Second {
		time.Sleep(time.Second)
	}
	cancel()
	happening.Wait()
	total := float64(tr.segments * partsPerSegment * partSize)
	res := tr.res
	res.Utilisation = float64(tr.scenario.rate) / bound(tr.links, tr.roles)
	viewers := 0.0
	for n := range before {
		now := tr.traffic(n)
		sent := float64(now.out-before[n].out) / total
		if n == 0 {
			res.Source = sent
			res.SourceWire = float64(now.wireOut-before[n].wireOut) / total
		}
		if n == 0 || tr.counts(n) {
			res.UploadMax = max(res.UploadMax, sent)
		}
		if !tr.counts(n) {
			continue
		}
		viewers++
		early := tr.arrivals.early(n)
		res.RX += float64(now.in-before[n].in-early) / total
		res.RXWire += float64(now.wireIn-before[n].wireIn-early) / total
		res.Counts.add(now.counts, 1)
		res.Counts.add(before[n].counts, -1)
		res.Delays.merge(tr.arrivals.of(n))
		whole, all := tr.arrivals.inTime(n, 0)
		res.InTime += whole
		res.Pairs += all
		for _, d := range tr.arrivals.stalls(n) {
			res.Stalls.add(d)
		}
	}
	res.RX /= viewers
	res.RXWire /= viewers
	return res
}
