package p2p

import (
	"time"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// OnLoop runs f on the swarm's loop, and waits for it.
func (s *Swarm) OnLoop(f func()) {
	_ = s.send(s.ctx, func(time.Time) { f() })
}

// Sources returns how many peers the swarm's repair knows.
func (s *Swarm) Sources() (n int) {
	s.OnLoop(func() { n = len(s.repair.peers) })
	return n
}

// Subscribed reports whether the node knows a peer of a topic.
func (n *Node) Subscribed(topic string) bool { return len(n.ps.ListPeers(topic)) > 0 }

// Host returns the node's host.
func (n *Node) Host() host.Host { return n.host }

// TakeLoopbackForOutside has the node believe that this machine is the internet. It is
// called before Start.
func (n *Node) TakeLoopbackForOutside() {
	n.reach.outside = func(multiaddr.Multiaddr) bool { return true }
}

// FetchPart asks a peer for the first chunk of a part.
func (s *Swarm) FetchPart(id peer.ID, rendition string, pos stream.Position) (chunks int, err error) {
	want := stream.NewBitmap(1)
	want.Set(0)
	f := s.fetch(id, fetchRequest{stream: s.id, parts: []partRequest{{rendition: rendition, position: pos, want: want}}}, nil)
	return f.chunks, f.err
}

// FetchTimeline asks a peer for the last headers.
func (s *Swarm) FetchTimeline(id peer.ID) (headers int, err error) {
	f := s.fetch(id, fetchRequest{stream: s.id, timeline: &timelineRequest{segments: 1}}, nil)
	return f.headers, f.err
}

// PartRequest returns the bytes of a request for the first chunk of a part.
func PartRequest(id stream.ID, rendition string, pos stream.Position) []byte {
	want := stream.NewBitmap(1)
	want.Set(0)
	return fetchRequest{stream: id, parts: []partRequest{{rendition: rendition, position: pos, want: want}}}.marshal()
}

// FetchProtocol is the fetch protocol's name.
const FetchProtocol = fetchProtocol

// OnlyTo has the node connected to nobody but these hosts.
func (n *Node) OnlyTo(hosts ...host.Host) {
	only := make(map[peer.ID]struct{})
	for _, h := range hosts {
		only[h.ID()] = struct{}{}
	}
	n.gate.only.Store(&only)
}

// ReportProtocol is the name of the protocol that passes reports back.
const ReportProtocol = reportProtocol

// MarshalReports returns the bytes of a message of reports.
func MarshalReports(id stream.ID, reports [][]byte) []byte { return marshalReports(id, reports) }

// Bounds of reports.
const (
	PeerReports     = peerReports
	PeerReportsRate = peerReportsRate
	AllReports      = allReports
	AllReportsRate  = allReportsRate
)
