package p2p

import (
	"math/rand/v2"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// introduceFirst and introduceRarest are the pauses between requests for introductions, at
	// first, and at last while they tell of nobody new.
	introduceFirst  = 5 * time.Second
	introduceRarest = time.Minute
)

// introductions asks holders for others that hold the stream, as long as this node has fewer than
// it seeks: those that came after it joined, its broadcaster above all, would else be known to it
// only if they dial it. It belongs to its swarm's loop.
type introductions struct {
	r        *repair
	next     time.Time // not to ask before; zero until the first step
	interval time.Duration
}

// hasten has the next request made soon.
func (x *introductions) hasten(now time.Time) {
	x.interval = introduceFirst
	if soon := x.after(now); soon.Before(x.next) {
		x.next = soon
	}
}

// after returns when the pause that begins now is over, with jitter so that a swarm does not ask in step.
func (x *introductions) after(now time.Time) time.Time {
	return now.Add(x.interval/2 + rand.N(x.interval))
}

// step asks if it is due.
func (x *introductions) step(now time.Time) {
	r := x.r
	if r.s.publishing() || r.s.trusted != nil || r.young(now) || r.asks >= maxTimelineAsks {
		return
	}
	if x.next.IsZero() {
		x.next = x.after(now)
	}
	if now.Before(x.next) || len(r.s.holders()) >= targetHolders {
		return
	}
	id, p := r.pickHeard(now, nil, nil)
	if p == nil {
		return
	}
	x.ask(id, p)
	x.next = x.after(now)
	x.interval = min(2*x.interval, introduceRarest)
}

// ask asks a peer for what is newest, as the answer tells of peers too.
func (x *introductions) ask(id peer.ID, p *source) {
	for _, t := range x.r.s.Timelines() {
		if newest := t.Newest(); newest != nil {
			x.r.askHeaders(id, p, &timelineRequest{rendition: t.Rendition(), from: newest.Position})
			return
		}
	}
}
