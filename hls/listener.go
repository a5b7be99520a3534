package hls

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// limitListener accepts what a room lets in; further connections wait in the system's queue.
func limitListener(l net.Listener, r *room) net.Listener {
	return &limitedListener{Listener: l, room: r, closed: make(chan struct{})}
}

type limitedListener struct {
	net.Listener
	room   *room
	once   sync.Once
	closed chan struct{}
}

func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := newLimitedConn(conn, l.room)
		if l.admit(c) {
			return c, nil
		}
		_ = conn.Close()
	}
}

// admit waits until there is room for a connection. It reports false if there will be none.
func (l *limitedListener) admit(c *limitedConn) bool {
	for {
		now := time.Now()
		c.note(http.StateNew, now)
		switch l.room.enter(c, now) {
		case entered:
			return true
		case turned:
			return false
		}
		retry := time.NewTimer(fullRetry)
		select {
		case <-l.room.freed:
		case <-retry.C: // somebody may be of no use by now
		case <-l.closed:
			retry.Stop()
			return false
		}
		retry.Stop()
	}
}

func (l *limitedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	room *room
	addr netip.Addr

	state   atomic.Int64 // http.ConnState
	since   atomic.Int64 // when that began, in nanoseconds since 1970
	writing atomic.Int64 // when the write under way began, likewise; 0 for none
	once    sync.Once
}

func newLimitedConn(conn net.Conn, r *room) *limitedConn {
	from, _ := netip.ParseAddrPort(conn.RemoteAddr().String()) // those without are one
	return &limitedConn{Conn: conn, room: r, addr: subscriber(from.Addr())}
}

func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { c.room.leave(c) })
	return err
}

func (c *limitedConn) Write(p []byte) (int, error) {
	c.writing.Store(time.Now().UnixNano())
	defer c.writing.Store(0)
	return c.Conn.Write(p)
}

// ReadFrom implements [io.ReaderFrom], by which net/http hands over what is left of an
// answer. A segment goes to the system as it lies in memory, without being copied
// together.
func (c *limitedConn) ReadFrom(r io.Reader) (int64, error) {
	if l, ok := r.(*io.LimitedReader); ok {
		if b, ok := l.R.(*bodyReader); ok {
			c.writing.Store(time.Now().UnixNano())
			defer c.writing.Store(0)
			n, err := b.writeTo(c.Conn, l.N)
			l.N -= n
			return n, err
		}
	}
	return io.Copy(struct{ io.Writer }{c}, r)
}
