// Package p2ptest runs production nodes on a simulated network in virtual time:
// real libp2p hosts that speak real QUIC over simulated links (simlibp2p, simnet),
// inside a testing/synctest bubble. It is not bit-deterministic, so tests assert
// bounds, not values.
//
// A [Network] grows and shrinks while it runs: hosts can be added, cut off, stopped and
// killed at any time, and more can go wrong, see faults.go. Its methods are safe for several
// goroutines.
package p2ptest

import (
	"context"
	"math/rand"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/marcopolo/simnet"
	"github.com/multiformats/go-multiaddr"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
)

// Link is what connects a host to the network.
type Link struct {
	Up, Down int // bits per second; 0 means 100 Mbit/s
	// Latency is what the host adds to the way of its packets: from one host to another
	// takes the mean of their latencies, one way. 0 means the network's, so that all
	// take that if no host has its own.
	Latency time.Duration
}

const defaultRate = 100_000_000

// Network is a set of hosts, of which some run nodes. Hosts are counted from 0, in the
// order in which they were added, whether they live or not.
type Network struct {
	tb      testing.TB
	sim     *simnet.Simnet
	latency time.Duration

	endpoints sync.Mutex // held while one is made

	mu       sync.RWMutex // guards all following
	machines []*machine
	started  bool
	loss     float64
	lossSeed int64
	disorder Disorder

	late struct { // what is late by disorder; apart, as Close waits for the router, which asks
		mu sync.Mutex // guards all following
		Disorder
		chance *rand.Rand
	}
}

// New returns a network without hosts, whose packets take latency one way unless a
// [Link] says otherwise. Close must be called inside a synctest bubble before the
// bubble ends.
func New(tb testing.TB, latency time.Duration) *Network {
	n := &Network{tb: tb, latency: latency}
	n.sim = &simnet.Simnet{LatencyFunc: func(p *simnet.Packet) time.Duration {
		from, to := n.at(p.From), n.at(p.To)
		if from == nil || to == nil {
			return latency
		}
		return (from.latency+to.latency)/2 + n.delay(from, to)
	}}
	return n
}

// Lose makes the network lose a share of all packets from now on, the same ones for the
// same seed and traffic. A lost packet has passed its sender's uplink.
func (n *Network) Lose(share float64, seed int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loss, n.lossSeed = share, seed
	for _, m := range n.machines {
		m.lose(share, seed)
	}
}

// AddHost adds a host behind a link, and returns it.
func (n *Network) AddHost(l Link) host.Host {
	n.tb.Helper()
	return n.addMachine(l, false).host
}

func (n *Network) addMachine(l Link, guarded bool) *machine {
	n.tb.Helper()
	if l.Latency == 0 {
		l.Latency = n.latency
	}
	n.mu.Lock()
	m := &machine{net: n, index: len(n.machines), latency: l.Latency, faults: newFaults()}
	n.machines = append(n.machines, m)
	n.mu.Unlock()
	n.startMachine(m, l, guarded)
	return m
}

func (n *Network) startMachine(m *machine, l Link, guarded bool) {
	n.tb.Helper()
	if l.Up == 0 {
		l.Up = defaultRate
	}
	if l.Down == 0 {
		l.Down = defaultRate
	}
	n.mu.RLock()
	m.lose(n.loss, n.lossSeed)
	m.disturb(n.disorder)
	n.mu.RUnlock()
	if err := m.start(l, guarded); err != nil {
		n.tb.Fatalf("make host: %v", err)
	}
}

// AddNode adds a host behind a link, and a node. Start starts it; after that, it is
// started at once.
func (n *Network) AddNode(l Link) *p2p.Node {
	n.tb.Helper()
	return n.AddNodeWith(l, p2p.Config{})
}

// AddNodeWith is AddNode with a configuration, of which the host and its clock are set.
func (n *Network) AddNodeWith(l Link, cfg p2p.Config) *p2p.Node {
	n.tb.Helper()
	return n.startNode(n.addMachine(l, true), cfg)
}

// Restart starts host i again, which was killed or stopped, with a node. It is the same peer at
// the same address, or, if it moved, as a further host, and has forgotten all else.
func (n *Network) Restart(i int, l Link, moved bool) *p2p.Node {
	n.tb.Helper()
	return n.RestartWith(i, l, moved, p2p.Config{})
}

// RestartWith is Restart with a configuration, of which the host and its clock are set.
func (n *Network) RestartWith(i int, l Link, moved bool, cfg p2p.Config) *p2p.Node {
	n.tb.Helper()
	old := n.machine(i)
	m := &machine{net: n, index: old.index, latency: old.latency, key: old.key, faults: old.faults}
	if moved {
		m.faults = newFaults()
		m.faults.clock.Store(old.faults.clock.Load()) // which the machine took along
	}
	n.mu.Lock()
	if moved {
		m.index = len(n.machines)
		n.machines = append(n.machines, m)
	} else {
		n.machines[m.index] = m
	}
	n.mu.Unlock()
	n.startMachine(m, l, true)
	return n.startNode(m, cfg)
}

func (n *Network) startNode(m *machine, cfg p2p.Config) *p2p.Node {
	n.tb.Helper()
	cfg.Host, cfg.Guard, cfg.Bandwidth, cfg.ClockOff = m.host, m.guard, &m.streams, m.faults.clockOff
	node, err := p2p.New(cfg)
	if err != nil {
		n.tb.Fatalf("make node: %v", err)
	}
	n.mu.Lock()
	m.node = node
	started := n.started
	n.mu.Unlock()
	if started {
		if err := node.Start(); err != nil {
			n.tb.Fatalf("start node: %v", err)
		}
	}
	return node
}

// Start starts the network and all nodes.
func (n *Network) Start() {
	n.tb.Helper()
	n.mu.Lock()
	n.sim.Start()
	n.started = true
	n.mu.Unlock()
	for i := range n.Len() {
		node := n.Node(i)
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
	to := n.Host(j)
	if err := n.Host(i).Connect(ctx, to.Peerstore().PeerInfo(to.ID())); err != nil {
		n.tb.Fatalf("connect host %d to %d: %v", i, j, err)
	}
}

// ConnectRandomly lets each host dial some others, the same ones for the same seed.
func (n *Network) ConnectRandomly(dials int, seed int64) {
	n.tb.Helper()
	r := rand.New(rand.NewSource(seed))
	for i := range n.Len() {
		for range dials {
			if j := r.Intn(n.Len()); j != i {
				n.Connect(i, j)
			}
		}
	}
}

// Link returns a link to a stream that names the nodes of some hosts.
func (n *Network) Link(id stream.ID, hosts ...int) stream.Link {
	l := stream.Link{Stream: id}
	for _, i := range hosts {
		h := n.Host(i)
		for _, a := range h.Addrs() {
			l.Peers = append(l.Peers, a.String()+"/p2p/"+h.ID().String())
		}
	}
	return l
}

// addrsOf returns the addresses of a peer, nil if there is none with that ID.
func (n *Network) addrsOf(id peer.ID) []multiaddr.Multiaddr {
	n.mu.RLock()
	defer n.mu.RUnlock()
	for _, m := range n.machines {
		if m.host != nil && m.host.ID() == id {
			return m.host.Addrs()
		}
	}
	return nil
}

// attacker reports whether a peer is an attacker, or a liar.
func (n *Network) attacker(id peer.ID) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	for _, m := range n.machines {
		if m.host != nil && m.host.ID() == id {
			return m.hostile
		}
	}
	return false
}

func (n *Network) machine(i int) *machine {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.machines[i]
}

// Len returns how many hosts were added.
func (n *Network) Len() int {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return len(n.machines)
}

// Host returns host i.
func (n *Network) Host(i int) host.Host { return n.machine(i).host }

// Node returns the node of host i, or nil if it has none or was stopped.
func (n *Network) Node(i int) *p2p.Node {
	m := n.machine(i)
	n.mu.RLock()
	defer n.mu.RUnlock()
	return m.node
}

// Bytes returns what host i received and sent so far in libp2p's streams. QUIC's own
// overhead, repetitions of lost packets above all, is not in it; see [Network.WireBytes].
func (n *Network) Bytes(i int) (in, out int64) {
	m := n.machine(i)
	return m.streams.in.Load(), m.streams.out.Load()
}

// WireBytes returns what host i received and sent so far in packets, with the headers of
// UDP and IPv4. Packets lost on their way are sent, but not received.
func (n *Network) WireBytes(i int) (in, out int64) {
	m := n.machine(i)
	return m.wire.in.Load(), m.wire.out.Load()
}

// Cut makes all packets from and to host i get lost, or stops that. Nobody is told, as
// when a laptop sleeps.
func (n *Network) Cut(i int, cut bool) { n.machine(i).cut.Store(cut) }

// Kill ends the node and the host i without a word to anybody, as when a machine loses
// power: its peers find out only because it is silent.
func (n *Network) Kill(i int) {
	n.tb.Helper()
	n.Cut(i, true)
	n.Stop(i)
}

// Stop closes the node and the host i, as if its process were ended: connections are
// closed, but the streams are not left.
func (n *Network) Stop(i int) {
	n.tb.Helper()
	m := n.machine(i)
	// The connections go first, so that nobody hears a farewell.
	for _, c := range m.host.Network().Conns() {
		c.Close()
	}
	n.mu.Lock()
	node := m.node
	m.node = nil
	n.mu.Unlock()
	if node != nil {
		if err := node.Close(); err != nil {
			n.tb.Errorf("close node %d: %v", i, err)
		}
	}
	if err := m.close(); err != nil {
		n.tb.Errorf("close host %d: %v", i, err)
	}
}

// Forget stops the node and the host i, if they run, and lets go of them: of a network that runs
// for long, what is gone takes no memory. Nothing else may be asked of the host then.
func (n *Network) Forget(i int) {
	n.tb.Helper()
	n.Stop(i)
	m := n.machine(i)
	n.mu.Lock()
	defer n.mu.Unlock()
	m.host, m.quic, m.guard = nil, nil, nil // a guard knows its node
}

// Close closes all nodes, hosts and the network.
func (n *Network) Close() {
	n.tb.Helper()
	for i := range n.Len() {
		if node := n.Node(i); node != nil {
			if err := node.Close(); err != nil {
				n.tb.Errorf("close node %d: %v", i, err)
			}
		}
	}
	for i := range n.Len() {
		if err := n.machine(i).close(); err != nil {
			n.tb.Errorf("close host %d: %v", i, err)
		}
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.started {
		n.sim.Close()
	}
}
