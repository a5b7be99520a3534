package hls

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Under pressure a connection is closed that has been so long without a request since
	// it came, or without taking what is written to it, or without a further request.
	newGrace   = time.Second
	stuckGrace = 3 * time.Second
	idleGrace  = 5 * time.Second // longer than a player waits between two reloads
	// fullRetry is how soon a full room looks again for who may be closed.
	fullRetry = 100 * time.Millisecond
)

// room is where the connections of a listener are. While there is room nobody is closed.
// Without, whoever has most connections loses one that is of no use at the moment, so that
// nobody gets in others' way by opening many. It is safe for concurrent use.
type room struct {
	total   int // connections at a time
	perAddr int // of one address other than this machine's, which many programs share
	counts  *roomCounts
	freed   chan struct{} // gets a value when one leaves

	mu    sync.Mutex // guards all following
	conns map[*limitedConn]struct{}
	from  map[netip.Addr]int
}

// roomCounts are since the server's start.
type roomCounts struct {
	now     atomic.Int64
	closed  atomic.Int64 // to make room
	refused atomic.Int64 // as one address had too many
}

func newRoom(total, perAddr int, counts *roomCounts) *room {
	return &room{
		total: total, perAddr: perAddr, counts: counts, freed: make(chan struct{}, 1),
		conns: make(map[*limitedConn]struct{}), from: make(map[netip.Addr]int),
	}
}

// admission is what became of a connection that wants to come in.
type admission int

const (
	entered admission = iota
	full              // it has to wait
	turned            // its address has too many
)

// enter lets a connection in if there is room, or if somebody can make room.
func (r *room) enter(c *limitedConn, now time.Time) admission {
	r.mu.Lock()
	var leaves *limitedConn
	switch {
	case !c.addr.IsLoopback() && r.from[c.addr] >= r.perAddr:
		if leaves = r.uselessLocked(c.addr, now); leaves == nil {
			r.mu.Unlock()
			r.counts.refused.Add(1)
			return turned
		}
	case len(r.conns) >= r.total:
		if leaves = r.uselessLocked(r.busiestLocked(), now); leaves == nil {
			leaves = r.uselessLocked(netip.Addr{}, now)
		}
		if leaves == nil {
			r.mu.Unlock()
			return full
		}
	}
	if leaves != nil {
		r.leaveLocked(leaves)
	}
	r.conns[c] = struct{}{}
	r.from[c.addr]++
	r.counts.now.Add(1)
	r.mu.Unlock()
	if leaves != nil {
		r.counts.closed.Add(1)
		_ = leaves.Close() // whoever serves it sees
	}
	return entered
}

// leave forgets a connection.
func (r *room) leave(c *limitedConn) {
	r.mu.Lock()
	r.leaveLocked(c)
	r.mu.Unlock()
	select {
	case r.freed <- struct{}{}:
	default: // somebody looks already
	}
}

func (r *room) leaveLocked(c *limitedConn) {
	if _, ok := r.conns[c]; !ok {
		return
	}
	delete(r.conns, c)
	if r.from[c.addr]--; r.from[c.addr] == 0 {
		delete(r.from, c.addr)
	}
	r.counts.now.Add(-1)
}

// busiestLocked returns the address with most connections.
func (r *room) busiestLocked() (busiest netip.Addr) {
	most := 0
	for addr, n := range r.from {
		if n > most {
			busiest, most = addr, n
		}
	}
	return busiest
}

// uselessLocked returns the connection of an address, or of any for the zero one, that can be
// closed with the least harm, and nil if there is none.
func (r *room) uselessLocked(addr netip.Addr, now time.Time) (worst *limitedConn) {
	var harm harm
	for c := range r.conns {
		if addr.IsValid() && c.addr != addr {
			continue
		}
		if h := c.harm(now); h.useless() && (worst == nil || h.less(harm)) {
			worst, harm = c, h
		}
	}
	return worst
}

// use is what a connection is doing.
type use int

const (
	stuck  use = iota // its client does not take what is written
	silent            // it has not made a request yet
	idle              // it has made one, and may make another
	busy              // it is being answered, or is too young to judge
)

// harm orders connections by what closing them would do.
type harm struct {
	use   use
	since time.Time // of equal uses, the longest is closed first
}

func (h harm) useless() bool { return h.use != busy }

func (h harm) less(other harm) bool {
	if h.use != other.use {
		return h.use < other.use
	}
	return h.since.Before(other.since)
}

// harm says what a connection is doing.
func (c *limitedConn) harm(now time.Time) harm {
	since := time.Unix(0, c.since.Load())
	writing := c.writing.Load()
	state := http.ConnState(c.state.Load())
	switch begun := time.Unix(0, writing); {
	case writing != 0 && now.Sub(begun) >= stuckGrace:
		return harm{stuck, begun}
	case state == http.StateNew && now.Sub(since) >= newGrace:
		return harm{silent, since}
	case state == http.StateIdle && now.Sub(since) >= idleGrace:
		return harm{idle, since}
	}
	return harm{busy, since}
}

// note notes what net/http says of a connection.
func (c *limitedConn) note(state http.ConnState, now time.Time) {
	c.since.Store(now.UnixNano())
	c.state.Store(int64(state))
}

// connState is http.Server's hook.
func connState(c net.Conn, state http.ConnState) {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok { // of TLS
		c = t.NetConn()
	}
	if c, ok := c.(*limitedConn); ok {
		c.note(state, time.Now())
	}
}

// subscriber returns the address by which connections are told apart: of IPv6 the network
// that one subscriber has.
func subscriber(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if addr.Is6() && !addr.IsLoopback() {
		if p, err := addr.Prefix(64); err == nil {
			addr = p.Addr()
		}
	}
	return addr
}
