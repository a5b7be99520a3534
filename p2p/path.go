package p2p

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// A path to a peer is direct, or leads through a relay. A relay that limits what it carries
// says so when the connection is made, and libp2p marks it limited: then it is good for
// identifying each other, for making holes in routers and for a timeline with the records of
// further peers, and chunks and gossip wait for a direct one. One that sets no limits
// carries everything.

// ErrOnlyRelayed is wrapped where a peer could be reached only through a relay that carries
// no media.
var ErrOnlyRelayed = errors.New("no direct way to the peer, and the relay carries no media")

// errLimitedPath refuses what a relay that limits connections was not asked to carry.
var errLimitedPath = errors.New("the relay between carries no media")

// light reports whether a request may go through a relay that carries no media: the last
// segments' headers, with the records of peers that may be reached otherwise.
func (r fetchRequest) light() bool {
	return len(r.parts) == 0 && r.past == nil && (r.timeline == nil || r.timeline.segments > 0 && r.timeline.segments <= joinSegments+1)
}

func isCircuit(a multiaddr.Multiaddr) bool {
	_, err := a.ValueForProtocol(multiaddr.P_CIRCUIT)
	return err == nil
}

// relayed reports whether a connection leads through a relay.
func relayed(c network.Conn) bool { return isCircuit(c.RemoteMultiaddr()) }

func relayedConns(conns []network.Conn) []network.Conn {
	return slices.DeleteFunc(conns, func(c network.Conn) bool { return !relayed(c) })
}

// path returns the connection that new streams to a peer take, or nil.
func (n *Node) path(id peer.ID) (best network.Conn) {
	rank := func(c network.Conn) int {
		switch {
		case c.Stat().Limited:
			return 0
		case relayed(c):
			return 1
		}
		return 2
	}
	for _, c := range n.host.Network().ConnsToPeer(id) {
		if !c.IsClosed() && (best == nil || rank(c) > rank(best)) {
			best = c
		}
	}
	return best
}

// limited reports whether a peer is connected only through relays that limit what they carry.
func (n *Node) limited(id peer.ID) bool {
	return n.host.Network().Connectedness(id) == network.Limited
}

// connect connects to a peer within dialTimeout, so that chunks can flow. Who is reached
// through a relay that carries none has to become reachable directly within punchTimeout.
func (n *Node) connect(ctx context.Context, info peer.AddrInfo) error {
	return n.connectWithin(ctx, info, dialTimeout)
}

func (n *Node) connectWithin(ctx context.Context, info peer.AddrInfo, timeout time.Duration) error {
	dialCtx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := n.dial(dialCtx, info); err != nil {
		return err
	}
	if !n.limited(info.ID) {
		return nil
	}
	err := n.awaitDirect(ctx, info.ID)
	if err != nil {
		for _, c := range relayedConns(n.host.Network().ConnsToPeer(info.ID)) {
			_ = c.Close() // it fails only if it is closed already
		}
	}
	return err
}

// dial dials a peer's direct addresses at once, and those through relays when this node is
// ready for what follows.
func (n *Node) dial(ctx context.Context, info peer.AddrInfo) error {
	circuits := slices.DeleteFunc(slices.Clone(info.Addrs), func(a multiaddr.Multiaddr) bool { return !isCircuit(a) })
	if len(circuits) == 0 || n.reach == nil {
		return n.host.Connect(ctx, info)
	}
	ready := make(chan struct{})
	direct := make(chan error, 1)
	n.wg.Go(func() {
		defer close(ready)
		n.reach.prepare(ctx, circuits)
	})
	if own := slices.DeleteFunc(slices.Clone(info.Addrs), isCircuit); len(own) > 0 {
		n.wg.Go(func() { direct <- n.host.Connect(ctx, peer.AddrInfo{ID: info.ID, Addrs: own}) })
	}
	for {
		select {
		case err := <-direct:
			if err == nil {
				return nil
			}
		case <-ready:
			return n.host.Connect(ctx, info)
		}
	}
}

// awaitDirect waits until hole punching, which both ends begin by themselves, has made a
// connection that is not limited.
func (n *Node) awaitDirect(ctx context.Context, id peer.ID) error {
	ctx, cancel := context.WithTimeout(ctx, punchTimeout)
	defer cancel()
	events, err := n.host.EventBus().Subscribe(new(event.EvtPeerConnectednessChanged))
	if err != nil {
		return fmt.Errorf("watch connections: %w", err)
	}
	defer events.Close()
	for {
		switch n.host.Network().Connectedness(id) {
		case network.Connected:
			return nil
		case network.NotConnected:
			return fmt.Errorf("%w: the relay closed the connection", ErrOnlyRelayed)
		}
		select {
		case <-events.Out():
		case <-ctx.Done():
			return ErrOnlyRelayed
		}
	}
}
