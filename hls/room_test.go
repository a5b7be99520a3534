package hls

import (
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"
)

// aConn is a connection of an address, which nobody serves.
func aConn(t *testing.T, r *room, addr string) *limitedConn {
	t.Helper()
	here, there := net.Pipe()
	t.Cleanup(func() { here.Close(); there.Close() })
	return &limitedConn{Conn: here, room: r, addr: subscriber(netip.MustParseAddr(addr))}
}

// TestFullRoom tries who has to leave a room of three for a fourth.
func TestFullRoom(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	type guest struct {
		addr    string
		state   http.ConnState
		since   time.Time
		writing time.Time
	}
	busy := guest{"127.0.0.1", http.StateActive, ago(time.Hour), time.Time{}}
	for _, test := range []struct {
		name   string
		guests [3]guest
		comes  string
		want   admission
		leaves int // the guest's index; -1 for nobody
	}{
		{"all are answered", [3]guest{busy, busy, busy}, "127.0.0.1", full, -1},
		{"the one that says nothing", [3]guest{busy, {"127.0.0.1", http.StateNew, ago(2 * newGrace), time.Time{}}, busy}, "127.0.0.1", entered, 1},
		{"not yet", [3]guest{busy, {"127.0.0.1", http.StateNew, ago(newGrace / 2), time.Time{}}, busy}, "127.0.0.1", full, -1},
		{"the one that takes nothing before that", [3]guest{{"127.0.0.1", http.StateNew, ago(time.Hour), time.Time{}}, busy, {"127.0.0.1", http.StateActive, ago(time.Hour), ago(stuckGrace)}}, "127.0.0.1", entered, 2},
		{"one that takes something", [3]guest{busy, busy, {"127.0.0.1", http.StateActive, ago(time.Hour), ago(stuckGrace / 2)}}, "127.0.0.1", full, -1},
		{"the one that asks no more", [3]guest{busy, busy, {"127.0.0.1", http.StateIdle, ago(idleGrace), time.Time{}}}, "127.0.0.1", entered, 2},
		{"one between two requests", [3]guest{busy, busy, {"127.0.0.1", http.StateIdle, ago(2 * time.Second), time.Time{}}}, "127.0.0.1", full, -1},
		{"of two the older", [3]guest{busy, {"127.0.0.1", http.StateNew, ago(3 * newGrace), time.Time{}}, {"127.0.0.1", http.StateNew, ago(4 * newGrace), time.Time{}}}, "127.0.0.1", entered, 2},
		{"who has most, whatever others do", [3]guest{{"192.168.1.5", http.StateNew, ago(time.Hour), time.Time{}}, {"127.0.0.1", http.StateIdle, ago(idleGrace), time.Time{}}, busy}, "127.0.0.1", entered, 1},
		{"another if that one has nobody", [3]guest{{"192.168.1.5", http.StateNew, ago(time.Hour), time.Time{}}, busy, busy}, "127.0.0.1", entered, 0},
		{"an address with too many", [3]guest{{"192.168.1.5", http.StateActive, ago(time.Hour), time.Time{}}, {"192.168.1.5", http.StateActive, ago(time.Hour), time.Time{}}, busy}, "192.168.1.5", turned, -1},
		{"its own, although others say nothing", [3]guest{{"192.168.1.5", http.StateActive, ago(time.Hour), time.Time{}}, {"192.168.1.5", http.StateIdle, ago(time.Hour), time.Time{}}, {"127.0.0.1", http.StateNew, ago(time.Hour), time.Time{}}}, "192.168.1.5", entered, 1},
		{"one network of IPv6 is one", [3]guest{{"2001:db8::1", http.StateActive, ago(time.Hour), time.Time{}}, {"2001:db8::2", http.StateActive, ago(time.Hour), time.Time{}}, busy}, "2001:db8::3", turned, -1},
	} {
		counts := &roomCounts{}
		r := newRoom(3, 2, counts)
		var guests []*limitedConn
		for _, g := range test.guests {
			c := aConn(t, r, g.addr)
			c.note(http.StateActive, now)
			if r.enter(c, now) != entered {
				t.Fatalf("%s: no room for the guests", test.name)
			}
			c.note(g.state, g.since)
			if !g.writing.IsZero() {
				c.writing.Store(g.writing.UnixNano())
			}
			guests = append(guests, c)
		}
		if got := r.enter(aConn(t, r, test.comes), now); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
		for i, g := range guests {
			_, here := r.conns[g]
			if here == (i == test.leaves) {
				t.Errorf("%s: guest %d is here: %v", test.name, i, here)
			}
			if err := g.Conn.SetDeadline(now); (err != nil) != (i == test.leaves) {
				t.Errorf("%s: guest %d: %v", test.name, i, err)
			}
		}
		closed, refused := int64(0), int64(0)
		if test.leaves >= 0 {
			closed = 1
		}
		if test.want == turned {
			refused = 1
		}
		if counts.now.Load() != 3 || counts.closed.Load() != closed || counts.refused.Load() != refused {
			t.Errorf("%s: counted %d, %d closed, %d refused", test.name, counts.now.Load(), counts.closed.Load(), counts.refused.Load())
		}
	}
}
