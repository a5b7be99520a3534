//go:build !trace

package simulate

import (
	"time"

	"github.com/grapevine-live/grapevine/p2p/schedule"
)

func trace(time.Duration) {}

func debug(int, *schedule.Exchange) {}
