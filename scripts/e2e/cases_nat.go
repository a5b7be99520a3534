//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Where the hosts of these cases are. 44.128.0.0/16 is set apart for tests, but looks to
// programs like any address of the internet, as those for documentation do not.
const (
	publicRelay = "44.128.0.10"
	routerOfB   = "44.128.0.1"
	routerOfV   = "44.128.0.2"
)

// How a router rewrites the source of what goes out.
const (
	// portRestricted keeps a host's port where it can, and lets in from where it sent to.
	portRestricted = "masquerade"
	// symmetric takes another port for each host that is sent to.
	symmetric = "masquerade random,fully-random"
)

// internet is a switch with hosts of network namespaces, of which some are behind routers that
// translate addresses, as homes are. Nothing leads out of it. Everybody sends at internetRate.
type internet struct{ hosts, commands []string }

// internetRate is in bits per second.
const internetRate = 20_000_000

func newInternet() *internet {
	return &internet{[]string{"i"}, []string{"-n @i link add name lan type bridge", "-n @i link set lan up"}}
}

func (n *internet) add(format string, args ...any) {
	n.commands = append(n.commands, fmt.Sprintf(format, args...))
}

// attach adds a host with a public address.
func (n *internet) attach(host, address string) {
	n.hosts = append(n.hosts, host)
	n.add("link add name wan netns @%s type veth peer name to-%s netns @i", host, host)
	n.add("-n @i link set to-%s master lan", host)
	n.add("-n @i link set to-%s up", host)
	n.add("-n @%s addr add %s/24 dev wan", host, address)
	n.add("-n @%s link set wan up", host)
	n.add("netns exec @%s tc qdisc add dev wan root tbf rate %d burst 64kb latency 50ms", host, internetRate)
}

// home adds a router with a public address, and a host of a network behind it.
func (n *internet) home(host, router, network, address, nat string) {
	n.attach(router, address)
	n.hosts = append(n.hosts, host)
	n.add("link add name lan netns @%s type veth peer name lan netns @%s", router, host)
	n.add("-n @%s addr add %s.1/24 dev lan", router, network)
	n.add("-n @%s addr add %s.2/24 dev lan", host, network)
	n.add("-n @%s link set lan up", router)
	n.add("-n @%s link set lan up", host)
	n.add("-n @%s route add default via %s.1", host, network)
	n.add("netns exec @%s sysctl -q -w net.ipv4.ip_forward=1", router)
	// The whole of a home router's firewall: what was not asked for stays outside.
	n.add("netns exec @%s nft add table ip home", router)
	n.add("netns exec @%s nft add chain ip home out { type nat hook postrouting priority 100 ; }", router)
	n.add("netns exec @%s nft add rule ip home out oifname wan %s", router, nat)
	n.add("netns exec @%s nft add chain ip home in { type filter hook forward priority 0 ; policy drop ; }", router)
	for _, from := range []string{publicRelay, routerOfB, routerOfV} {
		n.add(countFrom, router, from)
	}
	n.add("netns exec @%s nft add rule ip home in iifname lan accept", router)
	n.add("netns exec @%s nft add rule ip home in ct state established,related accept", router)
	n.add("netns exec @%s nft add chain ip home self { type filter hook input priority 0 ; }", router)
	n.add("netns exec @%s nft add rule ip home self iifname wan ct state new drop", router)
}

func (n *internet) build(ctx context.Context, b *bench) (func(host string) inNamespace, error) {
	return b.lan(ctx, n.hosts, n.commands...)
}

// twoHomes makes three hosts, of which two are behind routers:
//
//	b 10.0.1.2 ── 10.0.1.1 rb 44.128.0.1 ──┐
//	                                       i (a switch) ── 44.128.0.10 r
//	v 10.0.2.2 ── 10.0.2.1 rv 44.128.0.2 ──┘
func (b *bench) twoHomes(ctx context.Context, nat string) (func(host string) inNamespace, error) {
	n := newInternet()
	n.attach("r", publicRelay)
	n.home("b", "rb", "10.0.1", routerOfB, nat)
	n.home("v", "rv", "10.0.2", routerOfV, nat)
	return n.build(ctx, b)
}

// behindRouters starts a public relay that holds no stream, and a broadcaster and a viewer
// behind routers of which neither is told more than the other's link.
func (b *bench) behindRouters(ctx context.Context, nat string, relayFlags ...string) (*chain, func(string) inNamespace, error) {
	in, err := b.twoHomes(ctx, nat)
	if err != nil {
		return nil, nil, err
	}
	if out, err := in("v").command("ping", "-c1", "-W1", "10.0.1.2").CombinedOutput(); err == nil {
		return nil, nil, fmt.Errorf("the viewer reaches the broadcaster behind its router: %s", out)
	}
	var c chain
	if c.relay, err = b.grapevine(ctx, in("r"), "relay", nil, append([]string{"relay"}, relayFlags...)...); err != nil {
		return nil, nil, err
	}
	if len(c.relay.Addrs) == 0 {
		return nil, nil, errors.New("the relay has no address")
	}
	if c.broadcaster, err = b.broadcaster(ctx, in("b"), "--peer", c.relay.Addrs[0]); err != nil {
		return nil, nil, err
	}
	if !strings.Contains(c.broadcaster.Link, "p2p-circuit") {
		return nil, nil, fmt.Errorf("the broadcaster's link leads to no relay: %s", c.broadcaster.Link)
	}
	c.viewer, err = b.grapevine(ctx, in("v"), "viewer", nil, "watch", c.broadcaster.Link)
	return &c, in, err
}

// fromBoth returns the bytes that came to the viewer from the broadcaster's router, and from
// the relay.
func fromBoth(ctx context.Context, router inNamespace) (direct, relayed int64, err error) {
	if direct, err = received(ctx, router, routerOfB); err != nil {
		return 0, 0, err
	}
	relayed, err = received(ctx, router, publicRelay)
	return direct, relayed, err
}

// directWithin is how soon two nodes behind routers are to be connected directly.
const directWithin = 10 * time.Second

// natCase has two nodes behind routers find a direct way: the relay carries nothing of the
// stream.
func natCase(ctx context.Context, b *bench) (string, error) {
	c, in, err := b.behindRouters(ctx, portRestricted)
	if err != nil {
		return "", err
	}
	began := time.Now().Add(-c.viewer.took)
	path, err := b.awaitPath(ctx, in("v"), c.viewer, c.broadcaster.PeerID, func(p peerPath) bool { return p.Direct && strings.Contains(p.Addr, routerOfB) })
	if err != nil {
		return "", err
	}
	direct := time.Since(began)
	if direct > directWithin {
		return "", fmt.Errorf("a direct connection took %v", direct)
	}
	const seconds = 20
	player, err := b.ffmpeg(in("v"), c.viewer.HLS, seconds)
	if err != nil {
		return "", err
	}
	frames, err := player.perfect(ctx, seconds*frameRate)
	if err != nil {
		return "", err
	}
	from, through, err := fromBoth(ctx, in("rv"))
	if err != nil {
		return "", err
	}
	if through > from/10 {
		return "", fmt.Errorf("%d bytes came from the broadcaster's router and %d from the relay", from, through)
	}
	return fmt.Sprintf("direct after %.1f s by %s; %d of %d frames, none missing; %.1f MB came directly, %.2f MB from the relay",
		direct.Seconds(), path.Addr, frames, seconds*frameRate, float64(from)/1e6, float64(through)/1e6), nil
}

// symmetricCase has two nodes between which no hole can be made watch through a relay that
// carries media.
func symmetricCase(ctx context.Context, b *bench) (string, error) {
	c, in, err := b.behindRouters(ctx, symmetric, "--relay-media", "10Mbit/s")
	if err != nil {
		return "", err
	}
	if _, err := b.awaitPath(ctx, in("v"), c.viewer, c.broadcaster.PeerID, func(p peerPath) bool { return !p.Direct && strings.Contains(p.Addr, "p2p-circuit") }); err != nil {
		return "", err
	}
	const seconds = 30 // all attempts at a hole are over by then
	player, err := b.ffmpeg(in("v"), c.viewer.HLS, seconds)
	if err != nil {
		return "", err
	}
	frames, err := player.perfect(ctx, seconds*frameRate)
	if err != nil {
		return "", err
	}
	list, err := paths(ctx, in("v"), c.viewer)
	if err != nil {
		return "", err
	}
	if len(list) != 1 || list[0].Direct {
		return "", fmt.Errorf("the viewer says that its peers are %+v", list)
	}
	direct, through, err := fromBoth(ctx, in("rv"))
	if err != nil {
		return "", err
	}
	if direct > through/10 {
		return "", fmt.Errorf("%d bytes came from the broadcaster's router and %d from the relay", direct, through)
	}
	return fmt.Sprintf("ready after %.1f s; %d of %d frames, none missing; %.1f MB came from the relay, %.2f MB directly; the viewer says so",
		c.viewer.took.Seconds(), frames, seconds*frameRate, float64(through)/1e6, float64(direct)/1e6), nil
}
