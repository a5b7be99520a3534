package p2ptest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

// three returns a network of three connected hosts, 10 ms apart.
func three(t *testing.T) *p2ptest.Network {
	t.Helper()
	net := p2ptest.New(t, 10*time.Millisecond)
	for range 3 {
		net.AddHost(p2ptest.Link{})
	}
	net.Start()
	for i := range 3 {
		for j := range i {
			net.Connect(i, j)
			send(t, net, i, j, 1) // negotiates the protocol
			send(t, net, j, i, 1)
		}
	}
	time.Sleep(time.Second) // until nothing is under way
	return net
}

// later sends a byte from host i to host j and back, and returns a channel that gets how long it took.
func later(t *testing.T, net *p2ptest.Network, i, j int) <-chan time.Duration {
	t.Helper()
	took := make(chan time.Duration, 1)
	go func() { took <- send(t, net, i, j, 1) }()
	return took
}

func TestWhoStandsStillHearsAllAtOnce(t *testing.T) {
	const still = 3 * time.Second
	synctest.Test(t, func(t *testing.T) {
		net := three(t)
		defer net.Close()
		net.Pause(1, true)
		before, _ := net.WireBytes(1)
		heard := later(t, net, 0, 1)
		said := later(t, net, 1, 2)
		time.Sleep(still)
		synctest.Wait()
		if in, _ := net.WireBytes(1); in != before {
			t.Errorf("who stands still received %d bytes", in-before)
		}
		if len(heard)+len(said) > 0 {
			t.Error("who stands still answered, or was heard")
		}
		net.Pause(1, false)
		synctest.Wait()
		if in, _ := net.WireBytes(1); in == before {
			t.Error("what waited did not come at once")
		}
		for _, c := range []<-chan time.Duration{heard, said} {
			if took := <-c; took < still || took > still+50*time.Millisecond {
				t.Errorf("a byte went and came back in %v, want a round trip more than %v", took, still)
			}
		}
	})
}

func TestPausesMayFollowEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := three(t)
		defer net.Close()
		for range 20 {
			net.Pause(1, true)
			time.Sleep(7 * time.Millisecond)
			net.Pause(1, false)
			net.Pause(1, false)
			send(t, net, 0, 1, 10_000)
		}
	})
}

func TestTheDeafAreHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := three(t)
		defer net.Close()
		net.Deafen(1, true)
		in0, _ := net.WireBytes(0)
		in1, _ := net.WireBytes(1)
		took := later(t, net, 1, 0)
		time.Sleep(time.Second)
		if in, _ := net.WireBytes(0); in == in0 {
			t.Error("nobody hears the deaf")
		}
		if in, _ := net.WireBytes(1); in != in1 {
			t.Error("the deaf hear")
		}
		net.Deafen(1, false)
		<-took
	})
}

func TestOneDirectionIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := three(t)
		defer net.Close()
		net.Mute(0, 1, true)
		in1, _ := net.WireBytes(1)
		took := later(t, net, 0, 1)
		time.Sleep(time.Second)
		if in, _ := net.WireBytes(1); in != in1 || len(took) > 0 {
			t.Error("packets arrive that should get lost")
		}
		if took := send(t, net, 0, 2, 1) + send(t, net, 2, 1, 1); took > 100*time.Millisecond {
			t.Errorf("other ways took %v", took)
		}
		net.Mute(0, 1, false)
		<-took
	})
}

func TestADividedNetworkHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := three(t)
		defer net.Close()
		net.Divide([]int{1}, []int{2})
		all := []<-chan time.Duration{later(t, net, 0, 1), later(t, net, 1, 2), later(t, net, 2, 0)}
		time.Sleep(time.Second)
		for i, c := range all {
			if len(c) > 0 {
				t.Errorf("pair %d hears of each other", i)
			}
		}
		net.Divide([]int{0, 2})
		if took := <-all[2]; took < time.Second || took > 5*time.Second {
			t.Errorf("a byte went over the healed network in %v", took)
		}
		if len(all[0]) > 0 {
			t.Error("who was left alone hears of others")
		}
		net.Divide()
		<-all[0]
		<-all[1]
	})
}

func TestDelaysHaveADirection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := three(t)
		defer net.Close()
		for _, c := range []struct{ up, down, want time.Duration }{
			{0, 0, 20 * time.Millisecond},
			{100 * time.Millisecond, 0, 120 * time.Millisecond},
			{100 * time.Millisecond, 50 * time.Millisecond, 170 * time.Millisecond},
		} {
			net.Delay(1, c.up, c.down)
			if got := send(t, net, 0, 1, 1); got < c.want || got > c.want+5*time.Millisecond {
				t.Errorf("there and back in %v with %v up and %v down, want %v", got, c.up, c.down, c.want)
			}
		}
		if got := send(t, net, 0, 2, 1); got > 25*time.Millisecond {
			t.Errorf("another host is late by it: %v", got)
		}
	})
}

func TestDisorderIsOfSomePackets(t *testing.T) {
	const size = 2_000_000
	synctest.Test(t, func(t *testing.T) {
		net := three(t)
		defer net.Close()
		transfer := func() (took time.Duration, arrived float64) {
			_, out := net.WireBytes(0)
			in, _ := net.WireBytes(1)
			took = send(t, net, 0, 1, size)
			time.Sleep(time.Second)
			_, outNow := net.WireBytes(0)
			inNow, _ := net.WireBytes(1)
			return took, float64(inNow-in) / float64(outNow-out)
		}
		if _, arrived := transfer(); arrived < 0.99 || arrived > 1.01 {
			t.Errorf("%.3f of the bytes arrived in an ordinary network", arrived)
		}
		net.Disturb(p2ptest.Disorder{Twice: 0.1, Seed: 1})
		if _, arrived := transfer(); arrived < 1.08 || arrived > 1.12 {
			t.Errorf("%.3f of the bytes arrived with a tenth of the packets twice", arrived)
		}
		net.Disturb(p2ptest.Disorder{Late: 0.1, By: 200 * time.Millisecond, Seed: 1})
		trips := 0
		for range 100 {
			if send(t, net, 0, 2, 1) > 25*time.Millisecond {
				trips++
			}
		}
		if trips < 10 || trips > 60 {
			t.Errorf("%d of 100 round trips were late with a tenth of the packets late", trips)
		}
		net.Disturb(p2ptest.Disorder{})
		if took := send(t, net, 0, 2, 1); took > 25*time.Millisecond {
			t.Errorf("a round trip takes %v without disorder", took)
		}
	})
}

// TestClocksAreWrong has a viewer whose clock is so wrong that it takes no header by gossip, as
// it knows none yet, and plays by what it fetches; and stays wrong when the viewer starts again.
func TestClocksAreWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 100_000}
		net := p2ptest.New(t, 10*time.Millisecond)
		net.AddNode(p2ptest.Link{})
		net.AddNode(p2ptest.Link{})
		net.Start()
		defer net.Close()
		net.SetClock(1, 48*time.Hour)
		for again := range 2 {
			if again == 1 {
				net.Kill(1)
				net.Restart(1, p2ptest.Link{}, false)
			}
			if off := time.Until(net.Clock(1)); off < 47*time.Hour {
				t.Errorf("the clock is off by %v", off)
			}
			viewer, err := net.Node(1).Join(net.Link(src.Key.ID(), 0))
			if err != nil {
				t.Fatal(err)
			}
			sent := src.Run(context.Background(), t, net.Node(0), 3, false)
			time.Sleep(2 * time.Second)
			st := viewer.Stats()
			if again == 0 && st.HeadersRefused["clock"] == 0 {
				t.Errorf("nothing was refused for its time: %v", st.HeadersRefused)
			}
			if missing := p2ptest.Missing(net.Node(1), src.Key.ID(), sent); len(missing) > 0 {
				t.Errorf("the viewer lacks %v", missing)
			}
		}
	})
}
