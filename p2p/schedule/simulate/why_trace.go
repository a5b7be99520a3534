//go:build trace

package simulate

import (
	"fmt"
	"time"

	"github.com/grapevine-live/grapevine/p2p/schedule"
	"github.com/grapevine-live/grapevine/stream"
)

func trace(at time.Duration) {
	fmt.Println("at", at, schedule.Why)
	clear(schedule.Why)
}

func debug(i int, x *schedule.Exchange) {
	x.Debug(func(hops int, delay, waited time.Duration, kids int, lag, dev time.Duration) {
		fmt.Println("debug", i, hops, delay.Milliseconds(), waited.Milliseconds(), kids, lag.Milliseconds(), dev.Milliseconds())
	})
}

func late(at, d time.Duration, to, from int, pos stream.Position, chunk int) {
	fmt.Println("late", at.Milliseconds(), d.Milliseconds(), "node", to, "from", from, "part", pos.Segment*4+uint64(pos.Part), "chunk", chunk, "stripe", schedule.Stripe(pos, chunk))
}
