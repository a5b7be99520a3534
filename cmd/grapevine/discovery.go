package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/urfave/cli/v2"

	"github.com/grapevine-live/grapevine/p2p"
)

// dhtFlags returns the flags of commands that carry streams between machines.
func dhtFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "no-dht", Usage: "neither look for peers in a DHT nor announce this node there"},
		&cli.StringSliceFlag{Name: "bootstrap", Usage: "use a DHT of your own, by way of the nodes at `MULTIADDR,…`, which \"relay --bootstrap-only\" prints; may be given more than once", DefaultText: "the public DHT of IPFS"},
	}
}

// readNetwork reads by what a node that carries streams finds others.
func readNetwork(c *cli.Context, set *settings) (err error) {
	set.directory = true
	if c.Bool("bootstrap-only") {
		set.dht, err = readBootstrapOnly(c)
	} else {
		set.dht, err = readDHT(c)
	}
	return err
}

// readDHT reads in which DHT a node takes part; nil is none. Nothing else decides for the
// public one.
func readDHT(c *cli.Context) (*p2p.DHT, error) {
	addrs := c.StringSlice("bootstrap")
	switch {
	case c.Bool("no-dht") && len(addrs) > 0:
		return nil, &usageError{"--no-dht and --bootstrap contradict each other.", "leave one of them out"}
	case c.Bool("no-dht"):
		return nil, nil
	case len(addrs) == 0:
		return p2p.PublicDHT(), nil
	}
	bootstrap, err := readBootstrap(addrs)
	if err != nil {
		return nil, err
	}
	return &p2p.DHT{Bootstrap: bootstrap}, nil
}

// readBootstrap reads addresses of bootstrap nodes, several of one node among them.
func readBootstrap(args []string) (out []peer.AddrInfo, err error) {
	for addr := range strings.SplitSeq(strings.Join(args, ","), ",") {
		info, err := peer.AddrInfoFromString(strings.TrimSpace(addr))
		if err != nil || len(info.Addrs) == 0 {
			return nil, badFlag("bootstrap", addr, "a node's address looks like /ip4/192.0.2.1/udp/4747/quic-v1/p2p/12D3KooW…; grapevine relay --bootstrap-only prints its own")
		}
		i := slices.IndexFunc(out, func(known peer.AddrInfo) bool { return known.ID == info.ID })
		if i < 0 {
			out = append(out, *info)
			continue
		}
		out[i].Addrs = append(out[i].Addrs, info.Addrs...)
	}
	return out, nil
}

// bootstrapOnlyFlag makes a relay a bootstrap node.
func bootstrapOnlyFlag() cli.Flag {
	return &cli.BoolFlag{Name: "bootstrap-only", Usage: "carry no stream, and be a node by way of which others enter a DHT of your own; --bootstrap names further ones"}
}

// readBootstrapOnly reads the DHT of a bootstrap node.
func readBootstrapOnly(c *cli.Context) (*p2p.DHT, error) {
	switch {
	case len(carried(c)) > 0:
		return nil, &usageError{"--bootstrap-only carries no stream.", "leave the links out, or start another relay for them"}
	case c.Bool("no-dht"):
		return nil, &usageError{"--no-dht and --bootstrap-only contradict each other.", "leave one of them out"}
	}
	bootstrap := []peer.AddrInfo(nil)
	if addrs := c.StringSlice("bootstrap"); len(addrs) > 0 {
		var err error
		if bootstrap, err = readBootstrap(addrs); err != nil {
			return nil, err
		}
	}
	return &p2p.DHT{Bootstrap: bootstrap, Server: true}, nil
}

// showBootstrap says how others enter the DHT by way of this node.
func (s *session) showBootstrap() {
	s.screen.say("%s", s.screen.bold("A bootstrap node; others find each other by way of it with one of these:"))
	for _, addr := range s.node.Addrs() {
		s.screen.field("bootstrap", "--bootstrap "+addr)
	}
}

// dhtDetail is what a viewer is told of a DHT that does not work.
func dhtDetail(st p2p.SwarmStats) string {
	if st.DHTError == "" {
		return ""
	}
	return fmt.Sprintf("; the DHT: %s", dialReason(st.DHTError))
}

// dhtPeers says how many nodes of the DHT a node knows.
func dhtPeers(st p2p.Stats) string {
	if st.DHTPeers == 0 {
		return ""
	}
	return count(st.DHTPeers, "peer") + " of the DHT"
}
