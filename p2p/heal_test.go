package p2p_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

// healLimit is far below QUIC's idle timeout and the minute for which liars are cut off.
const healLimit = 5 * time.Second

// TestBothEndsFindThatAConnectionIsOver has the network fail between a broadcaster and its only
// viewer, in one direction or both, for so long that none, one or both of them give their
// connection up. Each may still hold to what the other has forgotten.
func TestBothEndsFindThatAConnectionIsOver(t *testing.T) {
	for name, fail := range map[string]func(net *p2ptest.Network, on bool){
		"the viewer is deaf":           func(net *p2ptest.Network, on bool) { net.Deafen(1, on) },
		"the broadcaster is deaf":      func(net *p2ptest.Network, on bool) { net.Deafen(0, on) },
		"neither hears":                func(net *p2ptest.Network, on bool) { net.Cut(1, on) },
		"the viewer stands still":      func(net *p2ptest.Network, on bool) { net.Pause(1, on) },
		"the broadcaster stands still": func(net *p2ptest.Network, on bool) { net.Pause(0, on) },
	} {
		for _, lasts := range []time.Duration{3 * time.Second, 8 * time.Second, 14 * time.Second, justBeforeIdle, 50 * time.Second} {
			t.Run(fmt.Sprintf("%s for %v", name, lasts), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { heals(t, fail, lasts) })
			})
		}
	}
}

// broadcast has a node broadcast until it is stopped.
func broadcast(t *testing.T, src *p2ptest.Source, node *p2p.Node) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { src.Run(ctx, t, node, 1000, false); close(done) }()
	return func() { cancel(); <-done }
}

// justBeforeIdle is shortly less than after what QUIC gives a connection up.
const justBeforeIdle = 25 * time.Second

func heals(t *testing.T, fail func(net *p2ptest.Network, on bool), lasts time.Duration) {
	src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 200_000}
	// A second viewer answers the broadcaster all the time, so that this one knows its own network to work.
	net := line(t, 3, 0, src.Key)
	defer net.Close()
	viewer := join(t, net, 1, net.Link(src.Key.ID(), 0))
	net.Mute(1, 2, true)
	net.Mute(2, 1, true)
	join(t, net, 2, net.Link(src.Key.ID(), 0))
	defer broadcast(t, src, net.Node(0))()
	time.Sleep(5 * time.Second)
	fail(net, true)
	time.Sleep(lasts)
	fail(net, false)
	newest := func() *stream.SignedHeader { return net.Node(0).Swarms()[0].Timelines()[0].Newest() }
	last := newest().Position
	took := waitFor(t, healLimit, "the viewer to have a part of after that", func() bool {
		h := viewer.Timelines()[0].Newest()
		return h.Position.Compare(last) > 0 && net.Node(1).Store().Whole(h.ID())
	})
	t.Logf("%s: has a part after %v", t.Name(), took)
}

// TestABroadcasterThatComesBackIsFoundBySilentNodes kills a broadcaster to whom nothing is under way,
// as nothing was published for a moment, and starts it again: no packet of a node to it would ever show
// that it has forgotten their connection, and it does not know whom to dial.
func TestABroadcasterThatComesBackIsFoundBySilentNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 200_000}
		const nodes = 5
		net := line(t, nodes, 0, src.Key)
		defer net.Close()
		for i := 1; i < nodes; i++ {
			join(t, net, i, net.Link(src.Key.ID(), 0, 1, 2))
		}
		src.Run(context.Background(), t, net.Node(0), 3, false)
		time.Sleep(2 * time.Second)
		net.Kill(0)
		time.Sleep(2 * time.Second)
		node := net.Restart(0, p2ptest.Link{}, false)
		defer broadcast(t, src, node)()
		took := waitFor(t, 5*time.Second, "all to hear of the next epoch", func() bool {
			for i := 1; i < nodes; i++ {
				if net.Node(i).Swarms()[0].Timelines()[0].Newest().Epoch != 2 {
					return false
				}
			}
			return true
		})
		t.Logf("all heard after %v", took)
	})
}

// TestABroadcasterThatHeardNothingIsNotCutOff has a broadcaster hear nothing for a while: it says what it
// has all the time, and sends none of what it is asked for. It may hear again just when it is challenged.
func TestABroadcasterThatHeardNothingIsNotCutOff(t *testing.T) {
	for lasts := 4 * time.Second; lasts < 8*time.Second; lasts += 200 * time.Millisecond {
		t.Run(lasts.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 200_000}
				const nodes = 5
				net := line(t, nodes, 0, src.Key)
				defer net.Close()
				for i := 1; i < nodes; i++ {
					join(t, net, i, net.Link(src.Key.ID(), 0))
				}
				defer broadcast(t, src, net.Node(0))()
				time.Sleep(10 * time.Second)
				net.Deafen(0, true)
				time.Sleep(lasts)
				net.Deafen(0, false)
				last := net.Node(0).Swarms()[0].Timelines()[0].Newest().Position
				waitFor(t, healLimit, "all to have a part of after that", func() bool {
					for i := 1; i < nodes; i++ {
						h := net.Node(i).Swarms()[0].Timelines()[0].Newest()
						if h.Position.Compare(last) <= 0 || !net.Node(i).Store().Whole(h.ID()) {
							return false
						}
					}
					return true
				})
				for i := 1; i < nodes; i++ {
					if n := net.Node(i).Swarms()[0].Stats().PeersCutOff; n > 0 {
						t.Errorf("node %d cut %d peers off", i, n)
					}
				}
			})
		})
	}
}

// TestABroadcasterThatWasAwayForLongIsPlayedSoon has a node wait for a broadcaster for so long that it asks for
// timelines but rarely, and be its only viewer then: what the broadcaster sends may come before the
// first header, and a header of a later part.
func TestABroadcasterThatWasAwayForLongIsPlayedSoon(t *testing.T) {
	for k := range 8 {
		away := 15*time.Second + time.Duration(k)*100*time.Millisecond
		t.Run(away.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 200_000}
				const nodes = 4
				net := line(t, nodes, 0, src.Key)
				defer net.Close()
				for i := 1; i < nodes; i++ {
					join(t, net, i, net.Link(src.Key.ID(), 0, 1))
				}
				src.Run(context.Background(), t, net.Node(0), 8, false)
				net.Stop(0)
				time.Sleep(away)
				for i := 2; i < nodes; i++ {
					net.Mute(0, i, true)
					net.Mute(i, 0, true)
				}
				node := net.Restart(0, p2ptest.Link{}, false)
				defer broadcast(t, src, node)()
				took := waitFor(t, healLimit, "the viewer to have a part of the next epoch", func() bool {
					for _, h := range net.Node(1).Swarms()[0].Timelines()[0].From(stream.Position{Epoch: 2}) {
						if net.Node(1).Store().Whole(h.ID()) {
							return true
						}
					}
					return false
				})
				t.Logf("it has one after %v", took)
			})
		})
	}
}
