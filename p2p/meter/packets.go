package meter

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"
)

// What IP and UDP add to a packet, without options.
const (
	udpHeaders4 = 20 + 8
	udpHeaders6 = 40 + 8
)

// packetConn is a UDP socket whose packets are counted. It has all that quic-go asks a socket
// for: several packets in one call, the congestion bits of IP, and packets' source addresses.
type packetConn struct {
	*net.UDPConn
	meter *Meter
	batch *ipv4.PacketConn
	once  sync.Once
	done  chan struct{} // closed by Close

	queue atomic.Int64 // how many bytes the system was told may wait to be read, 0 for its own
}

// ListenUDP listens as [net.ListenUDP] does. All packets are counted, and those dropped that may
// not pass.
func (m *Meter) ListenUDP(network string, addr *net.UDPAddr) (net.PacketConn, error) {
	c, err := net.ListenUDP(network, addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %v: %w", addr, err)
	}
	return &packetConn{UDPConn: c, meter: m, batch: ipv4.NewPacketConn(c), done: make(chan struct{})}, nil
}

// headers returns what IP and UDP add to a packet to or from addr.
func headers(addr net.Addr) int {
	if a, ok := addr.(*net.UDPAddr); ok && a.IP.To4() == nil {
		return udpHeaders6
	}
	return udpHeaders4
}

// turn waits until n bytes to addr in so many packets may be sent, and reports false if they are
// to be dropped.
func (c *packetConn) turn(n, packets int, addr net.Addr) (bool, error) {
	wait, ok := c.meter.packet(n+packets*headers(addr), time.Now())
	if !ok {
		return false, nil
	}
	if !pause(wait, c.done) {
		return false, net.ErrClosed
	}
	return true, nil
}

// WriteTo implements net.PacketConn.
func (c *packetConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	if ok, err := c.turn(len(b), 1, addr); !ok {
		return len(b), err
	}
	return c.UDPConn.WriteTo(b, addr)
}

// WriteMsgUDP implements quic.OOBCapablePacketConn. Where the system cuts b into packets, oob
// says so.
func (c *packetConn) WriteMsgUDP(b, oob []byte, addr *net.UDPAddr) (n, oobn int, err error) {
	packets := 1
	if size := segmentSize(oob); size > 0 {
		packets = (len(b) + size - 1) / size
	}
	if ok, err := c.turn(len(b), packets, addr); !ok {
		return len(b), len(oob), err
	}
	return c.UDPConn.WriteMsgUDP(b, oob, addr)
}

// small has the system drop what would wait too long to be read, so that senders slow down.
// Reads call it: quic-go asks for more before the first, and the bound may change.
func (c *packetConn) small() {
	size := c.meter.queue.Load()
	if c.queue.Swap(size) == size {
		return
	}
	if size == 0 {
		size = usualQueue
	}
	_ = c.UDPConn.SetReadBuffer(int(size)) // or senders learn of it later
}

// read counts n bytes that were read from addr, and reports whether they may be taken. It waits
// when more was read than the bound has room for.
func (c *packetConn) read(n int, addr net.Addr) bool {
	wait, ok := c.meter.arrived(n+headers(addr), time.Now())
	pause(wait, c.done)
	return ok
}

// ReadFrom implements net.PacketConn.
func (c *packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	c.small()
	for {
		n, addr, err := c.UDPConn.ReadFrom(b)
		if err != nil || c.read(n, addr) {
			return n, addr, err
		}
	}
}

// ReadMsgUDP implements quic.OOBCapablePacketConn.
func (c *packetConn) ReadMsgUDP(b, oob []byte) (n, oobn, flags int, addr *net.UDPAddr, err error) {
	c.small()
	for {
		n, oobn, flags, addr, err = c.UDPConn.ReadMsgUDP(b, oob)
		if err != nil || c.read(n, addr) {
			return n, oobn, flags, addr, err
		}
	}
}

// ReadBatch reads several packets, as quic-go does where the system can. What is dropped is
// empty then, which is no QUIC packet: the others keep their places.
func (c *packetConn) ReadBatch(ms []ipv4.Message, flags int) (int, error) {
	c.small()
	n, err := c.batch.ReadBatch(ms, flags)
	if err != nil {
		return n, err
	}
	now, longest := time.Now(), time.Duration(0)
	for i := range ms[:n] {
		wait, ok := c.meter.arrived(ms[i].N+headers(ms[i].Addr), now)
		if !ok {
			ms[i].N = 0
		}
		longest = max(longest, wait)
	}
	pause(longest, c.done)
	return n, nil
}

// Close implements net.PacketConn. What waits for its turn is dropped.
func (c *packetConn) Close() error {
	c.once.Do(func() { close(c.done) })
	return c.UDPConn.Close()
}
