//go:build trace

package schedule

import (
	"fmt"
	"time"
)

// Why counts why things happened.
var Why = map[string]int{}

func why(s string) { Why[s]++ }

func (x *Exchange) Debug(f func(hops int, delay, waited time.Duration, kids int, lag, dev time.Duration)) {
	for s := range x.stripes {
		f(int(x.stripes[s].hops), x.stripes[s].delay, x.waited, x.childrenOf(s), x.stripes[s].lag, x.stripes[s].dev)
	}
}

func (x *Exchange) say(now time.Time, what string, p *part, i int, who Peer) {
	fmt.Println("say", now.Sub(time.Unix(1e9, 0)).Milliseconds(), "node", uint32(x.cfg.Seed), what, "part", p.pos.Segment*4+uint64(p.pos.Part), "chunk", i, "stripe", Stripe(p.pos, i), "peer", who, "hops", x.stripes[Stripe(p.pos, i)].hops, "parent", x.stripes[Stripe(p.pos, i)].parent, "age", now.Sub(p.ready).Milliseconds())
}
