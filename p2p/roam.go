package p2p

import (
	"context"
	"maps"
	"net"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/multiformats/go-multiaddr"
	"github.com/quic-go/quic-go"
)

const (
	// addressEvery is how often to look at this machine's own addresses: what is not noticed
	// here shows after six seconds as silence, when a player has little left.
	addressEvery = 500 * time.Millisecond
	// roamProbe is how long a connection of which a newer one lives may take to bring an
	// acknowledgement, and roamTrips how many round trips of its, if that is longer.
	roamProbe = 300 * time.Millisecond
	roamTrips = 4
	// roamKnown is how long a peer that is gone is dialled after a change: with an address
	// goes what was connected by it, at once or while it is missing.
	roamKnown = time.Minute
	// maxRoamDials bounds the peers that are dialled anew at a time.
	maxRoamDials = 16
)

// watchAddresses connects anew to all peers when this machine's addresses change, until the
// node closes. A QUIC connection that this end began may outlive that, but carried nothing
// for up to 12 s where it did, measured in network namespaces; connecting takes two trips.
func (n *Node) watchAddresses() {
	ticker := time.NewTicker(addressEvery)
	defer ticker.Stop()
	before := ownAddresses()
	known := make(map[peer.ID]*lately)
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-ticker.C:
		}
		at := time.Now()
		n.noteConns(known, at)
		now := ownAddresses()
		if slices.Equal(before, now) {
			continue
		}
		n.log.Info("this machine's addresses changed", "before", before, "now", now)
		n.own.change(before, now)
		before = now
		if n.reach != nil {
			n.reach.refresh()
		}
		if len(now) > 0 {
			n.roamed(maps.Clone(known))
		}
	}
}

// lately is a peer that was connected not long ago.
type lately struct {
	at    time.Time
	where []multiaddr.Multiaddr // that it was heard from last, which it may not know itself
}

// noteConns notes who is connected, and forgets who has been gone for long.
func (n *Node) noteConns(known map[peer.ID]*lately, now time.Time) {
	for _, c := range n.host.Network().Conns() {
		l := &lately{at: now}
		if q, ok := quicConn(c); ok {
			if a, err := quicreuse.ToQuicMultiaddr(q.RemoteAddr(), q.ConnectionState().Version); err == nil {
				l.where = append(l.where, a)
			}
		}
		known[c.RemotePeer()] = l
	}
	maps.DeleteFunc(known, func(_ peer.ID, l *lately) bool { return now.Sub(l.at) > roamKnown })
}

// ownAddresses returns the addresses of this machine that lead elsewhere, in order.
func ownAddresses() (out []string) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range addrs {
		ip, ok := a.(*net.IPNet)
		if ok && !ip.IP.IsLoopback() && !ip.IP.IsLinkLocalUnicast() {
			out = append(out, ip.IP.String())
		}
	}
	slices.Sort(out)
	return out
}

// roamed connects to peers anew.
func (n *Node) roamed(peers map[peer.ID]*lately) {
	for _, s := range n.Swarms() {
		s.dialer.again()
	}
	if n.reach != nil {
		n.reach.again()
	}
	dials := make(chan struct{}, maxRoamDials)
	for id, l := range peers {
		n.wg.Go(func() {
			// Who dialled this node does not know where it is now.
			info := peer.AddrInfo{ID: id, Addrs: append(l.where, n.host.Peerstore().Addrs(id)...)}
			_ = n.host.Network().ClosePeer(id) // it fails only if it is closed already
			select {
			case dials <- struct{}{}:
				defer func() { <-dials }()
			case <-n.ctx.Done():
				return
			}
			if err := n.connect(n.ctx, info); err != nil {
				n.log.Debug("peer not found again", "peer", id, "err", err)
			}
		})
	}
}

// replaced begins anew with a peer of which a connection is dead and a newer one is not: it
// changed its address. What runs over the dead one would wait there for half a minute, and
// gossipsub forgets what the peer said over the new one as soon as the dead one ends.
func (n *Node) replaced(dead, alive network.Conn) {
	q, ok := quicConn(dead)
	if !ok || !n.silentNow(dead, q) {
		return
	}
	id := dead.RemotePeer()
	info := peer.AddrInfo{ID: id, Addrs: []multiaddr.Multiaddr{alive.RemoteMultiaddr()}}
	n.log.Info("peer has another address", "peer", id, "addr", alive.RemoteMultiaddr())
	_ = n.host.Network().ClosePeer(id) // it fails only if it is closed already
	if err := n.connect(n.ctx, info); err != nil {
		n.log.Debug("peer not found again", "peer", id, "err", err)
	}
}

// silentNow reports whether a connection on QUIC brings no acknowledgement.
func (n *Node) silentNow(c network.Conn, q *quic.Conn) bool {
	before := q.ConnectionStats()
	ctx, cancel := context.WithTimeout(n.ctx, max(roamProbe, roamTrips*before.SmoothedRTT))
	defer cancel()
	// Whatever is sent is acknowledged.
	if str, err := c.NewStream(network.WithAllowLimitedConn(ctx, "probe")); err == nil {
		defer str.Reset()
		_, _ = str.Write([]byte{0})
	}
	<-ctx.Done()
	return n.ctx.Err() == nil && q.ConnectionStats().PacketsReceived == before.PacketsReceived
}

// refresh has the host look at its addresses at once, as it does when those through relays
// change.
func (r *reach) refresh() {
	r.mu.Lock()
	defer r.mu.Unlock()
	// It fails only when the host has ended.
	_ = r.emitter.Emit(event.EvtAutoRelayAddrsUpdated{RelayAddrs: slices.Clone(r.announced)})
}

// again has all candidates dialled that are not connected, however often they could not
// be reached: they may be now.
func (d *dialer) again() {
	d.mu.Lock()
	for _, c := range d.candidates {
		c.wait, c.next = 0, time.Time{}
	}
	d.mu.Unlock()
	d.wake()
}

// again is dialer.again for the peers to stay connected to, and for relays.
func (r *reach) again() {
	r.mu.Lock()
	for _, c := range r.dials {
		c.wait, c.next = 0, time.Time{}
	}
	clear(r.rests)
	r.mu.Unlock()
	r.wake()
}
