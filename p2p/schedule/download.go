package schedule

import "time"

// askedAhead is how long what is asked for at a time takes to come at the rate that may be received,
// beside a round trip: as much as waits where that bound is kept. What comes on top of it is dropped
// there, and has to be sent again.
const askedAhead = 250 * time.Millisecond

// Download sets how many bits per second this exchange receives at most; 0 bounds nothing. What it
// asks for at a time, of neighbours and by fetches, is what comes in a quarter of a second and a round
// trip: peers do not know of the bound, and send what they were asked for as fast as they can.
func (x *Exchange) Download(bits int) { x.download = bits }

// askable returns how many bytes more may be asked for now: at least one if nothing is.
func (x *Exchange) askable() int {
	if x.download == 0 {
		return unbounded
	}
	asked := 0
	for _, p := range x.order {
		if !p.missing() {
			continue
		}
		for i := range p.asks {
			if a := &p.asks[i]; a.from != None && a.from != Origin && !p.have.Get(i) {
				asked += p.chunkLen(i)
			}
		}
	}
	return int(float64(x.download)/8*(askedAhead+2*x.hop).Seconds()) + 1 - asked
}

// unbounded is more than is ever missing.
const unbounded = 1 << 40
