package p2p

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/p2p/schedule"
	"github.com/grapevine-live/grapevine/stream"
)

// unask takes back the want of a chunk, noting whether it was in vain.
func (x *exchange) unask(p *part, i int, failed bool) {
	a := &p.asks[i]
	if a.from == "" {
		return
	}
	if !a.fetch {
		if pp := p.peers[a.from]; pp != nil {
			pp.asked.Clear(i)
		}
		x.wanted[a.from]--
	} else if failed {
		a.fetches++
	}
	if failed && !slices.Contains(a.failed, a.from) {
		a.failed = append(a.failed, a.from)
	}
	a.from, a.fetch = "", false
}

// giveUp takes back all wants of a part.
func (x *exchange) giveUp(p *part) {
	p.wanted = false
	for i := range p.asks {
		x.unask(p, i, false)
	}
}

// schedule sets from whom each missing chunk is wanted.
func (x *exchange) schedule(now time.Time) {
	var ids []peer.ID
	index := make(map[peer.ID]int)
	var peers []schedule.Peer
	see := func(id peer.ID) int {
		i, ok := index[id]
		if !ok {
			i = len(ids)
			index[id] = i
			ids = append(ids, id)
			peers = append(peers, schedule.Peer{Wanted: x.wanted[id], RTT: x.s.node.rtt(id), Silent: now.Sub(x.heard[id])})
		}
		return i
	}
	type ref struct {
		p *part
		i int
	}
	var refs []ref
	var chunks []schedule.Chunk
	for _, p := range x.order {
		if !p.missing() {
			continue
		}
		st := x.stripesOf(p.id)
		for i := range p.asks {
			a := &p.asks[i]
			if p.have.Get(i) || a.fetch {
				continue
			}
			if a.from == "" && !p.late && st.fed(stripeOf(p.id, i)) && (p.seen[i].IsZero() || now.Sub(p.seen[i]) < standingGrace) {
				continue
			}
			c := schedule.Chunk{Asked: schedule.None}
			for id, pp := range p.peers {
				if pp.have.Get(i) {
					c.Holders = append(c.Holders, see(id))
				}
			}
			if a.from != "" {
				c.Asked, c.Since = see(a.from), now.Sub(a.at)
			}
			if len(c.Holders) == 0 && c.Asked == schedule.None {
				continue
			}
			for _, id := range a.failed {
				if k, ok := index[id]; ok {
					c.Failed = append(c.Failed, k)
				}
			}
			slices.Sort(c.Holders)
			refs = append(refs, ref{p, i})
			chunks = append(chunks, c)
		}
	}
	for k, from := range schedule.Wants(peers, chunks, schedule.DefaultLimits) {
		p, i, before := refs[k].p, refs[k].i, chunks[k].Asked
		if from == before {
			continue
		}
		p.dirty = true
		if before != schedule.None {
			x.unask(p, i, true)
		}
		if from == schedule.None {
			continue
		}
		id := ids[from]
		pp := p.peers[id]
		p.asks[i].from, p.asks[i].at = id, now
		pp.asked.Set(i)
		if p.asked[id] == nil {
			p.asked[id] = stream.NewBitmap(len(p.asks))
		}
		p.asked[id].Set(i)
		if x.wanted[id]++; x.wanted[id] == 1 {
			x.heard[id] = now
		}
	}
}
