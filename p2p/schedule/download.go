package schedule

import (
	"math"
	"time"
)

const (
	// askedAhead is how long what is asked for at a time takes to come at the rate that may be received,
	// beside a round trip: as much as waits where that bound is kept. What comes on top of it is dropped
	// there, and has to be sent again.
	askedAhead = 250 * time.Millisecond
	// askedFor is for how long something that was asked for is taken to be about to come: who was asked
	// may be gone.
	askedFor = 4 * askedAhead
)

// Download sets how many bits per second this exchange receives at most; 0 bounds nothing. What it
// asks for at a time, of neighbours and by fetches, is what comes in a quarter of a second and a round
// trip: peers do not know of the bound, and send what they were asked for as fast as they can.
func (x *Exchange) Download(bits int) { x.download = bits }

// askable returns how many bytes more may be asked for now: at least one if nothing is about to come.
func (x *Exchange) askable(now time.Time) int {
	if x.download == 0 {
		return math.MaxInt
	}
	asked := 0
	for _, p := range x.order {
		if !p.missing() {
			continue
		}
		for i := range p.asks {
			if a := &p.asks[i]; a.from != None && a.from != Origin && !p.have.Get(i) && now.Sub(a.at) < askedFor {
				asked += p.chunkLen(i)
			}
		}
	}
	return int(float64(x.download)/8*(askedAhead+2*x.hop).Seconds()) + 1 - asked
}
