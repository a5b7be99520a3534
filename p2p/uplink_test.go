package p2p_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

// Four viewers who pass on next to nothing want 3 Mbit/s each of a node that does not
// know that its uplink has six. Headers wait behind all that is on its way. Too few come to one
// viewer, or in one swarm, to tell what one of ten takes.
func TestUnknownUplinkIsMeasured(t *testing.T) {
	t.Parallel()
	const swarms = 3
	late, bounds := make([][]time.Duration, swarms), make([][]int, swarms)
	t.Run("swarms", func(t *testing.T) {
		for k := range swarms {
			t.Run(fmt.Sprint(k), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { late[k], bounds[k] = crowdedUplink(t) })
			})
		}
	})
	found, all := slices.Concat(bounds...), slices.Concat(late...)
	if len(all) == 0 {
		t.Fatal("no swarm ran")
	}
	slices.Sort(found)
	if typical := found[len(found)/2]; typical < 4_500_000 || typical > 6_000_000 {
		t.Errorf("the bound is typically %.2f Mbit/s, want 4.5 to 6", float64(typical)/1e6)
	}
	slices.Sort(all)
	n := len(all)
	t.Logf("%d headers took %v, p90 %v, at most %v", n, all[n/2], all[n*9/10], all[n-1])
	if p90 := all[n*9/10]; p90 > latency+300*time.Millisecond {
		t.Errorf("one header of ten took %v and more", p90)
	}
}

// crowdedUplink checks that a node uses its uplink, and returns how long headers took to each of the
// viewers, and the bound that it found, at all times.
func crowdedUplink(t *testing.T) (late []time.Duration, bounds []int) {
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

	var newest [viewers]stream.Position
	var headers [viewers]int
	_, before := net.Bytes(0)
	for start := time.Now(); time.Since(start) < watch; time.Sleep(5 * time.Millisecond) {
		bounds = append(bounds, net.Node(0).Stats().UploadBound)
		for i := range viewers {
			h := net.Node(1 + i).Swarms()[0].Timelines()[0].Newest()
			if h.Position != newest[i] && newest[i] != (stream.Position{}) {
				late = append(late, time.Since(h.ProgramTime.Add(h.Duration)))
				headers[i]++
			}
			newest[i] = h.Position
		}
	}
	_, after := net.Bytes(0)
	sent := 8 * float64(after-before) / watch.Seconds()
	cancel()
	<-done

	slices.Sort(bounds)
	slices.Sort(late)
	n := len(bounds)
	t.Logf("of 6 Mbit/s: bound %.2f to %.2f, typically %.2f; %.2f sent", float64(bounds[0])/1e6, float64(bounds[n-1])/1e6, float64(bounds[n/2])/1e6, sent/1e6)
	// It goes beyond what there is now and then, to find out.
	if bounds[n/2] > 6_500_000 || bounds[n-1] > 8_000_000 || sent < 4_500_000 {
		t.Error("want 4.5 Mbit/s and more sent, and a bound of 6.5 typically and 8 at most")
	}
	if p90 := late[len(late)*9/10]; slices.Min(headers[:]) < 15 || p90 > time.Second {
		t.Errorf("%v headers came, one of ten took %v and more", headers, p90)
	}
	return late, bounds
}
