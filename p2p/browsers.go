package p2p

import (
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	libp2pwebrtc "github.com/libp2p/go-libp2p/p2p/transport/webrtc"
	webtransport "github.com/libp2p/go-libp2p/p2p/transport/webtransport"
	"github.com/multiformats/go-multiaddr"
)

// Programs in browsers can make neither QUIC nor TCP connections of libp2p's, but two that
// share the UDP ports of QUIC, with the same gate and the same meter:
//
//	/ip4/…/udp/4747/quic-v1/webtransport/certhash/…/certhash/…
//	/ip4/…/udp/4747/webrtc-direct/certhash/…
//
// Nodes only listen for them: between each other they have better.

// browserOption makes a host's transports for browsers.
func browserOption() libp2p.Option {
	return libp2p.ChainOptions(
		libp2p.Transport(webtransport.New),
		libp2p.Transport(libp2pwebrtc.New),
		libp2p.SwarmOpts(swarm.WithDialRanker(rankWithoutBrowsers)),
	)
}

// rankWithoutBrowsers is libp2p's ranker for what a node dials itself.
func rankWithoutBrowsers(addrs []multiaddr.Multiaddr) []network.AddrDelay {
	own := make([]multiaddr.Multiaddr, 0, len(addrs))
	for _, a := range addrs {
		if !forBrowsers(a) {
			own = append(own, a)
		}
	}
	return swarm.DefaultDialRanker(own)
}

// forBrowsers reports whether an address is one that browsers can use. Links, records of peers
// that are passed on and the directory leave it out: it has up to 200 characters, and its
// hashes of certificates change after days.
func forBrowsers(a multiaddr.Multiaddr) bool {
	for _, c := range a {
		if code := c.Code(); code == multiaddr.P_WEBTRANSPORT || code == multiaddr.P_WEBRTC_DIRECT {
			return true
		}
	}
	return false
}

// listenForBrowsers has a host listen for browsers wherever it listens for QUIC.
func listenForBrowsers(h host.Host) error {
	var failed []error
	for _, a := range h.Network().ListenAddresses() {
		if _, err := a.ValueForProtocol(multiaddr.P_QUIC_V1); err != nil || forBrowsers(a) {
			continue
		}
		port, _ := multiaddr.SplitFunc(a, func(c multiaddr.Component) bool { return c.Code() == multiaddr.P_QUIC_V1 })
		for _, other := range []multiaddr.Multiaddr{
			a.Encapsulate(multiaddr.StringCast("/webtransport")),
			port.Encapsulate(multiaddr.StringCast("/webrtc-direct")),
		} {
			if err := h.Network().Listen(other); err != nil {
				failed = append(failed, fmt.Errorf("%w on %s: %w", ErrListen, other, err))
			}
		}
	}
	return errors.Join(failed...)
}

// BrowserAddrs returns the multiaddrs, with /p2p/, at which programs in browsers can connect,
// best first; none unless [Config.Browsers] is set.
func (n *Node) BrowserAddrs() (out []string) {
	for _, a := range n.host.Addrs() {
		if forBrowsers(a) && !linkLocal(a) {
			out = append(out, a.String()+"/p2p/"+n.host.ID().String())
		}
	}
	return out
}
