package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	// reachWithin is how long a broadcaster that was told of peers waits for a way in, so
	// that its first link leads to it: two round trips to the slowest of them.
	reachWithin = 5 * time.Second
	// reachLook is how often it looks.
	reachLook = 50 * time.Millisecond
)

const noBrowsers = "no-browsers"

func browsersFlag() cli.Flag {
	return &cli.BoolFlag{Name: noBrowsers, Usage: "do not listen for programs in browsers, by WebTransport and WebRTC on the ports of QUIC"}
}

// reachable waits until others can reach this node, if it was told of peers that may help,
// and returns the link as it is then.
func (s *session) reachable(set settings, link stream.Link) stream.Link {
	if len(set.peers) == 0 {
		return link
	}
	ctx, cancel := context.WithTimeout(s.ctx, reachWithin)
	defer cancel()
	ticker := time.NewTicker(reachLook)
	defer ticker.Stop()
	for {
		if len(s.node.Reach().Reachable) > 0 || slices.ContainsFunc(s.node.Addrs(), viaRelay) {
			break
		}
		select {
		case <-ctx.Done():
			s.screen.say("No peer could be asked yet whether others can reach this node; the link leads to this network only.")
			return link
		case <-ticker.C:
		}
	}
	for _, sw := range s.node.Swarms() {
		if sw.ID() == link.Stream {
			return sw.Link()
		}
	}
	return link
}

// viaRelay reports whether an address leads to a node through a relay.
func viaRelay(addr string) bool { return strings.Contains(addr, "/p2p-circuit") }

// relayedPeers counts those of peers that are connected through a relay.
func relayedPeers(peers []p2p.PeerStats) (n int) {
	for _, p := range peers {
		if p.Relayed {
			n++
		}
	}
	return n
}

// countPeers says how many peers there are, and how many of them only through a relay.
func countPeers(peers []p2p.PeerStats) string {
	text := count(len(peers), "peer")
	switch n := relayedPeers(peers); {
	case n > 0 && n == len(peers):
		text += " through a relay"
	case n > 0:
		text += fmt.Sprintf(", %d through a relay", n)
	}
	return text
}
