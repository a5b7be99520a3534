//go:build !trace

package simulate

import (
	"time"

	"github.com/grapevine-live/grapevine/p2p/schedule"
	"github.com/grapevine-live/grapevine/stream"
)

func trace(time.Duration) {}

func debug(int, *schedule.Exchange) {}

func late(at, d time.Duration, to, from int, pos stream.Position, chunk int) {}
