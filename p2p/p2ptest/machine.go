package p2ptest

import (
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/marcopolo/simnet"
	"github.com/quic-go/quic-go"

	"github.com/grapevine-live/grapevine/p2p"
)

// packetHeaders are the bytes that UDP and IPv4 put before each packet.
const packetHeaders = 8 + 20

// machine is a host with all that belongs to it.
type machine struct {
	net     *Network
	index   int
	latency time.Duration
	key     crypto.PrivKey
	host    host.Host
	quic    *quicreuse.ConnManager
	streams meter // bytes in libp2p's streams
	wire    struct{ in, out atomic.Int64 }
	guard   *p2p.Guard // of a node's host
	hostile bool
	cut     atomic.Bool
	faults  *faults // of the place where the host is, whichever host that is
	closing sync.Once
	onClose func()    // what runs on the host and is no node; may be nil
	node    *p2p.Node // guarded by Network.mu

	mu       sync.Mutex // guards all following
	loss     float64
	rand     *rand.Rand
	disorder Disorder
	chance   *rand.Rand // of disorder
	still    bool
	in, out  held
	conns    []*conn
}

// address is where a host listens; at is its inverse.
func address(index int) net.IP { return simnet.IntToPublicIPv4(index) }

// at returns the machine at an address, or nil.
func (n *Network) at(a net.Addr) *machine {
	udp, ok := a.(*net.UDPAddr)
	if !ok {
		return nil
	}
	ip := udp.IP.To4()
	if ip == nil {
		return nil
	}
	i := int(ip[1])<<16 | int(ip[2])<<8 | int(ip[3]) - 1
	n.mu.RLock()
	defer n.mu.RUnlock()
	if i < 0 || i >= len(n.machines) {
		return nil
	}
	return n.machines[i]
}

// lose sets the share of the packets to this machine that get lost.
func (m *machine) lose(share float64, seed int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.loss, m.rand = share, rand.New(rand.NewSource(seed<<20+int64(m.index)))
}

// loses decides whether a packet to this machine gets lost.
func (m *machine) loses(from net.Addr) bool {
	if m.cut.Load() {
		return true
	}
	if sender := m.net.at(from); sender != nil && (sender.cut.Load() || !m.faults.hears(sender)) {
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.loss > 0 && m.rand.Float64() < m.loss
}

// start makes the host, guarded as a node's is or with no bounds at all.
func (m *machine) start(l Link, guarded bool) (err error) {
	ip := address(m.index)
	if m.key == nil {
		if m.key, _, err = crypto.GenerateEd25519Key(crand.Reader); err != nil {
			return err
		}
	}
	limits, accept := libp2p.ResourceManager(&network.NullResourceManager{}), quicreuse.Option(func(*quicreuse.ConnManager) error { return nil })
	if guarded {
		if m.guard, err = p2p.NewGuard(false); err != nil {
			return err
		}
		limits, accept = m.guard.Option(), m.guard.QUIC()
	}
	m.host, err = libp2p.New(
		libp2p.Identity(m.key),
		limits,
		libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/%s/udp/8000/quic-v1", ip)),
		libp2p.QUICReuse(func(reset quic.StatelessResetKey, token quic.TokenGeneratorKey) (*quicreuse.ConnManager, error) {
			var err error
			m.quic, err = m.newQUIC(l, reset, token, accept)
			return m.quic, err
		}),
		p2p.UDPWorks(),
		libp2p.DisableIdentifyAddressDiscovery(), // it never rests, so virtual time would not advance
		libp2p.BandwidthReporter(&m.streams),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
	)
	return err
}

// newQUIC makes the machine's end of the network.
func (m *machine) newQUIC(l Link, reset quic.StatelessResetKey, token quic.TokenGeneratorKey, opts ...quicreuse.Option) (*quicreuse.ConnManager, error) {
	ip := address(m.index)
	return quicreuse.NewConnManager(reset, token, append(opts,
		quicreuse.OverrideSourceIPSelector(func() (quicreuse.SourceIPSelector, error) { return source(ip), nil }),
		quicreuse.OverrideListenUDP(func(_ string, a *net.UDPAddr) (net.PacketConn, error) {
			if a.IP.IsUnspecified() { // it only dials
				a = &net.UDPAddr{IP: ip, Port: 8000}
			}
			m.net.endpoints.Lock() // the simulator does not
			defer m.net.endpoints.Unlock()
			c := &conn{machine: m, SimConn: m.net.sim.NewEndpoint(a, simnet.NodeBiDiLinkSettings{
				Downlink: simnet.LinkSettings{BitsPerSecond: l.Down},
				Uplink:   simnet.LinkSettings{BitsPerSecond: l.Up},
			})}
			m.mu.Lock()
			m.conns = append(m.conns, c)
			m.mu.Unlock()
			return c, nil
		}))...)
}

// alias makes another host of the machine, with an identity of its own, at the same address.
func (m *machine) alias() (host.Host, error) {
	return libp2p.New(
		libp2p.NoListenAddrs,
		libp2p.QUICReuse(func() (*quicreuse.ConnManager, error) { return m.quic, nil }),
		libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
	)
}

// close closes the host, the first time that it is called.
func (m *machine) close() (err error) {
	m.closing.Do(func() {
		if m.onClose != nil {
			m.onClose()
		}
		if err = m.host.Close(); err == nil {
			err = m.quic.Close() // the host leaves that to whoever made it
		}
	})
	return err
}

// source is the only address of a host.
type source net.IP

func (s source) PreferredSourceIPForDestination(*net.UDPAddr) (net.IP, error) { return net.IP(s), nil }

// conn is a machine's end of the network. The simulator has no faults, so they happen here.
type conn struct {
	*machine
	*simnet.SimConn
	asked    int       // times for the socket
	deadline time.Time // that quic-go set for reading; guarded by machine.mu
	woken    bool      // likewise: reading was interrupted to look at what was held
}

var _ net.PacketConn = (*conn)(nil)

func (c *conn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		if n, from, ok := c.release(b); ok {
			c.wire.in.Add(int64(n + packetHeaders))
			return n, from, nil
		}
		n, from, err := c.SimConn.ReadFrom(b)
		if err != nil && c.interrupted(err) || err == nil && (c.loses(from) || c.holdIn(b[:n], from)) {
			continue
		}
		if err == nil {
			c.wire.in.Add(int64(n + packetHeaders))
		}
		return n, from, err
	}
}

func (c *conn) WriteTo(b []byte, to net.Addr) (int, error) {
	if c.holdOut(c, b, to) {
		return len(b), nil
	}
	return c.send(b, to)
}

// send hands a packet to the network, which may deliver it twice.
func (c *conn) send(b []byte, to net.Addr) (int, error) {
	c.wire.out.Add(int64(len(b) + packetHeaders))
	if c.twice() {
		if _, err := c.SimConn.WriteTo(b, to); err != nil {
			return 0, err
		}
	}
	return c.SimConn.WriteTo(b, to)
}

// SyscallConn lets quic-go send packets as large as the way allows, as on a real socket.
// It asks for the socket to set its buffers, which are not simulated, first the one for
// receiving, then the one for sending, and then to forbid that packets are cut up, without
// which it would keep to the smallest size.
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	if c.asked++; c.asked <= 2 {
		return nil, errors.ErrUnsupported
	}
	return socket{}, nil
}

// socket takes every option.
type socket struct{}

func (socket) Control(func(fd uintptr)) error    { return nil }
func (socket) Read(func(fd uintptr) bool) error  { return errors.ErrUnsupported }
func (socket) Write(func(fd uintptr) bool) error { return errors.ErrUnsupported }
