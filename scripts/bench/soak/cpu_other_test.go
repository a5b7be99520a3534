//go:build !linux

package soak

import "time"

func cpu() time.Duration { return 0 }
