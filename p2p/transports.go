package p2p

import (
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/transport"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/p2p/transport/tcpreuse"
	"github.com/quic-go/quic-go"

	"github.com/grapevine-live/grapevine/p2p/meter"
)

// sockets are those of a node's own host, QUIC and TCP, with all that they send and receive
// counted.
type sockets struct {
	meter *meter.Meter
	quic  *quicreuse.ConnManager // nil until the host is made
}

// option makes them the host's transports.
func (s *sockets) option(guard *Guard) libp2p.Option {
	return libp2p.ChainOptions(
		libp2p.QUICReuse(func(key quic.StatelessResetKey, tokens quic.TokenGeneratorKey, rcmgr network.ResourceManager) (_ *quicreuse.ConnManager, err error) {
			s.quic, err = quicreuse.NewConnManager(key, tokens,
				quicreuse.OverrideListenUDP(s.meter.ListenUDP),
				guard.QUIC(),
				quicreuse.VerifySourceAddress(rcmgr.VerifySourceAddress),
			)
			return s.quic, err
		}),
		libp2p.Transport(libp2pquic.NewTransport),
		libp2p.Transport(func(upgrader transport.Upgrader, rcmgr network.ResourceManager, shared *tcpreuse.ConnMgr) (*tcp.TcpTransport, error) {
			return tcp.NewTCPTransport(meter.Upgrader{Upgrader: upgrader, Meter: s.meter}, rcmgr, shared)
		}),
	)
}

// close ends what the host leaves of them.
func (s *sockets) close() error {
	if s.quic == nil {
		return nil
	}
	return s.quic.Close()
}
