package p2p

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/metrics"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Connections are trimmed to the low mark when they exceed the high mark; mesh
// neighbours are protected by gossipsub. A node needs about a dozen neighbours a
// stream, the rest are candidates to swap in and joiners that fetch. Node.trim has lower
// marks where its owner bounds peers.
const (
	connsLow  = 96
	connsHigh = 160
)

// ErrListen is wrapped when an address that was asked for cannot be listened on.
var ErrListen = errors.New("cannot listen")

// newHost makes a host that listens on cfg.Listen, or on the default port, or, when
// that is taken, on a free one.
func newHost(cfg Config, bandwidth metrics.Reporter, sock *sockets, guard *Guard, r *router, own *ownAddrs) (h host.Host, fellBack bool, err error) {
	listen := cfg.Listen
	if len(listen) == 0 {
		port := DefaultPort
		if fellBack = !portFree(DefaultPort); fellBack {
			port = 0
		}
		for _, ip := range []string{"/ip4/0.0.0.0", "/ip6/::"} {
			listen = append(listen, fmt.Sprintf("%s/udp/%d/quic-v1", ip, port), fmt.Sprintf("%s/tcp/%d", ip, port))
		}
	}
	addrs := make([]multiaddr.Multiaddr, len(listen))
	for i, s := range listen {
		if addrs[i], err = multiaddr.NewMultiaddr(s); err != nil {
			return nil, false, fmt.Errorf("%w on %q: %w", ErrListen, s, err)
		}
	}
	manager, err := connmgr.NewConnManager(connsLow, connsHigh)
	if err != nil {
		return nil, false, fmt.Errorf("make connection manager: %w", err)
	}
	opts := []libp2p.Option{
		libp2p.NoListenAddrs,
		sock.option(guard), // QUIC is dialled first, TCP a quarter of a second later, relays last
		guard.Option(),
		libp2p.ConnectionManager(manager),
		libp2p.BandwidthReporter(bandwidth),
		libp2p.UserAgent("grapevine"),
		libp2p.EnableRelay(), // to be reached, and to reach; see reach and relayService
		libp2p.EnableHolePunching(),
		libp2p.EnableAutoNATv2(),
		libp2p.AddrsFactory(own.correct),
		UDPWorks(),
	}
	if cfg.Browsers {
		opts = append(opts, browserOption())
	}
	if cfg.PortMapping {
		opts = append(opts, libp2p.NATManager(r.manage))
	}
	if cfg.Metrics != nil {
		opts = append(opts, libp2p.PrometheusRegisterer(cfg.Metrics))
	} else {
		opts = append(opts, libp2p.DisableMetrics())
	}
	if cfg.Identity != nil {
		opts = append(opts, libp2p.Identity(cfg.Identity))
	}
	h, err = libp2p.New(opts...)
	if err != nil {
		return nil, false, fmt.Errorf("make host: %w", err)
	}
	own.listen(h.Network().ListenAddresses)
	listening := 0
	for _, a := range addrs {
		if err = h.Network().Listen(a); err == nil {
			listening++
			continue
		}
		// Of the defaults one is enough: a machine without IPv6 is no failure.
		if len(cfg.Listen) > 0 {
			h.Close()
			return nil, false, fmt.Errorf("%w on %s: %w", ErrListen, a, err)
		}
	}
	if listening == 0 {
		h.Close()
		return nil, false, fmt.Errorf("%w: %w", ErrListen, err)
	}
	if cfg.Browsers {
		if err := listenForBrowsers(h); err != nil {
			h.Close()
			return nil, false, err
		}
	}
	return h, fellBack, nil
}

// UDPWorks has libp2p believe that UDP works, whatever becomes of dials. Its own counter takes a network
// for one without UDP when 95 of a hundred dials fail, as they do in some minutes without any network,
// and tries one of a hundred from then on. Nor would a relay, which hardly dials, ever try others'
// addresses on UDP for AutoNAT, as the counter knows nothing before a hundred. Where there is no UDP,
// TCP is dialled a quarter of a second later.
func UDPWorks() libp2p.Option { return libp2p.UDPBlackHoleSuccessCounter(udpWorks()) }

func udpWorks() *swarm.BlackHoleSuccessCounter {
	c := &swarm.BlackHoleSuccessCounter{N: 100, Name: "UDP"} // no successes needed
	for range c.N {
		c.RecordResult(true)
	}
	return c
}

// portFree reports whether both UDP and TCP can be listened on at port.
func portFree(port int) bool {
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{Port: port})
	if err != nil {
		return false
	}
	defer udp.Close()
	tcp, err := net.ListenTCP("tcp4", &net.TCPAddr{Port: port})
	if err != nil {
		return false
	}
	defer tcp.Close()
	return true
}

// maxLinkAddrs bounds the addresses in a link: it is to be read and scanned.
const maxLinkAddrs = 6

// shareable orders a host's addresses by how well they serve other machines: those on the
// internet first, then those through relays, then those of the local network; of each QUIC
// before TCP, and of these IPv4 before IPv6. Loopback addresses are left out unless
// there are no others, link-local ones always: they lead nowhere else, or need a zone. Those for browsers are, too.
func shareable(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	var out []multiaddr.Multiaddr
	for _, loopback := range []bool{false, true} {
		for _, a := range addrs {
			if manet.IsIPLoopback(a) == loopback && !linkLocal(a) && !forBrowsers(a) {
				out = append(out, a)
			}
		}
		if len(out) > 0 {
			break
		}
	}
	rank := func(a multiaddr.Multiaddr) int {
		r := 0
		if _, err := a.ValueForProtocol(multiaddr.P_QUIC_V1); err != nil {
			r += 2
		}
		if _, err := a.ValueForProtocol(multiaddr.P_IP4); err != nil {
			r += 1
		}
		switch {
		case isCircuit(a):
			r += 4
		case !manet.IsPublicAddr(a):
			r += 8
		}
		return r
	}
	slices.SortStableFunc(out, func(a, b multiaddr.Multiaddr) int { return cmp.Compare(rank(a), rank(b)) })
	return out
}

func linkLocal(a multiaddr.Multiaddr) bool {
	ip, err := manet.ToIP(a)
	return err == nil && (ip.IsLinkLocalUnicast() || ip.IsUnspecified())
}
