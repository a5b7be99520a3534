package schedule

import (
	"slices"
	"time"
)

// None stands for no peer.
const None = -1

// Peer is what the scheduler sees of a peer.
type Peer struct {
	Wanted int           // chunks wanted from it and not there yet
	RTT    time.Duration // 0 if unknown
	Silent time.Duration // since it last delivered a chunk that was wanted from it, or since it got a want after having none
}

// Chunk is a missing chunk.
type Chunk struct {
	Holders []int         // indices of peers that say they have it
	Failed  []int         // of those, the ones that were asked in vain before
	Asked   int           // index of the peer that it is wanted from, or None
	Since   time.Duration // since it was asked for
}

// Limits are the scheduler's time-outs and bounds.
type Limits struct {
	// MinWait is the shortest time that a peer gets to deliver.
	MinWait time.Duration
	// MaxWait is the longest time that a peer gets, if it delivers other chunks
	// meanwhile: a queue that moves is not cut short, as asking again would only make
	// every queue longer.
	MaxWait time.Duration
	// MaxWanted bounds the chunks wanted from one peer at a time.
	MaxWanted int
}

// DefaultLimits suit a live stream watched a few seconds behind.
var DefaultLimits = Limits{MinWait: 600 * time.Millisecond, MaxWait: 3 * time.Second, MaxWanted: 64}

// Expired reports whether a chunk that is wanted from p since that time should be
// wanted from somebody else.
func (l Limits) Expired(p Peer, since time.Duration) bool {
	wait := max(l.MinWait, 4*p.RTT)
	return since > max(l.MaxWait, wait) || since > wait && p.Silent > wait
}

// Wants returns for each chunk, in order of urgency, the peer that it shall be wanted
// from, or None. Each is wanted from one peer at a time: the holder from which least
// is wanted, those that failed it last. A want that has not expired stays. It changes
// peers' Wanted as it goes.
func Wants(peers []Peer, chunks []Chunk, l Limits) []int {
	out := make([]int, len(chunks))
	for i, c := range chunks {
		out[i] = c.Asked
		if c.Asked == None {
			continue
		}
		if l.Expired(peers[c.Asked], c.Since) {
			peers[c.Asked].Wanted--
			out[i] = None
		}
	}
	for i, c := range chunks {
		if out[i] == None {
			if out[i] = choose(peers, c, i, l); out[i] != None {
				peers[out[i]].Wanted++
			}
		}
	}
	return out
}

// choose picks a holder for a chunk. Equals are taken in turn, by the chunk's place,
// so that neighbours who announce everything at once share the load.
func choose(peers []Peer, c Chunk, turn int, l Limits) int {
	best, bestCost := None, 0
	for k := range c.Holders {
		p := c.Holders[(k+turn)%len(c.Holders)]
		if p == c.Asked || peers[p].Wanted >= l.MaxWanted {
			continue
		}
		cost := peers[p].Wanted
		if slices.Contains(c.Failed, p) {
			cost += l.MaxWanted
		}
		if best == None || cost < bestCost {
			best, bestCost = p, cost
		}
	}
	return best
}
