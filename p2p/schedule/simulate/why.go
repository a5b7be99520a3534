//go:build !trace

package simulate

import "time"

func trace(time.Duration) {}
