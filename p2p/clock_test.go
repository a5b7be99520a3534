package p2p_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

// TestABroadcasterWhoseClockWasSetIsHeardAtOnce ends an epoch and begins the next with another
// time.
func TestABroadcasterWhoseClockWasSetIsHeardAtOnce(t *testing.T) {
	for _, off := range []time.Duration{-time.Hour, 5 * time.Minute, 48 * time.Hour} {
		for _, ends := range []bool{false, true} {
			t.Run(fmt.Sprintf("by %v, after an end %t", off, ends), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 200_000}
					net := line(t, 3, 3, src.Key)
					defer net.Close()
					src.Run(context.Background(), t, net.Node(0), 3, ends)
					src.ClockOff = off
					sent := src.Run(context.Background(), t, net.Node(0), 2, false)
					time.Sleep(300 * time.Millisecond)
					for i := 1; i < 3; i++ {
						if refused := net.Node(i).Swarms()[0].Stats().HeadersRefused["ahead"]; refused > 0 {
							t.Errorf("node %d refused %d headers as from the future", i, refused)
						}
						if missing := p2ptest.Missing(net.Node(i), src.Key.ID(), sent); len(missing) > 0 {
							t.Errorf("node %d lacks %v", i, missing)
						}
					}
				})
			})
		}
	}
}
