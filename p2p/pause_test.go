package p2p_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
)

// onLoopback starts a node on real sockets.
func onLoopback(t *testing.T, cfg p2p.Config) *p2p.Node {
	t.Helper()
	if cfg.Listen == nil {
		cfg.Listen = []string{"/ip4/127.0.0.1/udp/0/quic-v1"}
	}
	n, err := p2p.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// TestPauseLeavesAndComesBack has a relay leave a broadcaster, by QUIC and by TCP.
func TestPauseLeavesAndComesBack(t *testing.T) {
	for _, transport := range []string{"udp/0/quic-v1", "tcp/0"} {
		key := stream.NewKey()
		cast := onLoopback(t, p2p.Config{Listen: []string{"/ip4/127.0.0.1/" + transport}})
		b, err := cast.Broadcast(key, "main", 1)
		if err != nil {
			t.Fatal(err)
		}
		relay := onLoopback(t, p2p.Config{Listen: []string{"/ip4/127.0.0.1/" + transport}, Paused: true})
		if _, err := relay.Join(b.Swarm().Link()); err != nil {
			t.Fatal(err)
		}
		connected := func() bool { return cast.Stats().Connections == 1 && relay.Stats().Connections == 1 }
		if st := relay.Stats(); !st.Paused || st.Connections != 0 || st.WireOut != 0 {
			t.Fatalf("%s: begins with %+v", transport, st)
		}
		relay.Resume()
		eventually(t, transport+": connected", connected)
		for range 3 {
			relay.Pause()
			before := relay.Stats()
			if before.Connections != 0 || !before.Paused {
				t.Fatalf("%s: after Pause %+v", transport, before)
			}
			eventually(t, transport+": the other side knows", func() bool { return cast.Stats().Connections == 0 })
			// Whoever knocks is let in by nobody.
			other := onLoopback(t, p2p.Config{Listen: []string{"/ip4/127.0.0.1/" + transport}})
			knocking, err := other.Join(stream.Link{Stream: key.ID(), Peers: relay.Addrs()})
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, transport+": refused", func() bool {
				return knocking.Stats().LastDialError != "" || relay.Stats().WireInDropped > before.WireInDropped
			})
			if after := relay.Stats(); after.Connections != 0 || transport != "tcp/0" && after.WireOut != before.WireOut {
				t.Fatalf("%s: %d bytes sent by a node that is paused: %+v", transport, after.WireOut-before.WireOut, after)
			}
			if err := other.Close(); err != nil {
				t.Error(err)
			}
			relay.Resume()
			eventually(t, transport+": connected again", connected)
		}
	}
}

// TestMaxPeers has more come than there may be.
func TestMaxPeers(t *testing.T) {
	const most = 4
	key := stream.NewKey()
	relay := onLoopback(t, p2p.Config{MaxPeers: most})
	swarm, err := relay.Join(stream.Link{Stream: key.ID()})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 * most {
		n := onLoopback(t, p2p.Config{})
		if _, err := n.Join(swarm.Link()); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "some are refused", func() bool { return relay.Stats().PeersRefused > 0 })
	eventually(t, "no more than there may be", func() bool { return relay.Stats().Connections <= most })
	if st := relay.Stats(); st.Connections == 0 || st.Connections > most {
		t.Errorf("%d peers of %d", st.Connections, most)
	}
}

func TestOnlyWhatIsAllowedIsJoined(t *testing.T) {
	good, bad := stream.NewKey().ID(), stream.NewKey().ID()
	n := onLoopback(t, p2p.Config{Allowed: func(id stream.ID) bool { return id == good }})
	if _, err := n.Join(stream.Link{Stream: good}); err != nil {
		t.Error(err)
	}
	if _, err := n.Join(stream.Link{Stream: bad}); !errors.Is(err, p2p.ErrNotAllowed) {
		t.Errorf("joined: %v", err)
	}
}

// TestWireIsMoreThanPayload compares what is counted at the sockets with what was to be carried.
func TestWireIsMoreThanPayload(t *testing.T) {
	const payload = 1 << 20
	key := stream.NewKey()
	cast := onLoopback(t, p2p.Config{})
	b, err := cast.Broadcast(key, "main", 1)
	if err != nil {
		t.Fatal(err)
	}
	viewer := onLoopback(t, p2p.Config{})
	swarm, err := viewer.Join(b.Swarm().Link())
	if err != nil {
		t.Fatal(err)
	}
	part := stream.Part{StartsSegment: true, EndsSegment: true, Data: make([]byte, payload), Duration: 500 * time.Millisecond, Independent: true, ProgramTime: time.Now()}
	if err := b.Publish(t.Context(), part); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the part arrives", func() bool { return swarm.Stats().BytesReceived >= payload })
	in, out := viewer.Stats().WireIn, cast.Stats().WireOut // in this order: packets may be on their way
	if in < payload || in > out || out > payload*5/4 {
		t.Errorf("%d bytes of payload are sent as %d, and received as %d", payload, out, in)
	}
}

func TestPausedNodeAsksNoOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, net, origin := broadcasterAndViewer(t)
		defer net.Close()
		done := make(chan map[stream.Position][]byte)
		go func() { done <- src.Run(context.Background(), t, net.Node(0), 15, false) }()
		time.Sleep(2 * time.Second)
		swarm, err := net.Node(1).Join(signed(t, src.Key, net))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		net.Node(1).Pause()
		time.Sleep(time.Second) // what is under way ends
		_, before := origin.Served()
		time.Sleep(4 * time.Second)
		if _, after := origin.Served(); before == 0 || after != before {
			t.Errorf("%d requests before, %d after", before, after)
		}
		net.Node(1).Resume()
		got := swarm.Stats().OriginBytes
		time.Sleep(4 * time.Second)
		if swarm.Stats().OriginBytes == got {
			t.Error("nothing came after it resumed")
		}
		<-done
	})
}
