package p2p

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/quic-go/quic-go"
)

const (
	// pingEvery is how often the round trip to peers on TCP is measured. QUIC knows it
	// by itself.
	pingEvery = 15 * time.Second
	// pingTimeout bounds one measurement.
	pingTimeout = 5 * time.Second
)

// rtt returns the round trip to a connected peer, 0 if unknown.
func (n *Node) rtt(id peer.ID) time.Duration {
	for _, c := range n.host.Network().ConnsToPeer(id) {
		if q, ok := quicConn(c); ok {
			return q.ConnectionStats().SmoothedRTT
		}
	}
	return n.host.Peerstore().LatencyEWMA(id)
}

func quicConn(c network.Conn) (*quic.Conn, bool) {
	var q *quic.Conn
	return q, c.As(&q)
}

// measureRTTs pings peers that are connected by TCP only, until the node closes.
func (n *Node) measureRTTs() {
	ticker := time.NewTicker(pingEvery)
	defer ticker.Stop()
	for {
		for _, id := range n.host.Network().Peers() {
			c := n.path(id)
			if c == nil || c.Stat().Limited {
				continue
			}
			if _, ok := quicConn(c); ok {
				continue
			}
			ctx, cancel := context.WithTimeout(network.WithNoDial(n.ctx, "ping"), pingTimeout)
			<-ping.Ping(ctx, n.host, id) // which records it in the peerstore
			cancel()
		}
		select {
		case <-n.ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
