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
	"github.com/grapevine-live/grapevine/p2p/policy"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	defaultHTTP  = "127.0.0.1:8787"
	defaultCache = "256MB"
	// minCache holds the window that players read, at 4 Mbit/s, twice over.
	minCache = 32e6
	// minDVR is more than any live playlist lists.
	minDVR = time.Minute
)

// commonFlags returns the flags that every command has.
func commonFlags() []cli.Flag {
	return slices.Concat([]cli.Flag{
		homeFlag(),
		passphraseFileFlag(),
		&cli.StringFlag{Name: "http", Usage: "serve HLS and the page on `ADDR`; port 0 picks a free one", Value: defaultHTTP},
		&cli.StringSliceFlag{Name: "listen", Usage: "listen for peers on `MULTIADDR`; may be given more than once", DefaultText: "QUIC and TCP on port 4747, or on a free one"},
		&cli.BoolFlag{Name: "no-mdns", Usage: "do not look for peers on the local network"},
		&cli.BoolFlag{Name: "no-port-mapping", Usage: "do not ask the router, by UPnP or NAT-PMP, to let peers in"},
		&cli.StringSliceFlag{Name: "peer", Usage: "stay connected to the node at `MULTIADDR`, such as a relay, so that others find a way to this one; may be given more than once"},
		&cli.StringFlag{Name: "cache-memory", Usage: "keep at most `SIZE` of streams in memory", Value: defaultCache},
		&cli.DurationFlag{Name: "dvr", Usage: "rewind by up to `DURATION`, such as 4h, as far as peers hold it", DefaultText: "as much as the cache can hold"},
		&cli.BoolFlag{Name: "json", Usage: "write one JSON object a line, for programs"},
		&cli.StringFlag{Name: pprofName, Usage: "serve Go's profiles to this machine on `ADDR`, such as 127.0.0.1:6060", DefaultText: "off"},
		&cli.StringFlag{Name: "log-level", Usage: "log to standard error from `LEVEL` on: debug, info, warn or error", DefaultText: "warn on a terminal, else info"},
	}, rateFlags(), doorFlags())
}

func homeFlag() cli.Flag {
	return &cli.StringFlag{Name: "home", Usage: "keep keys and state in `DIR`", DefaultText: defaultHomeText}
}

func passphraseFileFlag() cli.Flag {
	return &cli.StringFlag{Name: passphraseFileName, Usage: "open the home's keys with the passphrase in `FILE`", DefaultText: passphraseVariable + ", or asked for on the terminal, if they are under one"}
}

// settings are the common flags, checked.
type settings struct {
	home string
	// passphrase finds the one of the home's keys.
	passphrase askPassphrase
	http       string
	door       hls.Door // without a token unless one was given
	listen     []string
	mdns       bool
	peers      []string
	browsers   bool  // may connect
	mapped     bool  // by the router
	cache      int64 // bytes in memory
	// cacheDir is where streams are kept as well, "" for nowhere, and cacheSize how many bytes.
	cacheDir  string
	cacheSize int64
	dvr       time.Duration // 0 unless given
	upload    int           // bits per second, 0 unless given
	// download is likewise, maxPeers how many there may be, and policy what else the owner allows.
	download, maxPeers int
	policy             policy.Policy

	report  bool // to broadcasters
	json    bool
	pprof   string // address; "" for none
	record  string // directory; "" for none
	gateway gatewaySettings
	dht     *p2p.DHT // nil for none
	// directory has the node keep and pass on the entries of public streams.
	directory bool
	relay     *p2p.RelayConfig // nil unless it is the command's business
	level     *slog.Level      // nil unless chosen
	reloader  *reloader        // that reads all this again
}

func readSettings(c *cli.Context) (settings, error) {
	s := settings{
		home: c.String("home"),

		passphrase: readPassphrase(c),

		http:   c.String("http"),
		listen: c.StringSlice("listen"),
		mdns:   !c.Bool("no-mdns"),
		peers:  c.StringSlice("peer"),
		mapped: !c.Bool("no-port-mapping") && !onlyLoopback(c.StringSlice("listen")),
		report: c.Bool(reportName),
		json:   c.Bool("json"),
		record: c.String("record"),
		pprof:  c.String(pprofName),
	}
	if host, _, err := net.SplitHostPort(s.pprof); s.pprof != "" && (err != nil || !loopback(host)) {
		return s, badFlag(pprofName, s.pprof, "profiles show what the process has in memory, and are for this machine alone: 127.0.0.1:6060")
	}
	if err := checkHTTP(s.http); err != nil {
		return s, err
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
	if s.door, err = readDoor(c); err != nil {
		return s, err
	}
	if s.gateway, err = readGateway(c); err != nil {
		return s, err
	}
	if err := readCache(c, &s); err != nil {
		return s, err
	}
	if s.dvr = c.Duration("dvr"); c.IsSet("dvr") && (s.dvr < minDVR || s.dvr > hls.MaxDVR) {
		return s, badFlag("dvr", s.dvr.String(), fmt.Sprintf("a duration looks like 90m or 4h; from %v to %v", minDVR, hls.MaxDVR))
	}
	if c.IsSet("record") && s.record == "" {
		return s, badFlag("record", s.record, "name the directory to record into")
	}
	if err := readRates(c, &s); err != nil {
		return s, err
	}
	if err := s.gateway.share(s.upload); err != nil {
		return s, err
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

// checkHTTP refuses what is no address.
func checkHTTP(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil || strings.ContainsAny(host, "/ ") {
		return badFlag("http", addr, "an address looks like "+defaultHTTP+", or 127.0.0.1:0 for a free port")
	}
	return nil
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
