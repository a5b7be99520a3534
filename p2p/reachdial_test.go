package p2p

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	pbv2 "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/pb"
)

// lonely is a node that was told to stay connected to a peer that is not there.
func lonely(t *testing.T, logger *slog.Logger) (*Node, peer.ID) {
	t.Helper()
	const id = "12D3KooWG7KKeUSCvfjX697grT21MZpadypZnib9gU6taeAMuEGc"
	addr := "/ip4/127.0.0.1/udp/1/quic-v1"
	n, err := New(Config{Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}, Peers: []string{addr + "/p2p/" + id}, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n, n.reach.peers[0].ID
}

func TestAPeerThatIsCutOffIsNotDialledThoughItWasNamed(t *testing.T) {
	for _, cutOff := range []bool{false, true} {
		n, id := lonely(t, nil)
		if cutOff {
			n.gate.bans.add(id, netip.Addr{}, time.Hour, false, time.Now())
		}
		if err := n.Start(); err != nil {
			t.Fatal(err)
		}
		var asks sync.WaitGroup
		n.reach.mu.Lock()
		c := n.reach.dials[id]
		if !c.busy {
			c.next = time.Time{}
			n.reach.dialLocked(&asks, time.Now())
		}
		dialled := c.busy
		n.reach.mu.Unlock()
		if dialled == cutOff {
			t.Errorf("cut off: %t, dialled: %t", cutOff, dialled)
		}
		n.Close()
		asks.Wait()
	}
}

func TestThatAPeerIsNotReachedIsToldOnce(t *testing.T) {
	var log bytes.Buffer
	n, id := lonely(t, slog.New(slog.NewTextHandler(&log, nil)))
	log.Reset()
	for _, err := range []error{errors.New("no"), errors.New("no"), errors.New("no"), nil, errors.New("no"), errors.New("no")} {
		c := n.reach.dials[id]
		c.dialled(err, dialAlone)
		n.reach.tellDialled(id, c.failed, err)
	}
	if told := strings.Count(log.String(), "cannot reach peer"); told != 2 {
		t.Errorf("told %d times that a peer is not reached, want once for each time that it became so:\n%s", told, log.String())
	}
}

func TestARelayThatGaveNoAnswerIsAskedAgainBeforeOneThatHadNoPlace(t *testing.T) {
	n, id := lonely(t, nil)
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		err  error
		want time.Duration
	}{
		{client.ReservationError{Status: pbv2.Status_RESERVATION_REFUSED}, relayRest},
		{client.ReservationError{Status: pbv2.Status_PERMISSION_DENIED}, relayRest},
		{client.ReservationError{Status: pbv2.Status_CONNECTION_FAILED}, relayAgain},
		{context.DeadlineExceeded, relayAgain},
	} {
		before := time.Now()
		n.reach.onPlace(id, nil, c.err)
		n.reach.mu.Lock()
		got := n.reach.rests[id]
		n.reach.mu.Unlock()
		if got.Before(before.Add(c.want)) || got.After(time.Now().Add(c.want)) {
			t.Errorf("%v: not asked again for %v, want %v", c.err, got.Sub(before), c.want)
		}
	}
}
