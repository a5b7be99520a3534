package p2p

import (
	"fmt"

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
	d.node.mdnsFound.Add(1)
	d.node.onLocalPeer(info)
}

// startMDNS searches the local network, if that is configured. Node.pausing must be held.
func (n *Node) startMDNS() {
	if !n.cfg.MDNS || n.mdns != nil {
		return
	}
	d := newLocalDiscovery(n)
	if err := d.start(); err != nil {
		// A machine without multicast is still a node.
		n.log.Warn("cannot search the local network", "err", err)
		return
	}
	n.mdns = d
}

// closeMDNS ends that. Node.pausing must be held.
func (n *Node) closeMDNS() {
	if n.mdns != nil {
		n.mdns.close()
		n.mdns = nil
	}
}
