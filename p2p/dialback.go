package p2p

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/autonatv2"
	"github.com/multiformats/go-multiaddr"

	"github.com/grapevine-live/grapevine/stream/wire"
)

const (
	// dialBackTimeout bounds a request: who gets no answer waits for 10 s.
	dialBackTimeout = 15 * time.Second
	// maxDialBackMessage bounds the answer.
	maxDialBackMessage = 1 << 10
	// dialBackDone is status OK, with which a peer says what became of its attempt, and
	// dialBackSpoken the one with which it could connect, but was not spoken to then. libp2p
	// knows only of its own requests, so either says that it was there.
	dialBackDone   = 200
	dialBackSpoken = 101
)

// ErrNotDialled says that a peer did not try to connect to this node: it was asked too often,
// or does not dial such an address.
var ErrNotDialled = errors.New("the peer did not try")

// DialBack asks a connected peer to connect to this node at an address, and reports whether it
// could. It tries only addresses of the internet, and those of the IP address at which it sees
// this node. libp2p asks the same (AutoNAT v2), but each peer once in two minutes only. The
// messages are:
//
//	message Request {
//	  message Dial { repeated bytes addrs = 1; }  // multiaddrs
//	  Dial dial = 1;
//	}
//	message Answer {
//	  message Dialled {
//	    uint64 status = 1;   // 200 if it tried
//	    uint64 outcome = 3;  // 100 if it could not connect
//	  }
//	  Dialled dialled = 2;
//	}
func (n *Node) DialBack(ctx context.Context, id peer.ID, addr string) (reached bool, err error) {
	a, err := multiaddr.NewMultiaddr(addr)
	if err != nil {
		return false, fmt.Errorf("dial back: %w", err)
	}
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "dial back"), dialBackTimeout)
	defer cancel()
	s, err := n.host.NewStream(ctx, id, autonatv2.DialProtocol)
	if err != nil {
		return false, fmt.Errorf("dial back: %w", err)
	}
	defer s.Reset()
	stop := context.AfterFunc(ctx, func() { s.Reset() })
	defer stop()
	request := wire.AppendMessage(nil, 1, wire.AppendBytes(nil, 1, a.Bytes()))
	if err := send(bufio.NewWriter(s), request); err != nil {
		return false, fmt.Errorf("dial back: %w", err)
	}
	raw, err := readFrame(bufio.NewReader(s), maxDialBackMessage)
	if err != nil {
		return false, fmt.Errorf("dial back: %w", err)
	}
	return parseDialled(raw)
}

// parseDialled reads an answer to DialBack.
func parseDialled(b []byte) (reached bool, err error) {
	var status, outcome uint64
	var inner error
	err = wire.Fields(b, func(field int, _ uint64, raw []byte) {
		if field != 2 {
			return
		}
		inner = wire.Fields(raw, func(field int, v uint64, _ []byte) {
			switch field {
			case 1:
				status = v
			case 3:
				outcome = v
			}
		})
	})
	if err := errors.Join(err, inner); err != nil {
		return false, fmt.Errorf("%w: dialled: %w", errWire, err)
	}
	if status != dialBackDone {
		return false, ErrNotDialled
	}
	return outcome == dialBackDone || outcome == dialBackSpoken, nil
}
