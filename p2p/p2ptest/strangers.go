package p2ptest

import (
	"context"
	crand "crypto/rand"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/multiformats/go-multiaddr"
	"github.com/quic-go/quic-go"
)

// firstStranger is the index of the first stranger's address, beyond all hosts'.
const firstStranger = 1 << 20

// Strangers are machines that open connections, each with an identity of its own, and say
// nothing.
type Strangers struct {
	net   *Network
	socks []*quicreuse.ConnManager
}

// NewStrangers returns strangers at so many addresses. Close must be called before the
// network's.
func (n *Network) NewStrangers(addresses int) *Strangers {
	n.tb.Helper()
	s := &Strangers{net: n}
	for i := range addresses {
		m := &machine{net: n, index: firstStranger + i, faults: newFaults()}
		var reset quic.StatelessResetKey
		var token quic.TokenGeneratorKey
		_, _ = crand.Read(reset[:]) // it never fails
		_, _ = crand.Read(token[:])
		q, err := m.newQUIC(Link{Up: defaultRate, Down: defaultRate}, reset, token)
		if err != nil {
			n.tb.Fatalf("make stranger: %v", err)
		}
		s.socks = append(s.socks, q)
	}
	return s
}

// Knocked is what came of many connections.
type Knocked struct{ Opened, Refused, Held int }

// Knock opens connections to host i, so many a second, from one address after the other, holds
// them until ctx ends, and returns what came of them.
func (s *Strangers) Knock(ctx context.Context, i, connections, perSecond int) (k Knocked) {
	to := s.net.Host(i)
	var mu sync.Mutex
	var dials sync.WaitGroup
	held := make([]transport.CapableConn, 0, connections)
	every(ctx, perSecond, func(c int) error {
		if c == connections {
			return context.Canceled
		}
		dials.Go(func() {
			conn, err := s.dial(ctx, s.socks[c%len(s.socks)], to.ID(), to.Addrs()[0])
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				k.Refused++
				return
			}
			k.Opened++
			held = append(held, conn)
		})
		return nil
	})
	dials.Wait()
	<-ctx.Done()
	for _, c := range held {
		if !c.IsClosed() {
			k.Held++
		}
		c.Close()
	}
	return k
}

// dial connects as somebody new.
func (s *Strangers) dial(ctx context.Context, q *quicreuse.ConnManager, id peer.ID, at multiaddr.Multiaddr) (transport.CapableConn, error) {
	key, _, err := crypto.GenerateEd25519Key(crand.Reader)
	if err != nil {
		return nil, err
	}
	t, err := libp2pquic.NewTransport(key, q, nil, nil, &network.NullResourceManager{})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, strangerTimeout)
	defer cancel()
	return t.Dial(ctx, at, id)
}

// strangerTimeout bounds one attempt.
const strangerTimeout = 5 * time.Second

// Close closes what connections went by.
func (s *Strangers) Close() {
	s.net.tb.Helper()
	for _, q := range s.socks {
		if err := q.Close(); err != nil {
			s.net.tb.Errorf("close stranger: %v", err)
		}
	}
}
