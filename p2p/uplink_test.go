package p2p_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

// Four viewers who pass on next to nothing want 3 Mbit/s each of a node that does not
// know that its uplink has six. Headers wait behind all that is on its way.
func TestUnknownUplinkIsMeasured(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const viewers, grace, watch = 4, 7 * time.Second, 10 * time.Second
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 3_000_000}
		net := p2ptest.New(t, latency)
		net.AddNode(p2ptest.Link{Up: 6_000_000})
		for range viewers {
			net.AddNode(p2ptest.Link{Up: 300_000})
		}
		net.Start()
		defer net.Close()
		for i := range viewers {
			join(t, net, 1+i, net.Link(src.Key.ID(), 0))
		}
		time.Sleep(2 * time.Second)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { src.Run(ctx, t, net.Node(0), 1000, false); close(done) }()
		time.Sleep(grace)

		timeline := net.Node(1).Swarms()[0].Timelines()[0]
		newest := timeline.Newest().Position
		var bounds []int
		var late []time.Duration
		_, before := net.Bytes(0)
		for start := time.Now(); time.Since(start) < watch; time.Sleep(5 * time.Millisecond) {
			if h := timeline.Newest(); h.Position != newest {
				newest = h.Position
				late = append(late, time.Since(h.ProgramTime.Add(h.Duration)))
				bounds = append(bounds, net.Node(0).Stats().UploadBound)
			}
		}
		_, after := net.Bytes(0)
		sent := 8 * float64(after-before) / watch.Seconds()
		cancel()
		<-done

		slices.Sort(bounds)
		slices.Sort(late)
		n := len(bounds)
		t.Logf("of 6 Mbit/s: bound %.2f to %.2f, typically %.2f; %.2f sent; headers took %v, p90 %v, at most %v",
			float64(bounds[0])/1e6, float64(bounds[n-1])/1e6, float64(bounds[n/2])/1e6, sent/1e6, late[n/2], late[n*9/10], late[n-1])
		// It goes beyond what there is now and then, to find out.
		if bounds[n/2] < 4_500_000 || bounds[n/2] > 6_000_000 || bounds[n-1] > 8_000_000 || sent < 4_500_000 {
			t.Error("want a bound of 4.5 to 6 Mbit/s, that is used")
		}
		if late[n*9/10] > latency+300*time.Millisecond {
			t.Errorf("one header of ten took %v and more", late[n*9/10])
		}
	})
}
