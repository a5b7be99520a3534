package p2p_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
)

// hidden is a stream whose broadcaster nobody reaches but through a relay, all on loopback.
type hidden struct {
	relay, broadcaster, viewer *p2p.Node
	cast                       *p2p.Broadcast
	key                        stream.Key
	circuit                    string // address of the broadcaster
}

// newHidden makes one. The viewer has not joined yet.
func newHidden(t *testing.T, cfg p2p.RelayConfig) *hidden {
	t.Helper()
	h := &hidden{key: stream.NewKey()}
	loopback := []string{"/ip4/127.0.0.1/udp/0/quic-v1"}
	h.relay = startReach(t, p2p.Config{Listen: loopback, Relay: &cfg}, true)
	h.broadcaster = startReach(t, p2p.Config{Listen: loopback, Peers: h.relay.Addrs()}, true)
	// The viewer does not wait for what it could say of its router: there is none.
	h.viewer = startReach(t, p2p.Config{Listen: loopback}, false)
	eventually(t, "the broadcaster has a place at the relay", func() bool { return len(h.broadcaster.Reach().Relays) == 1 })
	h.circuit = fmt.Sprintf("%s/p2p-circuit/p2p/%s", h.relay.Addrs()[0], h.broadcaster.ID())
	cast, err := h.broadcaster.Broadcast(h.key, "main", 1)
	if err != nil {
		t.Fatal(err)
	}
	h.cast = cast
	h.publish(t)
	return h
}

func startReach(t *testing.T, cfg p2p.Config, outside bool) *p2p.Node {
	t.Helper()
	n, err := p2p.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if outside {
		n.TakeLoopbackForOutside()
	}
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

// partSize is two chunks.
const partSize = 40 << 10

// publish publishes a segment of one part.
func (h *hidden) publish(t *testing.T) {
	t.Helper()
	part := stream.Part{
		StartsSegment: true, EndsSegment: true, Independent: true,
		Data:        make([]byte, partSize),
		Duration:    100 * time.Millisecond,
		ProgramTime: time.Now(),
	}
	if err := h.cast.Publish(t.Context(), part); err != nil {
		t.Fatal(err)
	}
}

func (h *hidden) join(t *testing.T) *p2p.Swarm {
	t.Helper()
	s, err := h.viewer.Join(stream.Link{Stream: h.key.ID(), Peers: []string{h.circuit}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (h *hidden) connectedness() network.Connectedness {
	return h.viewer.Host().Network().Connectedness(h.broadcaster.ID())
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !so() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("it never came about that %s", what)
		}
	}
}

func TestRelayWithoutMediaCarriesHeadersOnly(t *testing.T) {
	h := newHidden(t, p2p.RelayConfig{})
	if h.broadcaster.Reach().Relays[0].Media {
		t.Error("the relay says that it carries media")
	}
	s := h.join(t)
	eventually(t, "the viewer is connected through the relay", func() bool { return h.connectedness() == network.Limited })

	headers, err := s.FetchTimeline(h.broadcaster.ID())
	if err != nil || headers == 0 {
		t.Errorf("%d headers of the timeline: %v", headers, err)
	}
	if n, err := s.FetchPart(h.broadcaster.ID(), "main", stream.Position{Epoch: 1}); n > 0 || err == nil {
		t.Errorf("the viewer asked for a chunk through the relay, and got %d: %v", n, err)
	}
	if data := h.insist(t); len(data) > 0 {
		t.Errorf("who insists gets %d bytes of a chunk", len(data))
	}
	if st := s.Stats(); st.ChunksReceived > 0 || len(st.Peers) > 0 {
		t.Errorf("%d chunks, and peers that would send some: %v", st.ChunksReceived, st.Peers)
	}
}

// insist asks for a chunk through the relay all the same.
func (h *hidden) insist(t *testing.T) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(network.WithAllowLimitedConn(t.Context(), "test"), 5*time.Second)
	defer cancel()
	str, err := h.viewer.Host().NewStream(ctx, h.broadcaster.ID(), p2p.FetchProtocol)
	if err != nil {
		t.Fatal(err)
	}
	defer str.Reset()
	if err := str.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	req := p2p.PartRequest(h.key.ID(), "main", stream.Position{Epoch: 1})
	// The refusal may be here before all is asked.
	_, err = str.Write(append(binary.AppendUvarint(nil, uint64(len(req))), req...))
	if err == nil {
		err = str.CloseWrite()
	}
	if err != nil && !errors.Is(err, network.ErrReset) {
		t.Fatal(err)
	}
	data, err := io.ReadAll(bufio.NewReader(str))
	if err == nil {
		t.Error("the broadcaster did not refuse")
	}
	return data
}

func TestMediaFlowThroughARelayThatCarriesThem(t *testing.T) {
	h := newHidden(t, p2p.RelayConfig{Media: 50_000_000})
	if !h.broadcaster.Reach().Relays[0].Media {
		t.Error("the relay does not say that it carries media")
	}
	s := h.join(t)
	eventually(t, "chunks come, more than the relay carries without media, of a peer that is known to hold the stream", func() bool {
		h.publish(t)
		st := s.Stats()
		return st.ChunksReceived > 2 && len(st.Peers) > 0 && h.relay.Reach().Relayed >= partSize
	})
	peers := s.Stats().Peers
	if len(peers) != 1 || !peers[0].Relayed {
		t.Errorf("peers %+v, want the broadcaster through a relay", peers)
	}
	if st := h.relay.Reach(); !st.Relaying || st.Relayed < partSize {
		t.Errorf("the relay carried %d bytes", st.Relayed)
	}

	// A direct connection takes over.
	direct, err := peer.AddrInfoFromString(h.broadcaster.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := h.viewer.Host().Connect(network.WithForceDirectDial(t.Context(), "test"), *direct); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nothing is left through the relay", func() bool {
		for _, c := range h.viewer.Host().Network().ConnsToPeer(h.broadcaster.ID()) {
			if _, err := c.RemoteMultiaddr().ValueForProtocol(multiaddr.P_CIRCUIT); err == nil {
				return false
			}
		}
		return h.connectedness() == network.Connected
	})
	before := s.Stats().ChunksReceived
	eventually(t, "chunks come directly", func() bool {
		h.publish(t)
		st := s.Stats()
		return st.ChunksReceived > before+2 && len(st.Peers) == 1 && !st.Peers[0].Relayed
	})
}

func TestRelayKeepsToItsRate(t *testing.T) {
	const rate = 4_000_000 // bits per second
	h := newHidden(t, p2p.RelayConfig{Media: rate})
	s := h.join(t)
	eventually(t, "the first chunk comes", func() bool { return s.Stats().ChunksReceived > 0 })
	began, carried := time.Now(), h.relay.Reach().Relayed
	const more = 1 << 20
	published := int64(0)
	eventually(t, "a megabyte is carried", func() bool {
		if published-s.Stats().BytesReceived < 5*partSize {
			h.publish(t)
			published += partSize
		}
		return h.relay.Reach().Relayed-carried > more
	})
	// What may come at once is a quarter of a second's.
	if least := time.Duration(float64(8*more-rate/4) / rate * float64(time.Second)); time.Since(began) < least*9/10 {
		t.Errorf("%d bytes were carried in %v, want %v at least", more, time.Since(began), least)
	}
}

func TestNodeLeavesARelayThatIsGone(t *testing.T) {
	h := newHidden(t, p2p.RelayConfig{})
	if err := h.relay.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the broadcaster has no place", func() bool { return len(h.broadcaster.Reach().Relays) == 0 })
}
