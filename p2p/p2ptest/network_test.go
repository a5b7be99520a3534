package p2ptest_test

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

const echo = "/echo"

// send sends n bytes from host i to host j and back, and returns how long it took.
func send(t *testing.T, net *p2ptest.Network, i, j, n int) time.Duration {
	t.Helper()
	net.Host(j).SetStreamHandler(echo, func(s network.Stream) {
		_, _ = io.Copy(s, s)
		_ = s.Close()
	})
	s, err := net.Host(i).NewStream(t.Context(), net.Host(j).ID(), echo)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	start := time.Now()
	go func() {
		_, _ = s.Write(make([]byte, n))
		_ = s.CloseWrite()
	}()
	if got, err := io.Copy(io.Discard, s); err != nil || int(got) != n {
		t.Fatalf("%d of %d bytes came back: %v", got, n, err)
	}
	return time.Since(start)
}

func TestPacketsTakeTheMeanOfBothLatencies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := p2ptest.New(t, 10*time.Millisecond)
		net.AddHost(p2ptest.Link{})
		net.AddHost(p2ptest.Link{Latency: 70 * time.Millisecond})
		net.AddHost(p2ptest.Link{})
		net.Start()
		defer net.Close()
		for _, c := range []struct {
			to   int
			want time.Duration
		}{{1, 80 * time.Millisecond}, {2, 20 * time.Millisecond}} {
			net.Connect(0, c.to)
			send(t, net, 0, c.to, 1) // negotiates the protocol
			if got := send(t, net, 0, c.to, 1); got < c.want || got > c.want+5*time.Millisecond {
				t.Errorf("to host %d and back in %v, want %v", c.to, got, c.want)
			}
		}
	})
}

func TestLostPacketsAreRepeated(t *testing.T) {
	const size = 2_000_000
	synctest.Test(t, func(t *testing.T) {
		net := p2ptest.New(t, 10*time.Millisecond)
		net.AddHost(p2ptest.Link{})
		net.AddHost(p2ptest.Link{})
		net.Start()
		defer net.Close()
		net.Connect(0, 1)
		send(t, net, 0, 1, size)
		_, before := net.WireBytes(0)
		if perByte := float64(before) / size; perByte < 1.02 || perByte > 1.08 {
			t.Errorf("%.3f bytes in packets for each byte, want about 1.05", perByte)
		}
		net.Lose(0.1, 1)
		send(t, net, 0, 1, size)
		_, after := net.WireBytes(0)
		in, _ := net.WireBytes(1)
		if repeated := float64(after-before)/float64(before) - 1; repeated < 0.05 || repeated > 0.3 {
			t.Errorf("%.0f%% more was sent with 10%% of the packets lost", 100*repeated)
		}
		if lost := 1 - float64(in)/float64(after); lost < 0.03 || lost > 0.08 {
			t.Errorf("%.0f%% of all bytes were lost, want half of 10%%", 100*lost)
		}
	})
}

func TestTheKilledSayNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := p2ptest.New(t, 10*time.Millisecond)
		for range 3 {
			net.AddNode(p2ptest.Link{})
		}
		net.Start()
		defer net.Close()
		net.Connect(0, 1)
		net.Connect(0, 2)
		net.Stop(1)
		net.Kill(2)
		time.Sleep(time.Second)
		if c := net.Host(0).Network().Connectedness(net.Host(1).ID()); c == network.Connected {
			t.Error("host 0 did not hear that host 1 stopped")
		}
		if c := net.Host(0).Network().Connectedness(net.Host(2).ID()); c != network.Connected {
			t.Error("host 0 heard that host 2 died")
		}
	})
}

func TestNodesComeWhileTheNetworkRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 500_000}
		net := p2ptest.New(t, 10*time.Millisecond)
		net.AddNode(p2ptest.Link{})
		net.Start()
		defer net.Close()
		go func() {
			time.Sleep(3 * time.Second)
			if _, err := net.AddNode(p2ptest.Link{}).Join(net.Link(src.Key.ID(), 0)); err != nil {
				t.Error(err)
			}
		}()
		sent := src.Run(context.Background(), t, net.Node(0), 4, false)
		time.Sleep(2 * time.Second)
		if missing := p2ptest.Missing(net.Node(1), src.Key.ID(), sent); len(missing) > 0 {
			t.Errorf("the late one lacks %v", missing)
		}
	})
}
