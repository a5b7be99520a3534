//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
)

const (
	listenOn = "/ip4/127.0.0.1/udp/0/quic-v1"
	// joinTimeout bounds how long a node may take to find the relay.
	joinTimeout = 20 * time.Second
)

// bareHost returns a host that speaks QUIC. Who does not listen cannot be dialled: so
// nodes that learn of each other from the relay stay apart.
func bareHost(listen bool) (host.Host, error) {
	opts := []libp2p.Option{libp2p.NoListenAddrs, libp2p.Transport(libp2pquic.NewTransport)}
	if listen {
		opts[0] = libp2p.ListenAddrStrings(listenOn)
	}
	h, err := libp2p.New(opts...)
	if err != nil {
		return nil, fmt.Errorf("make host: %w", err)
	}
	return h, nil
}

func connect(h host.Host, addr string) (*peer.AddrInfo, error) {
	info, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), joinTimeout)
	defer cancel()
	return info, h.Connect(ctx, *info)
}
