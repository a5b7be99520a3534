package p2p

import (
	"fmt"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
)

// mdnsService is the DNS-SD service (RFC 6763) by which grapevine nodes find each
// other on the local network.
const mdnsService = "_grapevine._udp"

// localDiscovery finds nodes on the local network and lets them find this one.
type localDiscovery struct {
	node    *Node
	service mdns.Service
	found   atomic.Int64
}

func newLocalDiscovery(n *Node) *localDiscovery {
	d := &localDiscovery{node: n}
	d.service = mdns.NewMdnsService(n.host, mdnsService, d)
	return d
}

func (d *localDiscovery) start() error {
	if err := d.service.Start(); err != nil {
		return fmt.Errorf("start mDNS: %w", err)
	}
	return nil
}

func (d *localDiscovery) close() {
	if err := d.service.Close(); err != nil {
		d.node.log.Warn("cannot stop mDNS", "err", err)
	}
}

// HandlePeerFound implements mdns.Notifee.
func (d *localDiscovery) HandlePeerFound(info peer.AddrInfo) {
	d.found.Add(1)
	d.node.onLocalPeer(info)
}
