//go:build trace

package schedule

import "time"

// Why counts why things happened.
var Why = map[string]int{}

func why(s string) { Why[s]++ }

func (x *Exchange) Debug(f func(hops int, delay, waited time.Duration, kids int, lag, dev time.Duration)) {
	for s := range x.stripes {
		f(int(x.stripes[s].hops), x.stripes[s].delay, x.waited, x.childrenOf(s), x.stripes[s].lag, x.stripes[s].dev)
	}
}
