package main

import (
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/urfave/cli/v2"

	"github.com/grapevine-live/grapevine/hls"
	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	defaultHTTP  = "127.0.0.1:8787"
	defaultCache = "256MB"
	// minCache holds the window that players read, at 4 Mbit/s, twice over.
	minCache = 32e6
	// minDVR is more than any live playlist lists.
	minDVR = time.Minute
	// minUpload is what carries headers and a few chunks a second at least.
	minUpload = 100_000
)

// commonFlags returns the flags that every command has.
func commonFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "home", Usage: "keep keys and state in `DIR`", EnvVars: []string{"GRAPEVINE_HOME"}, DefaultText: defaultHomeText},
		&cli.StringFlag{Name: "http", Usage: "serve HLS and the page on `ADDR`; port 0 picks a free one", Value: defaultHTTP},
		&cli.StringSliceFlag{Name: "listen", Usage: "listen for peers on `MULTIADDR`; may be given more than once", DefaultText: "QUIC and TCP on port 4747, or on a free one"},
		&cli.BoolFlag{Name: "no-mdns", Usage: "do not look for peers on the local network"},
		&cli.BoolFlag{Name: "no-port-mapping", Usage: "do not ask the router, by UPnP or NAT-PMP, to let peers in"},
		&cli.StringSliceFlag{Name: "peer", Usage: "stay connected to the node at `MULTIADDR`, such as a relay, so that others find a way to this one; may be given more than once"},
		&cli.StringFlag{Name: "cache", Usage: "keep at most `SIZE` of streams in memory", Value: defaultCache},
		&cli.DurationFlag{Name: "dvr", Usage: "rewind by up to `DURATION`, such as 4h, as far as peers hold it", DefaultText: "as much as the cache can hold"},
		&cli.StringFlag{Name: "max-upload", Usage: "send at most `RATE`, such as 2Mbit/s or 500kbit/s", DefaultText: "as much as the uplink carries without a queue, measured"},
		&cli.BoolFlag{Name: "json", Usage: "write one JSON object a line, for programs"},
		&cli.StringFlag{Name: "log-level", Usage: "log to standard error from `LEVEL` on: debug, info, warn or error", DefaultText: "warn on a terminal, else info"},
	}
}

// settings are the common flags, checked.
type settings struct {
	home    string
	http    string
	listen  []string
	mdns    bool
	peers   []string
	mapped  bool // by the router
	cache   int64
	dvr     time.Duration // 0 unless given
	upload  int           // bits per second, 0 unless given
	json    bool
	record  string // directory; "" for none
	gateway gatewaySettings
	dht     *p2p.DHT // nil for none
	// directory has the node keep and pass on the entries of public streams.
	directory bool
	relay     *p2p.RelayConfig // nil unless it is the command's business
	level     *slog.Level      // nil unless chosen
}

func readSettings(c *cli.Context) (settings, error) {
	s := settings{
		home:   c.String("home"),
		http:   c.String("http"),
		listen: c.StringSlice("listen"),
		mdns:   !c.Bool("no-mdns"),
		peers:  c.StringSlice("peer"),
		mapped: !c.Bool("no-port-mapping") && !onlyLoopback(c.StringSlice("listen")),
		json:   c.Bool("json"),
		record: c.String("record"),
	}
	if host, port, err := net.SplitHostPort(s.http); err != nil {
		return s, badFlag("http", s.http, "an address looks like "+defaultHTTP+", or 127.0.0.1:0 for a free port")
	} else if _, err := net.LookupPort("tcp", port); err != nil || strings.ContainsAny(host, "/ ") {
		return s, badFlag("http", s.http, "an address looks like "+defaultHTTP+", or 127.0.0.1:0 for a free port")
	}
	for _, l := range s.listen {
		if _, err := multiaddr.NewMultiaddr(l); err != nil {
			return s, badFlag("listen", l, "a multiaddr looks like /ip4/0.0.0.0/udp/4747/quic-v1 or /ip4/0.0.0.0/tcp/4747")
		}
	}
	for _, p := range s.peers {
		if err := checkPeer(p); err != nil {
			return s, badFlag("peer", p, "a peer looks like /ip4/192.0.2.1/udp/4747/quic-v1/p2p/12D3Koo…; every node prints its own")
		}
	}
	var err error
	if s.gateway, err = readGateway(c); err != nil {
		return s, err
	}
	if s.cache, err = parseBytes(c.String("cache")); err != nil || s.cache < minCache {
		return s, badFlag("cache", c.String("cache"), "an amount looks like 256MB or 1GiB; at least "+formatBytes(minCache)+" are needed")
	}
	if s.dvr = c.Duration("dvr"); c.IsSet("dvr") && (s.dvr < minDVR || s.dvr > hls.MaxDVR) {
		return s, badFlag("dvr", s.dvr.String(), fmt.Sprintf("a duration looks like 90m or 4h; from %v to %v", minDVR, hls.MaxDVR))
	}
	if c.IsSet("record") && s.record == "" {
		return s, badFlag("record", s.record, "name the directory to record into")
	}
	if text := c.String("max-upload"); text != "" {
		if s.upload, err = parseRate(text); err != nil || s.upload < minUpload {
			return s, badFlag("max-upload", text, "a rate in bits per second looks like 2Mbit/s, 500kbit/s or 1.5M; at least "+formatRate(minUpload)+" are needed")
		}
	}
	if text := c.String("log-level"); text != "" {
		var level slog.Level
		if err := level.UnmarshalText([]byte(text)); err != nil {
			return s, badFlag("log-level", text, "the levels are debug, info, warn and error")
		}
		s.level = &level
	}
	return s, nil
}

// onlyLoopback reports whether all addresses to listen on are this machine's own, which no
// router can map.
func onlyLoopback(listen []string) bool {
	return len(listen) > 0 && !slices.ContainsFunc(listen, func(l string) bool {
		a, err := multiaddr.NewMultiaddr(l)
		return err != nil || !manet.IsIPLoopback(a)
	})
}

// badFlag says that a flag's value cannot be used.
func badFlag(name, value, hint string) error {
	return &usageError{sentence: fmt.Sprintf("--%s cannot be %q.", name, value), hint: hint}
}

// readLinks reads links from arguments, peers' addresses included.
func readLinks(args []string) ([]stream.Link, error) {
	links := make([]stream.Link, 0, len(args))
	for _, arg := range args {
		link, err := stream.ParseLink(arg)
		if err != nil {
			return nil, err
		}
		for _, p := range link.Peers {
			if err := checkPeer(p); err != nil {
				return nil, fmt.Errorf("%w: peer %q: %w", stream.ErrNotALink, p, err)
			}
		}
		links = append(links, link)
	}
	return links, nil
}
