package p2p

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	relayv2 "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"golang.org/x/time/rate"
)

// A relay that carries no media limits each connection to what two nodes say to each other
// until they are connected directly, or give up:
//
//	identify, both ways                              2 x 4 KiB
//	three rounds of hole punching, of 2 messages     3 x 2 x 2 KiB
//	handshakes of TLS and yamux                      4 KiB
//	a timeline of 5 segments of 4 parts, 500 bytes
//	a header, for 16 renditions                      160 KiB
//	records of 16 further peers                      16 x 2 KiB
//
// which is about 216 KiB. It takes a peer punchTimeout to give up.
const (
	controlData = 256 << 10
	controlFor  = 2 * punchTimeout
)

const (
	// maxPlaces bounds the nodes that may be reached through this one, and maxPlacesIP those
	// of one address: a whole household, or a floor of an office.
	maxPlaces   = 256
	maxPlacesIP = 32
	// maxPlacesASN bounds those of one provider: many viewers of a stream have the same.
	maxPlacesASN = 128
	// maxCircuits bounds the connections to one node through this one.
	maxCircuits = 16
	// placeFor is how long a place is kept.
	placeFor = time.Hour
	// relayBuffer is read at once of what is carried: about a chunk with media.
	relayBuffer      = 2 << 10
	relayMediaBuffer = 16 << 10
)

// RelayConfig says what a node does for others that nobody can reach directly.
type RelayConfig struct {
	// Media is how many bits per second of media the node carries between others in all,
	// each way counted. 0 carries only what it takes to connect directly.
	Media int
}

// relayService offers libp2p's circuit relay (version 2) while this node can be reached.
type relayService struct {
	host.Host // as the relay sees it: streams are counted and paced
	n         *Node
	cfg       RelayConfig
	limiter   *rate.Limiter // nil unless media are carried
	relay     *relayv2.Relay
	bytes     atomic.Int64 // carried
}

func newRelayService(n *Node, cfg RelayConfig) *relayService {
	s := &relayService{Host: n.host, n: n, cfg: cfg}
	if cfg.Media > 0 {
		// A quarter of a second may come at once, as parts do.
		bytes := float64(cfg.Media) / 8
		s.limiter = rate.NewLimiter(rate.Limit(bytes), max(relayMediaBuffer, int(bytes/4)))
	}
	return s
}

// offer begins or ends the service.
func (s *relayService) offer(reachable bool) {
	switch {
	case reachable && s.relay == nil:
		relay, err := relayv2.New(s, relayv2.WithResources(s.resources()))
		if err != nil {
			s.n.log.Error("cannot relay", "err", err)
			return
		}
		s.relay = relay
		s.n.log.Info("relaying for nodes that nobody can reach directly", "media", s.cfg.Media > 0)
	case !reachable && s.relay != nil:
		s.close()
	}
}

func (s *relayService) close() {
	if s.relay != nil {
		_ = s.relay.Close() // it never fails
		s.relay = nil
	}
}

func (s *relayService) resources() relayv2.Resources {
	r := relayv2.DefaultResources()
	r.Limit = &relayv2.RelayLimit{Duration: controlFor, Data: controlData}
	r.ReservationTTL = placeFor
	r.MaxReservations, r.MaxReservationsPerIP, r.MaxReservationsPerASN = maxPlaces, maxPlacesIP, maxPlacesASN
	r.MaxCircuits, r.BufferSize = maxCircuits, relayBuffer
	if s.limiter != nil {
		r.Limit, r.BufferSize = nil, relayMediaBuffer
	}
	return r
}

// SetStreamHandler implements host.Host.
func (s *relayService) SetStreamHandler(id protocol.ID, handler network.StreamHandler) {
	s.Host.SetStreamHandler(id, func(str network.Stream) { handler(&carriedStream{str, s}) })
}

// NewStream implements host.Host.
func (s *relayService) NewStream(ctx context.Context, id peer.ID, protocols ...protocol.ID) (network.Stream, error) {
	str, err := s.Host.NewStream(ctx, id, protocols...)
	if err != nil {
		return nil, err
	}
	return &carriedStream{str, s}, nil
}

// carriedStream is one end of what a relay carries.
type carriedStream struct {
	network.Stream
	s *relayService
}

// Read implements io.Reader. It is as slow as the service has to be: whoever sends feels it.
func (c *carriedStream) Read(b []byte) (int, error) {
	n, err := c.Stream.Read(b)
	c.s.bytes.Add(int64(n))
	if c.s.limiter != nil && n > 0 {
		if waitErr := c.s.limiter.WaitN(c.s.n.ctx, n); err == nil {
			err = waitErr
		}
	}
	return n, err
}
