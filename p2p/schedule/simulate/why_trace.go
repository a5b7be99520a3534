//go:build trace

package simulate

import (
	"fmt"
	"time"

	"github.com/grapevine-live/grapevine/p2p/schedule"
)

func trace(at time.Duration) {
	fmt.Println("at", at, schedule.Why)
	clear(schedule.Why)
}
