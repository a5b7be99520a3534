package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"github.com/urfave/cli/v2"

	"github.com/grapevine-live/grapevine/p2p"
)

const (
	// doctorPeers bounds the peers that are asked: two tell all that there is to tell, and
	// a third is there for when one does not answer.
	doctorPeers = 3
	// doctorWait is how long peers get to try this node's addresses: AutoNAT v2 begins a
	// second after it knows them, and has two peers try each.
	doctorWait = 10 * time.Second
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
			return doctor(c.Context, set, newScreen(env, set.json))
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
	h, err := openHome(set.home)
	if err != nil {
		return err
	}
	id, err := h.identity()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, id.release()) }()
	node, err := startNode(nodeConfig{identity: id, listen: set.listen, mapped: set.mapped}, minCache, newLogger(scr, set.level))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Close()) }()
	facts, err := examine(ctx, node, set, scr)
	if err != nil {
		return err
	}
	facts.dir = h.dir
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

// doctorFacts are what a doctor knows of a machine.
type doctorFacts struct {
	peers  []peerFacts
	reach  p2p.Reach
	addrs  []string // the node's own
	mapped bool     // the router was asked to
	dir    string   // the home directory
}

// peerFacts are what asking a peer came to.
type peerFacts struct {
	id         peer.ID
	quic, tcp  *p2p.Check // nil if it was not reached, or not tried
	quicTried  bool
	tcpTried   bool
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
	f := &doctorFacts{mapped: set.mapped}
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
	f.await(ctx, node, scr)
	f.reach, f.addrs = node.Reach(), node.Addrs()
	return f, ctx.Err()
}

// askPeer asks a peer by QUIC, and by TCP only if that fails.
func askPeer(ctx context.Context, node *p2p.Node, info peer.AddrInfo, uplink bool) peerFacts {
	p := peerFacts{id: info.ID}
	var quic, tcp []multiaddr.Multiaddr
	for _, a := range info.Addrs {
		switch {
		case viaRelay(a.String()): // says nothing of this machine
		case strings.Contains(a.String(), "/quic"):
			quic = append(quic, a)
		default:
			tcp = append(tcp, a)
		}
	}
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
	if p.tcpTried = p.quic == nil && len(tcp) > 0; p.tcpTried {
		p.tcp, p.tcpFailed = try(tcp)
	}
	return p
}

// await waits until peers have tried this node's addresses, if there is one to try.
func (f *doctorFacts) await(ctx context.Context, node *p2p.Node, scr *screen) {
	if f.answered() == 0 {
		return
	}
	scr.show("Waiting for peers to try this machine's addresses …", true)
	ctx, cancel := context.WithTimeout(ctx, doctorWait)
	defer cancel()
	ticker := time.NewTicker(reachLook)
	defer ticker.Stop()
	for {
		if r := node.Reach(); len(r.Reachable) > 0 || len(r.Unreachable) > 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
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

// installed returns the first of the programs that is there, "" if none is.
func installed(names ...string) string {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}
