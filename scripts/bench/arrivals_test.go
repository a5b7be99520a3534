package bench

import (
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// arrivals notes when each node got each chunk of the parts that are measured.
type arrivals struct {
	first    int // measured part, counted from the broadcast's first
	deadline time.Duration

	mu    sync.Mutex // guards all following
	parts []arrival
	nodes []*tally
}

type arrival struct {
	published time.Time
	chunks    int
}

// tally is what one node got.
type tally struct {
	delays times
	inTime []uint16    // chunks by the deadline, by part
	came   []uint16    // chunks, by part
	last   []time.Time // when the last of them came, by part
	early  int64       // bytes of parts before the first, that came after that was published
}

// newArrivals notes so many parts from a first one on.
func newArrivals(first, parts int, deadline time.Duration) *arrivals {
	return &arrivals{first: first, deadline: deadline, parts: make([]arrival, parts)}
}

// addNode makes room for one more node.
func (a *arrivals) addNode() {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := len(a.parts)
	a.nodes = append(a.nodes, &tally{inTime: make([]uint16, n), came: make([]uint16, n), last: make([]time.Time, n)})
}

// publish notes that part i is published now; chunks, of how many it consists.
func (a *arrivals) publish(i int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if i -= a.first; i >= 0 && i < len(a.parts) {
		a.parts[i].published = time.Now()
	}
}

func (a *arrivals) chunks(i, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if i -= a.first; i >= 0 && i < len(a.parts) {
		a.parts[i].chunks = n
	}
}

// receive notes that a node got a chunk of part i.
func (a *arrivals) receive(node, i, size int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if i < a.first && len(a.parts) > 0 && !a.parts[0].published.IsZero() {
		a.nodes[node].early += int64(size)
	}
	if i -= a.first; i < 0 || i >= len(a.parts) || a.parts[i].published.IsZero() {
		return
	}
	now, n := time.Now(), a.nodes[node]
	d := now.Sub(a.parts[i].published)
	n.delays.add(d)
	n.came[i]++
	n.last[i] = now
	if d <= a.deadline {
		n.inTime[i]++
	}
}

// early returns the bytes of chunks of the warm-up that came to a node in the measured time.
func (a *arrivals) early(node int) int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.nodes[node].early
}

// published returns how many of the parts were published so far.
func (a *arrivals) published() (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for n < len(a.parts) && !a.parts[n].published.IsZero() {
		n++
	}
	return n
}

// of returns the delays of all chunks to a node; what did not come counts as never.
func (a *arrivals) of(node int) (t times) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t.merge(a.nodes[node].delays)
	expected := 0
	for _, p := range a.parts {
		expected += p.chunks
	}
	t.Never = max(0, expected-t.came())
	return t
}

// inTime returns how many of the parts, from a first one on, a node had whole by the
// deadline.
func (a *arrivals) inTime(node, from int) (whole, all int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := from; i < len(a.parts); i++ {
		all++
		if int(a.nodes[node].inTime[i]) == a.parts[i].chunks {
			whole++
		}
	}
	return whole, all
}

// inHand is how many whole segments a player has when it begins, that which it plays included.
const inHand = playableSegments

// stalls returns for how long each time a player at a node stood still, never if for good: one
// that began a segment when the last in hand was published, and goes on with each when the
// one before is over and all of it is there.
func (a *arrivals) stalls(node int) (out []time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.nodes[node]
	var behind time.Duration // what it lost so far
	for i := 0; i+inHand*partsPerSegment <= len(a.parts); i += partsPerSegment {
		plays := a.parts[i+inHand*partsPerSegment-1].published.Add(behind)
		whole := time.Time{}
		for k := i; k < i+partsPerSegment; k++ {
			if int(n.came[k]) < a.parts[k].chunks {
				return append(out, never)
			}
			if n.last[k].After(whole) {
				whole = n.last[k]
			}
		}
		if d := whole.Sub(plays); d > 0 {
			out = append(out, d)
			behind += d
		}
	}
	return out
}

// partsPerSegment are in a segment of two seconds.
const (
	partsPerSegment = 4
	partDuration    = 500 * time.Millisecond
)

// position is that of the broadcast's part i; number is its inverse.
func position(i int) stream.Position {
	return stream.Position{Epoch: 1, Segment: uint64(i / partsPerSegment), Part: uint32(i % partsPerSegment)}
}

func number(p stream.Position) int { return int(p.Segment)*partsPerSegment + int(p.Part) }
