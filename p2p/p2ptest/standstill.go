package p2ptest

import (
	"errors"
	"net"
	"slices"
	"time"

	"github.com/marcopolo/simnet"
)

// maxHeld bounds the bytes of packets that wait for a host that stands still, and of those that
// wait to leave it: what a socket's buffer holds. What comes beyond gets lost.
const maxHeld = 2 << 20

// held are packets that wait for a host to go on, in order.
type held struct {
	packets []heldPacket
	bytes   int
}

type heldPacket struct {
	data []byte
	addr net.Addr // of the other end
	conn *conn    // by which to send it
}

// keep keeps a packet if there is room.
func (h *held) keep(p heldPacket) {
	if h.bytes+len(p.data) <= maxHeld {
		p.data = slices.Clone(p.data)
		h.packets = append(h.packets, p)
		h.bytes += len(p.data)
	}
}

// Pause has host i stand still, as a process that is stopped or a virtual machine that is
// moved, or has it go on. Meanwhile packets to it wait, as do those that it sends; then all come
// at once. Its goroutines run on, as a bubble has one clock, and nobody hears of what they do.
func (n *Network) Pause(i int, still bool) { n.machine(i).stand(still) }

func (m *machine) stand(still bool) {
	m.mu.Lock()
	m.still = still
	if still {
		m.mu.Unlock()
		return
	}
	out := m.out.packets
	m.out = held{}
	for _, c := range m.conns {
		// Reading waits for a packet, and there may come none.
		c.woken = true
		_ = c.SimConn.SetReadDeadline(time.Now()) // it never fails
	}
	m.mu.Unlock()
	for _, p := range out {
		_, _ = p.conn.send(p.data, p.addr) // it fails only once it is closed
	}
}

// holdIn keeps a packet that came, if the host stands still or has older ones to read.
func (m *machine) holdIn(b []byte, from net.Addr) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.still && len(m.in.packets) == 0 {
		return false
	}
	m.in.keep(heldPacket{data: b, addr: from})
	return true
}

// holdOut keeps a packet that shall be sent, if the host stands still.
func (m *machine) holdOut(c *conn, b []byte, to net.Addr) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.still {
		m.out.keep(heldPacket{b, to, c})
	}
	return m.still
}

// release returns the oldest packet that waited, once the host goes on.
func (m *machine) release(b []byte) (n int, from net.Addr, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.still || len(m.in.packets) == 0 {
		return 0, nil, false
	}
	p := m.in.packets[0]
	m.in.packets = m.in.packets[1:]
	m.in.bytes -= len(p.data)
	return copy(b, p.data), p.addr, true
}

// SetReadDeadline is quic-go's, which ends reading by it.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	return c.SimConn.SetReadDeadline(t)
}

// interrupted reports whether reading was ended so that what was held is read.
func (c *conn) interrupted(err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.woken || !errors.Is(err, simnet.ErrDeadlineExceeded) {
		return false
	}
	c.woken = false
	_ = c.SimConn.SetReadDeadline(c.deadline) // it never fails
	return true
}
