package p2p

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// fullHost is connected to everybody.
type fullHost struct{ host.Host }

func (fullHost) Network() network.Network { return fullNetwork{} }

type fullNetwork struct{ network.Network }

func (fullNetwork) Connectedness(peer.ID) network.Connectedness { return network.Connected }

func TestPeersThatClaimSomethingAreAskedFirst(t *testing.T) {
	s := newSwarm(&Node{ctx: context.Background(), log: slog.New(slog.DiscardHandler), host: fullHost{}}, stream.NewKey().ID())
	defer s.cancel()
	ids := []peer.ID{"holder"}
	for i := range 10 * maxPastPeers {
		ids = append(ids, peer.ID(fmt.Sprintf("peer %d", i)))
	}
	s.past.choose(ids)
	for _, id := range ids {
		var spans []stream.Span
		if id == "holder" {
			spans = []stream.Span{{Epoch: 1, Last: 5}}
		}
		s.past.answered(id, "main", spans)
	}
	for range 20 {
		if chosen := s.past.choose(ids); len(chosen) != maxPastPeers || !slices.Contains(chosen, "holder") {
			t.Fatalf("%d are asked, want %d, and the one that claims something: %v", len(chosen), maxPastPeers, chosen)
		}
	}
}
