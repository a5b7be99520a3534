package p2p

import (
	"math/rand/v2"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// pxFirst and pxRarest are the pauses between requests for peers, at first, and at
	// last while they tell of nobody new.
	pxFirst  = 5 * time.Second
	pxRarest = time.Minute
)

// peerExchange asks holders for others that hold the stream, as long as this node has fewer than
// it seeks: those that came after it joined, its broadcaster above all, would else be known to it
// only if they dial it. It belongs to its swarm's loop.
type peerExchange struct {
	r        *repair
	next     time.Time // not to ask before; zero until the first step
	interval time.Duration
}

// gone notes that a holder is: others may have to take its place soon.
func (x *peerExchange) gone() { x.interval, x.next = pxFirst, time.Time{} }

// told notes how many peers an answer told of that were not known.
func (x *peerExchange) told(news int) {
	if news > 0 {
		x.interval = pxFirst
	}
}

// step asks if it is due.
func (x *peerExchange) step(now time.Time) {
	r := x.r
	if r.s.publishing() || r.s.trusted != nil || r.young(now) || r.asks >= maxTimelineAsks {
		return
	}
	if x.next.IsZero() {
		x.pause(now)
	}
	if now.Before(x.next) || len(r.s.holders()) >= targetHolders {
		return
	}
	id, p := r.pickHeard(now, nil, nil)
	if p == nil {
		return
	}
	x.ask(id, p)
	x.interval = min(2*x.interval, pxRarest)
	x.pause(now)
}

// pause puts the next request off, with jitter so that a swarm does not ask in step.
func (x *peerExchange) pause(now time.Time) { x.next = now.Add(x.interval/2 + rand.N(x.interval)) }

// ask asks a peer for what is newest, as the answer tells of peers too.
func (x *peerExchange) ask(id peer.ID, p *source) {
	for _, t := range x.r.s.Timelines() {
		if newest := t.Newest(); newest != nil {
			x.r.askHeaders(id, p, &timelineRequest{rendition: t.Rendition(), from: newest.Position})
			return
		}
	}
}
