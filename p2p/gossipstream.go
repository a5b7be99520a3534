package p2p

import (
	"sync"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// gossipHost is a host as gossipsub sees it. gossipsub ends a stream on which comes what it
// cannot read, and tells nobody of it; so who sends that again and again is found here.
type gossipHost struct {
	host.Host
	n *Node

	mu   sync.Mutex // guards all following
	open map[peer.ID]int
}

func newGossipHost(n *Node, h host.Host) *gossipHost {
	return &gossipHost{Host: h, n: n, open: make(map[peer.ID]int)}
}

// SetStreamHandler implements host.Host.
func (h *gossipHost) SetStreamHandler(id protocol.ID, handler network.StreamHandler) {
	h.Host.SetStreamHandler(id, h.watched(handler))
}

// SetStreamHandlerMatch implements host.Host.
func (h *gossipHost) SetStreamHandlerMatch(id protocol.ID, match func(protocol.ID) bool, handler network.StreamHandler) {
	h.Host.SetStreamHandlerMatch(id, match, h.watched(handler))
}

func (h *gossipHost) watched(handler network.StreamHandler) network.StreamHandler {
	return func(s network.Stream) {
		id := s.Conn().RemotePeer()
		h.count(id, 1)
		defer h.count(id, -1)
		handler(&gossipStream{Stream: s, h: h, from: id})
	}
}

func (h *gossipHost) count(id peer.ID, by int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open[id] += by; h.open[id] == 0 {
		delete(h.open, id)
	}
}

// only reports whether a peer has one stream: of two, the older is ended without blame.
func (h *gossipHost) only(id peer.ID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.open[id] == 1
}

// gossipStream is one by which a peer speaks gossipsub.
type gossipStream struct {
	network.Stream
	h      *gossipHost
	from   peer.ID
	broken atomic.Bool // its connection is
}

// Read implements io.Reader.
func (s *gossipStream) Read(b []byte) (int, error) {
	n, err := s.Stream.Read(b)
	if err != nil {
		s.broken.Store(true)
	}
	return n, err
}

// Reset implements network.Stream. It is called where what was read is no message, or is too
// large; where reading fails; and when gossipsub ends.
func (s *gossipStream) Reset() error {
	if !s.broken.Load() && s.h.only(s.from) && s.h.n.ctx.Err() == nil {
		s.h.n.fault(s.from, Malformed)
	}
	return s.Stream.Reset()
}
