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

func TestAllConnectionsAreGivenUpWhenNothingComes(t *testing.T) {
	a, b := network.Conn(&struct{ network.Conn }{}), network.Conn(&struct{ network.Conn }{})
	now := time.Unix(1e9, 0)
	all := map[network.Conn]schedule.PacketCount{a: {Sent: 100, Received: 100}, b: {Sent: 100, Received: 100}}
	var p probes
	p.due(all, true, now)
	after := func(received uint64, steps int, every time.Duration) (seconds int) {
		for i := range steps {
			now = now.Add(every)
			all[b] = schedule.PacketCount{Sent: 100, Received: all[b].Received + received}
			p.due(all, true, now)
			if p.vain(now) {
				return i + 1
			}
		}
		return 0
	}
	if n := after(0, 10, silenceEvery); n != int(deafAfter/silenceEvery) {
		t.Errorf("connections by which nothing comes are given up after %d s, want %v", n, deafAfter)
	}
	if n := after(1, 10, silenceEvery); n != 0 {
		t.Errorf("all connections are given up after %d s, though something comes by one", n)
	}
	if n := after(0, 5, time.Minute); n != 0 {
		t.Error("connections are given up because this machine slept")
	}
}
