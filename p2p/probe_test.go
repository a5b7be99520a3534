package p2p

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/grapevine-live/grapevine/p2p/schedule"
)

func TestUnansweredConnectionsAreProbed(t *testing.T) {
	var p probes
	conn := network.Conn(&struct{ network.Conn }{})
	now := time.Unix(1e9, 0)
	starved := false
	probedIn := func(seconds int, sent, received uint64) (n int) {
		count := schedule.PacketCount{Sent: 100, Received: 100}
		if last := p.conns[conn]; last != nil {
			count = schedule.PacketCount{Sent: last.sent, Received: last.received}
		}
		for range seconds {
			now = now.Add(silenceEvery)
			count.Sent += sent
			count.Received += received
			n += len(p.due(map[network.Conn]schedule.PacketCount{conn: count}, starved, now))
		}
		return n
	}
	if n := probedIn(10, 5, 5); n > 0 {
		t.Errorf("a connection that is answered is probed %d times", n)
	}
	if n := probedIn(10, 0, 0); n > 0 {
		t.Errorf("a connection that rests is probed %d times", n)
	}
	if n := probedIn(10, 2, 0); n != 9 {
		t.Errorf("a connection of which nothing is answered for 10 s is probed %d times, want from 2 s on", n)
	}
	if n := probedIn(1, 0, 1); n > 0 {
		t.Error("one that is answered again is probed")
	}
	starved = true
	if n := probedIn(10, 0, 0); n != 9 {
		t.Errorf("a connection by which nothing comes is probed %d times within 10 s by who is starved, want from 2 s on", n)
	}
	if n := probedIn(10, 0, 1); n > 0 {
		t.Errorf("a connection by which something comes is probed %d times by who is starved", n)
	}
	starved = false
	if n := probedIn(1000, 1, 0); n != maxProbes {
		t.Errorf("a connection is probed %d times in a row, want %d at most", n, maxProbes)
	}
}
