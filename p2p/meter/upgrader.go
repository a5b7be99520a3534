package meter

import (
	"context"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Upgrader has the connections of a TCP transport counted, before they are secured.
type Upgrader struct {
	transport.Upgrader
	Meter *Meter
}

var _ transport.Upgrader = Upgrader{}

// Upgrade implements transport.Upgrader, for connections that were dialled.
func (u Upgrader) Upgrade(ctx context.Context, t transport.Transport, c manet.Conn, dir network.Direction, p peer.ID, scope network.ConnManagementScope) (transport.CapableConn, error) {
	return u.Upgrader.Upgrade(ctx, t, u.Meter.newConn(c), dir, p, scope)
}

// UpgradeListener implements transport.Upgrader.
func (u Upgrader) UpgradeListener(t transport.Transport, l manet.Listener) transport.Listener {
	return u.UpgradeGatedMaListener(t, u.GateMaListener(l))
}

// UpgradeGatedMaListener implements transport.Upgrader, for connections that are accepted.
func (u Upgrader) UpgradeGatedMaListener(t transport.Transport, l transport.GatedMaListener) transport.Listener {
	return u.Upgrader.UpgradeGatedMaListener(t, &listener{l, u.Meter})
}

// listener accepts connections that are counted.
type listener struct {
	transport.GatedMaListener
	meter *Meter
}

// Accept implements transport.GatedMaListener.
func (l *listener) Accept() (manet.Conn, network.ConnManagementScope, error) {
	c, scope, err := l.GatedMaListener.Accept()
	if err != nil {
		return nil, nil, err
	}
	return l.meter.newConn(c), scope, nil
}
