package p2ptest

import (
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/metrics"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// meter counts a host's bytes. libp2p's own counter runs a goroutine on the wall
// clock, which would outlive a synctest bubble.
type meter struct{ in, out atomic.Int64 }

var _ metrics.Reporter = (*meter)(nil)

// libp2p calls these for whole messages and for streams' bytes alike; only the latter
// happens in practice.
func (m *meter) LogSentMessage(n int64)                                 {}
func (m *meter) LogRecvMessage(n int64)                                 {}
func (m *meter) LogSentMessageStream(n int64, _ protocol.ID, _ peer.ID) { m.out.Add(n) }
func (m *meter) LogRecvMessageStream(n int64, _ protocol.ID, _ peer.ID) { m.in.Add(n) }

func (m *meter) GetBandwidthTotals() metrics.Stats {
	return metrics.Stats{TotalIn: m.in.Load(), TotalOut: m.out.Load()}
}
func (m *meter) GetBandwidthForPeer(peer.ID) metrics.Stats             { return metrics.Stats{} }
func (m *meter) GetBandwidthForProtocol(protocol.ID) metrics.Stats     { return metrics.Stats{} }
func (m *meter) GetBandwidthByPeer() map[peer.ID]metrics.Stats         { return nil }
func (m *meter) GetBandwidthByProtocol() map[protocol.ID]metrics.Stats { return nil }
func (m *meter) Reset()                                                {}
func (m *meter) TrimIdle(time.Time)                                    {}
