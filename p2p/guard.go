package p2p

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/libp2p/go-libp2p/x/rate"
	"github.com/quic-go/quic-go"
)

// What peers can make this node hold, all together and each. Of connections there are twice as
// many as the connection manager keeps (connsHigh), since it lets new ones show for a while
// what they are worth, and none of these is worth anything if that is not so.
const (
	maxConns         = 2*connsHigh + connsLow
	maxConnsInbound  = 2 * connsHigh
	maxConnsOutbound = connsHigh
	// maxHandshakes bounds the connections that come in and whose peer is not known yet. A
	// handshake takes some round trips, and a millisecond of this machine's time.
	maxHandshakes = connsLow
	// maxConnsPeer: both ends may dial at once, by QUIC and TCP, IPv4 and IPv6.
	maxConnsPeer = 8
	// maxConnsAddr bounds the connections from one IPv4 address, or a site's /56 of IPv6: an
	// office, a school or an operator may have many viewers behind one.
	maxConnsAddr = 32
	// From one such address connsAddrBurst may come at once, and then connsAddrRate a second;
	// from all of them connsBurst, and then connsRate, which take a sixteenth of a core.
	connsAddrBurst = 2 * maxConnsAddr
	connsAddrRate  = 2
	connsBurst     = maxConns
	connsRate      = 64
	// maxStreams and maxStreamsPeer bound the streams that peers open, each of which is a
	// goroutine here: a peer has one or two of gossipsub's, eight that fetch, and one or two of
	// identify, ping and the like. One that relays has one more for each that it relays.
	maxStreams     = 16 * maxConns
	maxStreamsPeer = 256
	// maxStreamsGossip are of gossipsub to one peer: the one in use, that which replaces it.
	maxStreamsGossip = 4
	// maxMemory bounds what connections may hold of bytes that came and were not read yet, and
	// maxMemoryPeer what those of one peer may: 20 Mbit/s over half a second and a bit more.
	maxMemory     = 256 << 20
	maxMemoryPeer = 16 << 20
)

// errBanned refuses connections from where too many came that were cut off.
var errBanned = errors.New("nobody new is let in from this address for a while")

// errFlood refuses what is more than a peer may say.
var errFlood = errors.New("too many messages")

// Guard stands between a host and the network: it lets nobody in who was cut off, nor more
// connections, streams and bytes than there may be. A [Node] makes its own host with one; who
// brings a host makes it with [Guard.Option], and gives both to [Config].
type Guard struct {
	gate      *gate
	resources network.ResourceManager
}

// NewGuard returns a guard, which counts time from then on. With metrics it tells Prometheus what
// is in use. It must be given to a host, which closes it.
func NewGuard(metrics bool) (*Guard, error) { return newGuard(newGate(), metrics) }

func newGuard(g *gate, metrics bool) (*Guard, error) {
	resources, err := newResources(metrics)
	if err != nil {
		return nil, fmt.Errorf("limit resources: %w", err)
	}
	return &Guard{gate: g, resources: resources}, nil
}

// Option is for the host.
func (g *Guard) Option() libp2p.Option {
	return libp2p.ChainOptions(libp2p.ConnectionGater(g.gate), libp2p.ResourceManager(g.resources))
}

// QUIC is for who makes the host's transport: it has the guard bound connections from their
// first packet on, as libp2p does with sockets of its own.
func (g *Guard) QUIC() quicreuse.Option { return quicreuse.ConnContext(g.inboundScope) }

func (g *Guard) inboundScope(ctx context.Context, client *quic.ClientInfo) (context.Context, error) {
	addr, err := quicreuse.ToQuicMultiaddr(client.RemoteAddr, quic.Version1)
	if err != nil {
		addr = nil // the manager decides all the same
	}
	if g.gate.bans.refusesAddr(peerAddr(addr), time.Now()) {
		return ctx, errBanned
	}
	scope, err := g.resources.OpenConnection(network.DirInbound, false, addr)
	if err != nil {
		g.gate.turnedAway.Add(1)
		return ctx, err
	}
	ctx = network.WithConnManagementScope(ctx, scope)
	context.AfterFunc(ctx, scope.Done)
	return ctx, nil
}

// newResources returns a resource manager with this package's bounds. What they leave open is
// as libp2p has it.
func newResources(metrics bool) (network.ResourceManager, error) {
	base := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&base)
	limits := rcmgr.PartialLimitConfig{
		System: rcmgr.ResourceLimits{
			Conns: maxConns, ConnsInbound: maxConnsInbound, ConnsOutbound: maxConnsOutbound,
			Streams: 2 * maxStreams, StreamsInbound: maxStreams, StreamsOutbound: maxStreams,
			Memory: maxMemory,
		},
		Transient: rcmgr.ResourceLimits{
			Conns: 2 * maxHandshakes, ConnsInbound: maxHandshakes, ConnsOutbound: maxHandshakes,
			Streams: maxStreams, StreamsInbound: maxStreams / 4, StreamsOutbound: maxStreams,
		},
		PeerDefault: rcmgr.ResourceLimits{
			Conns: maxConnsPeer, ConnsInbound: maxConnsPeer, ConnsOutbound: maxConnsPeer,
			Streams: 2 * maxStreamsPeer, StreamsInbound: maxStreamsPeer, StreamsOutbound: maxStreamsPeer,
			Memory: maxMemoryPeer,
		},
	}
	limits.ProtocolPeer = make(map[protocol.ID]rcmgr.ResourceLimits)
	for _, id := range pubsub.GossipSubDefaultProtocols {
		limits.ProtocolPeer[id] = rcmgr.ResourceLimits{Streams: 2 * maxStreamsGossip, StreamsInbound: maxStreamsGossip, StreamsOutbound: maxStreamsGossip}
	}
	opts := []rcmgr.Option{
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: maxConnsAddr}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: addrPrefix6, ConnCount: maxConnsAddr}, {PrefixLength: 48, ConnCount: 4 * maxConnsAddr}}),
		rcmgr.WithConnRateLimiters(newConnRate()),
	}
	if !metrics {
		opts = append(opts, rcmgr.WithMetricsDisabled())
	}
	return rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits.Build(base.AutoScale())), opts...)
}

// newConnRate bounds how many connections come in a second. This machine's own are not bounded.
func newConnRate() *rate.Limiter {
	of := rate.Limit{RPS: connsAddrRate, Burst: connsAddrBurst}
	site := rate.Limit{RPS: 4 * connsAddrRate, Burst: 4 * connsAddrBurst}
	return &rate.Limiter{
		NetworkPrefixLimits: []rate.PrefixLimit{
			{Prefix: netip.MustParsePrefix("127.0.0.0/8")},
			{Prefix: netip.MustParsePrefix("::1/128")},
		},
		GlobalLimit: rate.Limit{RPS: connsRate, Burst: connsBurst},
		SubnetRateLimiter: rate.SubnetLimiter{
			IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: of}},
			IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: addrPrefix6, Limit: of}, {PrefixLength: 48, Limit: site}},
			GracePeriod:      time.Minute,
		},
	}
}
