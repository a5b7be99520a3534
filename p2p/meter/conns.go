package meter

import (
	"net"
	"sync"
	"time"

	manet "github.com/multiformats/go-multiaddr/net"
)

// What TCP makes of bytes, as far as it is estimated: packets of Ethernet's usual size with
// timestamps, an acknowledgement for every second one, and three packets each way to begin and
// end a connection.
const (
	tcpHeaders4 = 20 + 32
	tcpHeaders6 = 40 + 32
	tcpPacket   = 1500
	ackEvery    = 2
	handshake   = 3
	// tcpPiece is how much of a large write takes its turn at a time.
	tcpPiece = 16 << 10
)

// conn is a TCP connection whose bytes are counted.
type conn struct {
	manet.Conn
	meter   *Meter
	headers int // of a packet
	once    sync.Once
	done    chan struct{} // closed by Close
}

// newConn returns c with its bytes counted.
func (m *Meter) newConn(c manet.Conn) *conn {
	out := &conn{Conn: c, meter: m, headers: tcpHeaders4, done: make(chan struct{})}
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok && a.IP.To4() == nil {
		out.headers = tcpHeaders6
	}
	now := time.Now()
	m.sent(handshake*out.headers, now)
	m.received(handshake*out.headers, now)
	return out
}

// packets returns in how many packets n bytes travel.
func (c *conn) packets(n int) int {
	size := tcpPacket - c.headers
	return (n + size - 1) / size
}

// Write implements net.Conn. It waits for its turn.
func (c *conn) Write(b []byte) (written int, err error) {
	for len(b) > 0 {
		piece := b[:min(len(b), tcpPiece)]
		packets := c.packets(len(piece))
		wait, ok := c.meter.bytes(len(piece)+packets*c.headers, time.Now())
		if !ok {
			return written, ErrShut
		}
		if !pause(wait, c.done) {
			return written, net.ErrClosed
		}
		n, err := c.Conn.Write(piece)
		written += n
		if err != nil {
			return written, err
		}
		c.meter.received((packets+ackEvery-1)/ackEvery*c.headers, time.Now())
		b = b[n:]
	}
	return written, nil
}

// Read implements net.Conn. It reads no faster than may be received, so that the system has the
// other side slow down.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n <= 0 {
		return n, err
	}
	now, packets := time.Now(), c.packets(n)
	c.meter.sent((packets+ackEvery-1)/ackEvery*c.headers, now)
	wait, ok := c.meter.arrived(n+packets*c.headers, now)
	if !ok {
		return 0, ErrShut
	}
	if !pause(wait, c.done) {
		return 0, net.ErrClosed
	}
	return n, err
}

// Close implements net.Conn. What waits for its turn is dropped.
func (c *conn) Close() error {
	c.once.Do(func() { close(c.done) })
	return c.Conn.Close()
}
