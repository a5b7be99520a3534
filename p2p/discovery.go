package p2p

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/p2p/discovery"
)

// DHT says in which DHT a node finds peers by a bare stream ID, and is found.
type DHT struct {
	// Bootstrap are the nodes by way of which it is entered.
	Bootstrap []peer.AddrInfo
	// Public says that it is that of the IPFS network. Otherwise it is one of one's own.
	Public bool
	// Server has the node always answer others' queries, from its start. Others enter the
	// DHT when they have something to look for or to announce, and answer while they are
	// known to be reachable.
	Server bool
}

// PublicDHT returns the IPFS network's DHT, with its bootstrap nodes.
func PublicDHT() *DHT { return &DHT{Bootstrap: discovery.PublicBootstrap(), Public: true} }

// Source is by what a peer was found.
type Source string

// All sources. Each peer counts for the one that told of it first.
const (
	FoundByLink     Source = "link"
	FoundByHome     Source = "home"     // it served the stream in an earlier run
	FoundByMDNS     Source = "mdns"     // on the local network
	FoundByExchange Source = "exchange" // other peers of the stream told of it
	FoundByDHT      Source = "dht"
	FoundByItself   Source = "incoming" // it found this node, and nobody else told of it
)

// startDHT starts what the configuration asks for, if anything.
func (n *Node) startDHT() (err error) {
	if n.cfg.DHT == nil {
		return nil
	}
	n.dht, err = discovery.New(discovery.Config{
		Host:      n.host,
		Bootstrap: n.cfg.DHT.Bootstrap,
		Public:    n.cfg.DHT.Public,
		Server:    n.cfg.DHT.Server,
	})
	if err != nil {
		return fmt.Errorf("start discovery: %w", err)
	}
	return nil
}

// closeDHT leaves the DHT. Nobody can be taken out of it: what was announced expires.
func (n *Node) closeDHT() {
	if n.dht == nil {
		return
	}
	if err := n.dht.Close(); err != nil {
		n.log.Warn("cannot leave the DHT", "err", err)
	}
}
