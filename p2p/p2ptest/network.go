// Package p2ptest runs production nodes on a simulated network in virtual time:
// real libp2p hosts that speak real QUIC over simulated links (simlibp2p, simnet),
// inside a testing/synctest bubble. It is not bit-deterministic, so tests assert
// bounds, not values.
package p2ptest

import (
	"context"
	"fmt"
	"math/rand"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
)

// Link is what connects a host to the network.
type Link struct {
	Up, Down int // bits per second; 0 means 100 Mbit/s
}

const defaultRate = 100_000_000

// Network is a set of hosts, of which some run nodes.
type Network struct {
	tb        testing.TB
	sim       *simnet.Simnet
	latency   time.Duration
	hosts     []host.Host
	bandwidth []*meter
	nodes     []*p2p.Node
	started   bool
	cut       sync.Map // of the IPs of hosts whose packets are lost
}

// New returns a network without hosts, whose packets take latency one way. Cleanup
// closes all hosts and nodes; call Close inside a synctest bubble instead, before
// the bubble ends.
func New(tb testing.TB, latency time.Duration) *Network {
	n := &Network{tb: tb, latency: latency}
	n.sim = &simnet.Simnet{LatencyFunc: func(p *simnet.Packet) time.Duration {
		for _, a := range []net.Addr{p.From, p.To} {
			if _, lost := n.cut.Load(a.(*net.UDPAddr).IP.String()); lost {
				return time.Hour // the simulator has no other loss
			}
		}
		return latency
	}}
	return n
}

// AddHost adds a host behind a link, and returns it. All hosts must be added before
// the first connection.
func (n *Network) AddHost(l Link) host.Host {
	n.tb.Helper()
	if l.Up == 0 {
		l.Up = defaultRate
	}
	if l.Down == 0 {
		l.Down = defaultRate
	}
	bw := &meter{}
	h, err := libp2p.New(
		libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/%s/udp/8000/quic-v1", simnet.IntToPublicIPv4(len(n.hosts)))),
		simlibp2p.QUICSimnet(n.sim, simnet.NodeBiDiLinkSettings{
			Downlink: simnet.LinkSettings{BitsPerSecond: l.Down},
			Uplink:   simnet.LinkSettings{BitsPerSecond: l.Up},
		}),
		libp2p.DisableIdentifyAddressDiscovery(), // it never rests, so virtual time would not advance
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.BandwidthReporter(bw),
		libp2p.DisableRelay(),
	)
	if err != nil {
		n.tb.Fatalf("make host: %v", err)
	}
	n.hosts = append(n.hosts, h)
	n.bandwidth = append(n.bandwidth, bw)
	n.nodes = append(n.nodes, nil)
	return h
}

// AddNode adds a host behind a link, and a node, which Start starts.
func (n *Network) AddNode(l Link) *p2p.Node {
	n.tb.Helper()
	return n.AddNodeWith(l, p2p.Config{})
}

// AddNodeWith is AddNode with a configuration, whose host is set.
func (n *Network) AddNodeWith(l Link, cfg p2p.Config) *p2p.Node {
	n.tb.Helper()
	cfg.Host = n.AddHost(l)
	cfg.Bandwidth = n.bandwidth[len(n.hosts)-1]
	node, err := p2p.New(cfg)
	if err != nil {
		n.tb.Fatalf("make node: %v", err)
	}
	n.nodes[len(n.hosts)-1] = node
	return node
}

// Start starts the network and all nodes.
func (n *Network) Start() {
	n.tb.Helper()
	n.sim.Start()
	n.started = true
	for _, node := range n.nodes {
		if node == nil {
			continue
		}
		if err := node.Start(); err != nil {
			n.tb.Fatalf("start node: %v", err)
		}
	}
}

// Connect connects host i to host j.
func (n *Network) Connect(i, j int) {
	n.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := n.hosts[i].Connect(ctx, n.hosts[j].Peerstore().PeerInfo(n.hosts[j].ID())); err != nil {
		n.tb.Fatalf("connect host %d to %d: %v", i, j, err)
	}
}

// ConnectRandomly lets each host dial some others, the same ones for the same seed.
func (n *Network) ConnectRandomly(dials int, seed int64) {
	n.tb.Helper()
	r := rand.New(rand.NewSource(seed))
	for i := range n.hosts {
		for range dials {
			if j := r.Intn(len(n.hosts)); j != i {
				n.Connect(i, j)
			}
		}
	}
}

// Link returns a link to a stream that names the nodes of some hosts.
func (n *Network) Link(id stream.ID, hosts ...int) stream.Link {
	l := stream.Link{Stream: id}
	for _, i := range hosts {
		for _, a := range n.hosts[i].Addrs() {
			l.Peers = append(l.Peers, a.String()+"/p2p/"+n.hosts[i].ID().String())
		}
	}
	return l
}

// Host returns host i.
func (n *Network) Host(i int) host.Host { return n.hosts[i] }

// Node returns the node of host i, or nil.
func (n *Network) Node(i int) *p2p.Node { return n.nodes[i] }

// Bytes returns what host i received and sent so far, as libp2p counts it.
func (n *Network) Bytes(i int) (in, out int64) {
	return n.bandwidth[i].in.Load(), n.bandwidth[i].out.Load()
}

// Cut makes all packets from and to host i get lost, or stops that. Nobody is told, as
// when a laptop sleeps.
func (n *Network) Cut(i int, cut bool) {
	ip := simnet.IntToPublicIPv4(i).String()
	if cut {
		n.cut.Store(ip, true)
	} else {
		n.cut.Delete(ip)
	}
}

// Stop closes the node and the host i, as if its machine were switched off.
func (n *Network) Stop(i int) {
	n.tb.Helper()
	// The connections go first, so that nobody hears a farewell.
	for _, c := range n.hosts[i].Network().Conns() {
		c.Close()
	}
	if node := n.nodes[i]; node != nil {
		if err := node.Close(); err != nil {
			n.tb.Errorf("close node %d: %v", i, err)
		}
		n.nodes[i] = nil
	}
	if err := n.hosts[i].Close(); err != nil {
		n.tb.Errorf("close host %d: %v", i, err)
	}
}

// Close closes all nodes, hosts and the network.
func (n *Network) Close() {
	n.tb.Helper()
	for i, node := range n.nodes {
		if node != nil {
			if err := node.Close(); err != nil {
				n.tb.Errorf("close node %d: %v", i, err)
			}
		}
	}
	for _, h := range n.hosts {
		h.Close() // again for the stopped ones, which is harmless
	}
	if n.started {
		n.sim.Close()
	}
}
