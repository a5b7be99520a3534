package p2p

import (
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

const (
	// cutOffFor is how long a peer that misbehaved is not listened to, the first time; each
	// time it is twice as long, up to cutOffMost.
	cutOffFor  = time.Minute
	cutOffMost = time.Hour
	// maxCutOff bounds the peers remembered, and maxCutOffAddrs the addresses.
	maxCutOff      = 4096
	maxCutOffAddrs = 1024
	// maxPeersAddr is how many peers of one address are cut off within addrWindow until nobody
	// new is let in from there: identities cost nothing, and addresses do. Fewer may be one
	// bad machine among a household's, or among an office's behind the same router.
	maxPeersAddr = 4
	addrWindow   = 10 * time.Minute
	// deafForget is how long a peer has to take what it is sent until it is forgotten that it did not:
	// networks fail now and then.
	deafForget = time.Minute
	// addrPrefix6 is how much of an IPv6 address tells one customer from another: a site has
	// a /56 or more (RFC 6177, section 2).
	addrPrefix6 = 56
)

// bans are the peers and the addresses that are not dealt with for a while.
type bans struct {
	mu      sync.Mutex // guards all following
	peers   map[peer.ID]ban
	addrs   map[netip.Prefix]*addrBan
	refused int64 // connections
}

// ban is for how long a peer is not listened to.
type ban struct {
	until time.Time
	next  time.Duration // for how long the next time
	shut  bool          // it is not let in, either
	lied  bool          // it was not only deaf
}

// addrBan is what peers of an address did.
type addrBan struct {
	ban
	since time.Time
	peers map[peer.ID]struct{} // cut off since then, maxPeersAddr at most
}

func newBans() *bans {
	return &bans{peers: make(map[peer.ID]ban), addrs: make(map[netip.Prefix]*addrBan)}
}

// add has a peer not listened to for a while, which it returns, 0 if that is so already. With
// shut no connections with it are made, either. Of an address that is valid nobody new is let
// in once too many came from there. The first time it is for least.
func (b *bans) add(id peer.ID, addr netip.Addr, least time.Duration, shut bool, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.peers[id]
	if now.Before(old.until) {
		return 0
	}
	makeRoom(b.peers, maxCutOff, now, func(o ban) time.Time { return o.until })
	if !old.lied && now.Sub(old.until) > deafForget {
		old.next = 0
	}
	d := max(old.next, least)
	lies := least >= cutOffFor
	// Who comes back and does it again has not just lost its network for a while.
	b.peers[id] = ban{now.Add(d), min(2*d, cutOffMost), shut || lies && old.lied, lies || old.lied}
	if prefix, ok := banPrefix(addr); ok && shut {
		b.addAddrLocked(prefix, id, now)
	}
	return d
}

func (b *bans) addAddrLocked(prefix netip.Prefix, id peer.ID, now time.Time) {
	a := b.addrs[prefix]
	if a == nil {
		makeRoom(b.addrs, maxCutOffAddrs, now, func(o *addrBan) time.Time { return later(o.until, o.since.Add(addrWindow)) })
		a = &addrBan{}
		b.addrs[prefix] = a
	}
	if now.Sub(a.since) > addrWindow {
		a.since, a.peers = now, make(map[peer.ID]struct{})
	}
	if a.peers[id] = struct{}{}; len(a.peers) < maxPeersAddr {
		return
	}
	d := max(a.next, cutOffFor)
	a.ban = ban{now.Add(d), min(2*d, cutOffMost), true, true}
	a.since = time.Time{} // counted anew from then on
}

// makeRoom forgets bans that ended long ago, and if that is not enough the one that ends first.
func makeRoom[K comparable, V any](all map[K]V, most int, now time.Time, ends func(V) time.Time) {
	if len(all) < most {
		return
	}
	var first K
	var at time.Time
	for k, v := range all {
		switch end := ends(v); {
		case now.Sub(end) > cutOffMost:
			delete(all, k)
		case at.IsZero() || end.Before(at):
			first, at = k, end
		}
	}
	if len(all) >= most {
		delete(all, first)
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// has reports whether a peer is not listened to now.
func (b *bans) has(id peer.ID, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return now.Before(b.peers[id].until)
}

// refuses reports whether no connection with a peer may be made now, and counts it.
func (b *bans) refuses(id peer.ID, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	o := b.peers[id]
	if !o.shut || !now.Before(o.until) {
		return false
	}
	b.refused++
	return true
}

// refusesAddr is refuses for whoever comes from an address.
func (b *bans) refusesAddr(addr netip.Addr, now time.Time) bool {
	prefix, ok := banPrefix(addr)
	if !ok {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.addrs[prefix]
	if a == nil || !now.Before(a.until) {
		return false
	}
	b.refused++
	return true
}

// figures returns how many peers and addresses are banned, and how many connections were refused.
func (b *bans) figures(now time.Time) (peers, addrs int, refused int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, o := range b.peers {
		if now.Before(o.until) {
			peers++
		}
	}
	for _, a := range b.addrs {
		if now.Before(a.until) {
			addrs++
		}
	}
	return peers, addrs, b.refused
}

// banPrefix returns what stands for an address. There is none of this machine's own: proxies
// and other programs of its owner come from there.
func banPrefix(addr netip.Addr) (netip.Prefix, bool) {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() || addr.IsLoopback() {
		return netip.Prefix{}, false
	}
	bits := 32
	if addr.Is6() {
		bits = addrPrefix6
	}
	prefix, err := addr.Prefix(bits)
	return prefix, err == nil
}

// peerAddr returns where a connection leads, no valid address if that is a relay.
func peerAddr(a multiaddr.Multiaddr) netip.Addr {
	if a == nil || isCircuit(a) {
		return netip.Addr{}
	}
	ip, err := manet.ToIP(a)
	if err != nil {
		return netip.Addr{}
	}
	addr, _ := netip.AddrFromSlice(ip)
	return addr.Unmap()
}

// addrOf returns where a peer is, or was lately; no valid address if that is not known.
func (n *Node) addrOf(id peer.ID) (addr netip.Addr) {
	for _, c := range n.host.Network().ConnsToPeer(id) {
		if a := peerAddr(c.RemoteMultiaddr()); a.IsValid() {
			addr = a
			if c.Stat().Direction == network.DirInbound {
				break // its own choice
			}
		}
	}
	if !addr.IsValid() {
		addr = n.whereabouts.of(id, time.Now())
	}
	return addr
}
