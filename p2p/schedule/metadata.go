package schedule

import (
	"math/bits"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// Stripes is how many ways a rendition's chunks are dealt out, so that a node can take
// each share from another neighbour.
const Stripes = 16

// Unfed stands for the hops of a node that no parent feeds, and Adrift for those of one
// that is cut off from the broadcaster, perhaps for a moment only: it lost its parent, or
// its parent is adrift. Who is adrift keeps parent and children, and nobody takes it as a
// new parent: it may be fed by who would.
const (
	Unfed  = 15
	Adrift = Unfed - 1
)

// Mask has a bit for each stripe.
type Mask uint16

// Has reports whether stripe s is in the mask.
func (m Mask) Has(s int) bool { return m&(1<<s) != 0 }

// Count returns how many stripes are in the mask.
func (m Mask) Count() int { return bits.OnesCount16(uint16(m)) }

// Stripe returns the stripe of a chunk. Neighbouring chunks, and the same chunk of
// neighbouring parts, are of different stripes, so that short parts use them all.
func Stripe(p stream.Position, chunk int) int {
	return int((p.Segment*7 + uint64(p.Part)*5 + uint64(chunk)) % Stripes)
}

// Metadata is what a node tells a neighbour with respect to one part.
type Metadata struct {
	Have stream.Bitmap // chunks that the sender has; what was had once is never taken back
	Want stream.Bitmap // chunks that it wants from the receiver; replaces what it wanted before

	Standing *Mask  // stripes that it wants unasked of all parts after this one; nil if nothing changed
	Grants   *Mask  // of those that the receiver wants, the ones that it will get, of all parts after this one; nil if nothing changed
	State    *State // of the sender; nil if nothing changed
}

// State is what a node tells its neighbours of itself.
type State struct {
	Hops   [Stripes]uint8 // from the broadcaster; Unfed if it is not fed
	Delays [Stripes]Delay // from a chunk's publication until the sender has it, as measured
	Queue  Delay          // from when it has a chunk until a child was sent it, as measured
	Feeds  Mask           // stripes of which it has children
	Room   Mask           // stripes of which it would take one more child
	Slots  uint8          // children that its uplink feeds, each stripe of each child counted; 255 for that many and more
	Free   uint8          // of those, free
}

func unfedState() (s State) {
	for i := range s.Hops {
		s.Hops[i] = Unfed
	}
	return s
}

// Delay is a duration in units of 4 ms up to half a second, and of 32 ms above; 255 for
// 4.5 s and more.
type Delay uint8

const (
	delayUnit  = 4 * time.Millisecond
	longUnit   = 8 * delayUnit
	shortUnits = 128
)

// DelayOf rounds a duration.
func DelayOf(d time.Duration) Delay {
	if short := (d + delayUnit/2) / delayUnit; short < shortUnits {
		return Delay(max(0, short))
	}
	return Delay(min(255, shortUnits+(d-shortUnits*delayUnit+longUnit/2)/longUnit))
}

// Duration returns the middle of what d stands for.
func (d Delay) Duration() time.Duration {
	if d < shortUnits {
		return time.Duration(d) * delayUnit
	}
	return shortUnits*delayUnit + time.Duration(d-shortUnits)*longUnit
}
