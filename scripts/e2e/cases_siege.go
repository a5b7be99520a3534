//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// siegeConnections are opened over half of siegeFor, which is how long each attack lasts.
	siegeConnections = 10_000
	siegeHeaders     = 50_000 // a second, by siegeFlooders at a time
	siegeFlooders    = 32
	siegeFor         = 20 * time.Second
	siegeWatch       = 30 // seconds of the stream that a player plays from before each attack on
	// siegeCache is what the relay may keep of streams, and siegeConns what its connections may hold
	// of what came and was not read: p2p's maxMemory. Its memory is held to both together.
	siegeCache = 64 << 20
	siegeConns = 256 << 20
)

// siegeCase attacks a relay, through which alone a viewer has what ffmpeg plays, and looks at how
// much memory the relay takes meanwhile.
func siegeCase(ctx context.Context, b *bench) (string, error) {
	port, err := freeUDP()
	if err != nil {
		return "", err
	}
	listen := fmt.Sprintf("/ip4/127.0.0.1/udp/%d/quic-v1", port)
	relayID, err := b.peerID(ctx, "relay")
	if err != nil {
		return "", err
	}
	to, err := peer.AddrInfoFromString(listen + "/p2p/" + relayID)
	if err != nil {
		return "", err
	}
	broadcaster, err := b.broadcaster(ctx, nil, append([]string{"--trusted-relays", to.Addrs[0].String() + "/p2p/" + relayID}, anyLoopback...)...)
	if err != nil {
		return "", err
	}
	relay, err := b.grapevine(ctx, nil, "relay", nil, "relay", broadcaster.Link, "--listen", listen, "--cache-memory", fmt.Sprintf("%dMiB", siegeCache>>20))
	if err != nil {
		return "", err
	}
	viewer, err := b.grapevine(ctx, nil, "viewer", nil, append([]string{"watch", broadcaster.Link}, anyLoopback...)...)
	if err != nil {
		return "", err
	}
	s := &siegeOf{bench: b, relay: relay, viewer: viewer, strangers: &strangers{to: *to}}
	return s.run(ctx)
}

// siegeOf is a relay under attack, and a viewer behind it.
type siegeOf struct {
	*bench
	relay, viewer *node
	strangers     *strangers
	said          []string
}

func (s *siegeOf) run(ctx context.Context) (string, error) {
	if err := settle(ctx, 5*time.Second); err != nil { // the first garbage collections
		return "", err
	}
	before, err := resident(s.relay.cmd.Process.Pid)
	if err != nil {
		return "", err
	}
	s.said = append(s.said, fmt.Sprintf("the relay takes %d MB", before>>20))
	for _, attack := range []func(context.Context) (string, error){s.connections, s.slow, s.headers} {
		if err := s.withstand(ctx, attack); err != nil {
			return "", err
		}
	}
	if peers := s.viewer.now().stream().Peers; peers != 1 {
		return "", fmt.Errorf("the viewer is connected to %d peers, want the relay alone", peers)
	}
	return strings.Join(s.said, "; "), nil
}

// withstand has a player play through an attack, and bounds what the relay takes.
func (s *siegeOf) withstand(ctx context.Context, attack func(context.Context) (string, error)) error {
	player, err := s.ffmpeg(nil, s.viewer.HLS, siegeWatch)
	if err != nil {
		return err
	}
	what := ""
	pid := s.relay.cmd.Process.Pid
	most, err := residentMost(ctx, pid, func(ctx context.Context) (err error) {
		ctx, cancel := context.WithTimeout(ctx, siegeFor)
		defer cancel()
		what, err = attack(ctx)
		return err
	})
	if err != nil {
		return err
	}
	frames, err := player.perfect(ctx, siegeWatch*frameRate)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	after, err := resident(pid)
	if err != nil {
		return err
	}
	s.said = append(s.said, fmt.Sprintf("%s: at most %d MB, %d MB afterwards, %d of %d frames", what, most>>20, after>>20, frames, siegeWatch*frameRate))
	if most > siegeCache+siegeConns {
		return fmt.Errorf("%s: the relay takes %d MB, want %d at most", what, most>>20, (siegeCache+siegeConns)>>20)
	}
	return nil
}

// connections opens more than a node takes, and holds those that it took.
func (s *siegeOf) connections(ctx context.Context) (string, error) {
	var all bool
	opened, held, err := s.strangers.knock(ctx, siegeConnections, siegeFor/2, func() { all = true })
	switch {
	case err != nil && !all:
		return "", fmt.Errorf("not all connections were tried: %w", err)
	case opened == 0:
		return "", errors.New("no connection was opened")
	}
	return fmt.Sprintf("%d connections from %d addresses, %d opened and %d held", siegeConnections, siegeConnections/strangersPerAddress, opened, held), nil
}

// slow has clients of the relay's HTTP server that never finish.
func (s *siegeOf) slow(ctx context.Context) (string, error) {
	at, err := url.Parse(s.relay.Page)
	if err != nil {
		return "", err
	}
	var slow sync.WaitGroup
	for i := range slowClients {
		slow.Go(func() { beSlow(ctx, at.Host, i) })
	}
	var most int64
	for settle(ctx, residentEvery) == nil {
		if n, err := connections(ctx, s.relay.Page); err == nil {
			most = max(most, n)
		}
	}
	slow.Wait()
	if most < slowClients*9/10 {
		return "", fmt.Errorf("the relay had %d connections of slow clients", most)
	}
	return fmt.Sprintf("%d slow HTTP clients", slowClients), nil
}

// headers floods the relay with forgeries.
func (s *siegeOf) headers(ctx context.Context) (string, error) {
	sent, peers, err := s.strangers.flood(ctx, s.viewer.Stream, siegeFlooders, siegeHeaders)
	if err != nil {
		return "", err
	}
	rate := float64(sent) / siegeFor.Seconds()
	if rate < siegeHeaders/2 { // attackers that have to come again all the time do not keep up
		return "", fmt.Errorf("only %.0f headers a second were sent, by %d peers", rate, peers)
	}
	return fmt.Sprintf("%.0f forged headers a second by %d peers", rate, peers), nil
}
