package p2p

import (
	"net"
	"slices"
	"sync"

	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// maxGone bounds the addresses of this machine that are remembered as gone.
const maxGone = 64

// ownAddrs keeps a host's addresses right when this machine's change. libp2p looks at those once
// a minute, and would tell peers, and links, the old ones until then.
type ownAddrs struct {
	mu        sync.Mutex // guards all following
	listening func() []multiaddr.Multiaddr
	now       []string            // this machine's IP addresses, nil until they change
	gone      map[string]struct{} // those that it had
}

// listen says where the host listens.
func (o *ownAddrs) listen(listening func() []multiaddr.Multiaddr) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.listening = listening
}

// change notes that this machine has other IP addresses.
func (o *ownAddrs) change(before, now []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.gone == nil || len(o.gone) > maxGone {
		o.gone = make(map[string]struct{})
	}
	for _, ip := range before {
		o.gone[ip] = struct{}{}
	}
	for _, ip := range now {
		delete(o.gone, ip)
	}
	o.now = slices.Clone(now)
}

// correct is the host's address factory: what libp2p found, without what is gone, and with what
// is new.
func (o *ownAddrs) correct(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	o.mu.Lock()
	now, listening := o.now, o.listening
	out := slices.DeleteFunc(slices.Clone(addrs), func(a multiaddr.Multiaddr) bool {
		ip, err := manet.ToIP(a)
		if err != nil || isCircuit(a) {
			return false
		}
		_, gone := o.gone[ip.String()]
		return gone
	})
	o.mu.Unlock()
	if len(now) == 0 || listening == nil {
		return out
	}
	for _, l := range listening() {
		if !manet.IsIPUnspecified(l) || forBrowsers(l) { // those have hashes, which libp2p adds
			continue
		}
		for _, ip := range now {
			if a := withIP(l, ip); a != nil && !slices.ContainsFunc(out, a.Equal) {
				out = append(out, a)
			}
		}
	}
	return out
}

// withIP returns an address that listens on all of a family's IP addresses with one of them, or
// nil if that is of the other family.
func withIP(l multiaddr.Multiaddr, text string) multiaddr.Multiaddr {
	ip, err := manet.FromIP(net.ParseIP(text))
	if err != nil || ip[0].Code() != l[0].Code() {
		return nil
	}
	return ip.Encapsulate(l[1:])
}
