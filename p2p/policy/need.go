package policy

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// MinStay is how long a stream is carried at least, if it is on air that long: others count
	// on who carries it, and coming costs what was already sent.
	MinStay = 10 * time.Minute
	// betterBy is how much less upload for its viewers another stream must have than one that is
	// carried, to take its place: the volunteer's own upload counts in the latter only.
	betterBy = 2.0
	// unknownSupply is what a stream is taken to have that does not say: just enough.
	unknownSupply = 1.0
	// spread is how much volunteers differ in what they make of the same supply, so that not all
	// go to the same stream at once.
	spread = 0.5
)

// Public is a public stream that a volunteer could carry, or does.
type Public struct {
	Stream stream.ID
	// Supply is for how many copies of the stream, for each of those who have it, their uplinks do,
	// 0 if it is not known: as the volunteer measures if it carries it, or as the broadcaster says.
	Supply  float64
	OnAir   bool      // it is listed
	Carried time.Time // since when, zero if it is not
}

// Volunteer chooses which public streams a node carries: those whose viewers have the least upload.
type Volunteer struct {
	ID   string // its own, so that volunteers choose differently
	Most int    // streams at a time
}

// Choose returns a stream to join, or one to leave, or neither: one change at a time, so that what
// it costs shows before the next. room tells whether the node's line has room for one more.
func (v Volunteer) Choose(all []Public, room bool, now time.Time) (join, leave *stream.ID) {
	carried := 0
	least, most := math.Inf(1), 0.0
	var neediest, best *Public
	for i := range all {
		p := &all[i]
		need := v.weigh(p)
		switch {
		case p.Carried.IsZero():
			if p.OnAir && need < least {
				least, neediest = need, p
			}
			continue
		case !p.OnAir:
			return nil, &p.Stream
		}
		carried++
		if need > most && now.Sub(p.Carried) >= MinStay {
			most, best = need, p
		}
	}
	switch {
	case neediest == nil:
		return nil, nil
	case carried < v.Most && room:
		return &neediest.Stream, nil
	case best != nil && least*betterBy < most:
		return nil, &best.Stream
	}
	return nil, nil
}

// weigh returns a stream's supply as this volunteer sees it.
func (v Volunteer) weigh(p *Public) float64 {
	supply := p.Supply
	if supply == 0 {
		supply = unknownSupply
	}
	sum := sha256.Sum256(append([]byte(v.ID), p.Stream[:]...))
	return supply * (1 + spread*float64(binary.BigEndian.Uint32(sum[:4]))/math.MaxUint32)
}
