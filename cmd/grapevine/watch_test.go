package main

import (
	"testing"

	"github.com/grapevine-live/grapevine/p2p"
)

func TestWaitingFor(t *testing.T) {
	peers := make([]p2p.PeerStats, 2)
	for _, tt := range []struct {
		stats p2p.SwarmStats
		want  string
	}{
		{p2p.SwarmStats{}, "Looking for peers"},
		{
			p2p.SwarmStats{LastDialError: "QmPeer: failed to dial: all dials failed\n  * [/ip4/192.0.2.1/tcp/1] dial tcp4 192.0.2.1:1: connection refused\n  * [/ip4/192.0.2.1/udp/1/quic-v1] timeout"},
			"Looking for peers; the last one failed: /ip4/192.0.2.1/tcp/1: dial tcp4 192.0.2.1:1: connection refused; /ip4/192.0.2.1/udp/1/quic-v1: timeout",
		},
		{p2p.SwarmStats{LastDialError: "no route"}, "Looking for peers; the last one failed: no route"},
		{p2p.SwarmStats{Peers: peers[:1], LastDialError: "no route"}, "Connected to 1 peer; waiting for the stream"},
		{p2p.SwarmStats{Peers: peers, HeadersReceived: 3, BytesReceived: 1_200_000}, "Buffering from 2 peers: 1.2 MB"},
	} {
		if stage, detail := waitingFor(tt.stats); stage+detail != tt.want {
			t.Errorf("got  %q\nwant %q", stage+detail, tt.want)
		}
	}
}
