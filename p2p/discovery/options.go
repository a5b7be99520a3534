package discovery

import (
	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p-kad-dht/amino"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

const (
	// ownPrefix begins the protocol of DHTs of one's own.
	ownPrefix protocol.ID = "/grapevine"
	// ownValidity is how long servers of one's own DHT keep a provider: for the slot
	// that it was announced for, which may begin ten minutes later.
	ownValidity = slotLength + 2*slotMargin
)

// options returns what kad-dht is started with.
func (d *DHT) options() []kaddht.Option {
	out := []kaddht.Option{kaddht.BootstrapPeers(d.cfg.Bootstrap...), kaddht.Mode(kaddht.ModeAuto)}
	if d.cfg.Server {
		out = append(out, kaddht.Mode(kaddht.ModeServer))
	}
	if !d.cfg.Public {
		return append(out,
			kaddht.ProtocolPrefix(ownPrefix),
			kaddht.DisableValues(),
			kaddht.ProviderStore(newStore(d.cfg.Host, ownValidity)),
		)
	}
	// As IPFS nodes do for the wide area network.
	return append(out,
		kaddht.Datastore(newValues()),
		kaddht.ProviderStore(newStore(d.cfg.Host, amino.DefaultProvideValidity)),
		kaddht.QueryFilter(kaddht.PublicQueryFilter),
		kaddht.RoutingTableFilter(kaddht.PublicRoutingTableFilter),
		kaddht.RoutingTablePeerDiversityFilter(kaddht.NewRTPeerDiversityFilter(d.cfg.Host, amino.DefaultMaxPeersPerIPGroupPerCpl, amino.DefaultMaxPeersPerIPGroup)),
		kaddht.AddressFilter(publicOnly),
	)
}

// usable returns those of a peer's addresses that may be dialled, or announced.
func (d *DHT) usable(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	if d.cfg.Public {
		return publicOnly(addrs)
	}
	return addrs
}

func publicOnly(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	return multiaddr.FilterAddrs(addrs, manet.IsPublicAddr)
}

// PublicBootstrap returns the bootstrap nodes of the IPFS network's DHT.
func PublicBootstrap() []peer.AddrInfo { return kaddht.GetDefaultBootstrapPeerAddrInfos() }
