package p2p

import (
	"sync"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	basichost "github.com/libp2p/go-libp2p/p2p/host/basic"
)

// router is what this network's router maps, as libp2p's manager of it knows.
type router struct {
	mu      sync.Mutex // guards all following
	manager basichost.NATManager
}

// manage makes the manager, which searches the router from then on.
func (r *router) manage(n network.Network) basichost.NATManager {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.manager = basichost.NewNATManager(n)
	return r.manager
}

// state reports whether a router answers by UPnP or NAT-PMP, and the addresses outside that
// it maps to those of the host.
func (r *router) state(h host.Host) (found bool, mapped []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.manager == nil {
		return false, nil
	}
	for _, a := range h.Network().ListenAddresses() {
		if outside := r.manager.GetMapping(a); outside != nil {
			mapped = append(mapped, outside.String())
		}
	}
	return r.manager.HasDiscoveredNAT(), mapped
}
