package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/urfave/cli/v2"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	// doctorPeers bounds the peers that are asked: two tell all that there is to tell, and
	// a third is there for when one does not answer.
	doctorPeers = 3
	// doctorAddrs bounds this machine's addresses that they are asked to try.
	doctorAddrs = 8
)

func doctorCommand(env *environment) *cli.Command {
	return &cli.Command{
		Name:      "doctor",
		Usage:     "find out what keeps this machine from streaming well, and what to do about it",
		ArgsUsage: "[LINK]",
		Description: "Peers tell what only others can: name two with --peer, or a stream's link. Nobody else is asked.\n" +
			"A relay also measures the uplink, with 2 MiB at most.",
		Action: func(c *cli.Context) error {
			set, err := readSettings(c)
			if err != nil {
				return err
			}
			links, err := readLinks(c.Args().Slice())
			if err != nil {
				return err
			}
			for _, l := range links {
				set.peers = append(set.peers, l.Peers...)
			}
			return env.do(c, job{set: set, run: func(ctx context.Context, set settings) error {
				return doctor(ctx, set, newScreen(env, set.json))
			}})
		},
	}
}

// finding is what was found of one thing.
type finding struct {
	Check string `json:"check"`        // udp, reachable, nat, port_mapping, clock, uplink, disk, files, ffmpeg or vlc
	State string `json:"state"`        // ok, warning, problem or untested
	Says  string `json:"says"`         // a sentence
	Do    string `json:"do,omitempty"` // what to do, if there is something
}

// States of findings.
const (
	stateOK       = "ok"
	stateWarning  = "warning"
	stateProblem  = "problem"
	stateUntested = "untested"
)

// doctorEvent is all that --json writes.
type doctorEvent struct {
	Event    string    `json:"event"` // "doctor"
	PeerID   string    `json:"peer_id"`
	Findings []finding `json:"findings"`
}

func doctor(ctx context.Context, set settings, scr *screen) (err error) {
	h, err := openHome(set.home, set.passphrase)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	id, err := h.identity()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, id.release()) }()
	node, err := startNode(nodeConfig{identity: id, listen: set.listen, mapped: set.mapped}, stream.NewStore(minCache), newLogger(scr, set.level))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Close()) }()
	facts, err := examine(ctx, node, set, scr)
	if err != nil {
		return err
	}
	facts.machine = examineMachine(h.dir)
	findings := facts.findings()
	scr.settle()
	for _, f := range findings {
		scr.say("%-9s %s", f.State, f.Says)
		if f.Do != "" {
			scr.say("%-9s %s", "", scr.dim(f.Do))
		}
	}
	scr.event(doctorEvent{"doctor", node.ID().String(), findings})
	return nil
}

// doctorFacts are what a doctor knows. What it says of them is in doctorfindings.go.
type doctorFacts struct {
	peers    []peerFacts
	tried    []triedAddr // this node's addresses
	reach    p2p.Reach
	own      []string // IP addresses of this machine
	asked    bool     // the router was asked to map a port
	fellBack bool     // the default port was taken
	machine  machineFacts
}

// triedAddr is an address at which a peer tried to connect to this node.
type triedAddr struct {
	addr    string
	reached bool
}

// peerFacts are what asking a peer came to.
type peerFacts struct {
	id         peer.ID
	quic, tcp  *p2p.Check // nil if it was not reached, or not tried
	quicTried  bool
	quicFailed error
	tcpFailed  error
}

// check returns what a peer told, nil if it was not reached.
func (p peerFacts) check() *p2p.Check {
	if p.quic != nil {
		return p.quic
	}
	return p.tcp
}

// examine asks peers, and looks at what the node found out meanwhile.
func examine(ctx context.Context, node *p2p.Node, set settings, scr *screen) (*doctorFacts, error) {
	f := &doctorFacts{asked: set.mapped, fellBack: node.FellBack()}
	var addrs []multiaddr.Multiaddr
	for _, s := range set.peers {
		info, err := peer.AddrInfoFromString(s)
		if err != nil {
			return nil, badFlag("peer", s, "a peer looks like /ip4/192.0.2.1/udp/4747/quic-v1/p2p/12D3Koo…")
		}
		own, err := peer.AddrInfoToP2pAddrs(info)
		if err != nil {
			return nil, fmt.Errorf("read peer %s: %w", s, err)
		}
		addrs = append(addrs, own...)
	}
	infos, err := peer.AddrInfosFromP2pAddrs(addrs...)
	if err != nil {
		return nil, fmt.Errorf("read peers: %w", err)
	}
	measured := false
	for i, info := range infos[:min(len(infos), doctorPeers)] {
		scr.show(fmt.Sprintf("Asking peer %d of %d …", i+1, min(len(infos), doctorPeers)), true)
		p := askPeer(ctx, node, info, !measured)
		measured = measured || p.check() != nil && p.check().Uplink > 0
		f.peers = append(f.peers, p)
	}
	scr.show("Having peers try this machine's addresses …", true)
	f.tried = haveTried(ctx, node, f.peers)
	f.reach = node.Reach()
	if f.own, err = ownIPs(); err != nil {
		return nil, err
	}
	return f, ctx.Err()
}

// askPeer asks a peer by QUIC, and by TCP only if that fails.
func askPeer(ctx context.Context, node *p2p.Node, info peer.AddrInfo, uplink bool) peerFacts {
	p := peerFacts{id: info.ID}
	quic, tcp := waysTo(info.Addrs)
	try := func(addrs []multiaddr.Multiaddr) (*p2p.Check, error) {
		c, err := node.Check(ctx, peer.AddrInfo{ID: info.ID, Addrs: addrs}, uplink)
		if err != nil {
			return nil, err
		}
		return &c, nil
	}
	if p.quicTried = len(quic) > 0; p.quicTried {
		p.quic, p.quicFailed = try(quic)
	}
	if p.quic == nil && len(tcp) > 0 {
		p.tcp, p.tcpFailed = try(tcp)
	}
	return p
}

// waysTo sorts a peer's addresses. Where all are of one transport, those of the other are taken
// to have the same ports, as they do unless the peer was told otherwise. Addresses through relays
// say nothing of this machine, and are left out.
func waysTo(addrs []multiaddr.Multiaddr) (quic, tcp []multiaddr.Multiaddr) {
	for _, a := range addrs {
		switch _, err := a.ValueForProtocol(multiaddr.P_QUIC_V1); {
		case viaRelay(a.String()):
		case err == nil:
			quic = append(quic, a)
		default:
			tcp = append(tcp, a)
		}
	}
	switch {
	case len(tcp) == 0:
		tcp = twins(quic, multiaddr.P_UDP, "/tcp/%s")
	case len(quic) == 0:
		quic = twins(tcp, multiaddr.P_TCP, "/udp/%s/quic-v1")
	}
	return quic, tcp
}

// twins returns the same IP addresses and ports with another transport.
func twins(addrs []multiaddr.Multiaddr, transport int, other string) (out []multiaddr.Multiaddr) {
	for _, a := range addrs {
		ip, _ := multiaddr.SplitFunc(a, func(c multiaddr.Component) bool { return c.Protocol().Code == transport })
		port, err := a.ValueForProtocol(transport)
		if err != nil {
			continue
		}
		if rest, err := multiaddr.NewMultiaddr(fmt.Sprintf(other, port)); err == nil {
			out = append(out, ip.Encapsulate(rest))
		}
	}
	return out
}

// haveTried has peers connect to this node where it may be reached, each address by one of
// them. Those that no peer would try are left out.
func haveTried(ctx context.Context, node *p2p.Node, peers []peerFacts) []triedAddr {
	addrs := toTry(node.Addrs(), node.Reach().Mapped, peers)
	results := make([]*triedAddr, len(addrs))
	var asks sync.WaitGroup
	for i, addr := range addrs {
		asks.Go(func() {
			for k := range peers {
				p := peers[(i+k)%len(peers)]
				if p.check() == nil {
					continue
				}
				if reached, err := node.DialBack(ctx, p.id, addr); err == nil {
					results[i] = &triedAddr{addr, reached}
					return
				}
			}
		})
	}
	asks.Wait()
	var out []triedAddr
	for _, r := range results {
		if r != nil {
			out = append(out, *r)
		}
	}
	return out
}

// toTry returns the addresses at which peers may reach a node: its own ports at the IP
// addresses at which they see it, and what the router maps.
func toTry(own, mapped []string, peers []peerFacts) (out []string) {
	add := func(a multiaddr.Multiaddr) {
		if s := a.String(); manet.IsPublicAddr(a) && len(out) < doctorAddrs && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	for _, s := range mapped {
		if a, err := multiaddr.NewMultiaddr(s); err == nil {
			add(a)
		}
	}
	for _, p := range peers {
		c := p.check()
		if c == nil {
			continue
		}
		seen, err := multiaddr.NewMultiaddr(c.Seen)
		if err != nil {
			continue
		}
		for _, s := range own {
			a, err := multiaddr.NewMultiaddr(s)
			if err != nil || viaRelay(s) || a[0].Protocol().Code != seen[0].Protocol().Code {
				continue
			}
			port, _ := multiaddr.SplitFunc(a[1:], func(c multiaddr.Component) bool { return c.Protocol().Code == multiaddr.P_P2P })
			add(seen[:1].Encapsulate(port))
		}
	}
	return out
}

// answered returns how many peers did.
func (f *doctorFacts) answered() (n int) {
	for _, p := range f.peers {
		if p.check() != nil {
			n++
		}
	}
	return n
}

// ownIPs returns this machine's IP addresses.
func ownIPs() (out []string, err error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list this machine's addresses: %w", err)
	}
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok {
			out = append(out, ip.IP.String())
		}
	}
	return out, nil
}
