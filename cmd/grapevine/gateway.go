package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/grapevine-live/grapevine/hls"
)

const (
	gatewayName          = "gateway"
	gatewayCertName      = "gateway-cert"
	gatewayKeyName       = "gateway-key"
	gatewayViewersName   = "gateway-viewers"
	gatewayBandwidthName = "gateway-bandwidth"
	// mostGatewayViewers is what a server tells apart.
	mostGatewayViewers = 10_000
	// minGatewayBandwidth carries one viewer of a small stream.
	minGatewayBandwidth = 1_000_000
)

// gatewayFlags are of commands that may serve people who run nothing.
func gatewayFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: gatewayName, Usage: "serve the streams on `ADDR`, such as :8443, to people who run nothing and as an --origin to nodes"},
		&cli.StringFlag{Name: gatewayCertName, Usage: "have the gateway speak HTTPS with the certificate in `FILE` (PEM), read again when it changes"},
		&cli.StringFlag{Name: gatewayKeyName, Usage: "the certificate's key in `FILE` (PEM)"},
		&cli.IntFlag{Name: gatewayViewersName, Usage: "let `N` people watch by way of the gateway at a time", DefaultText: fmt.Sprint(mostGatewayViewers)},
		&cli.StringFlag{Name: gatewayBandwidthName, Usage: "have the gateway send at most `RATE`, such as 500Mbit/s", DefaultText: "half of --max-upload, or no bound"},
	}
}

// gatewaySettings are the gateway's flags, checked.
type gatewaySettings struct {
	addr      string // "" for no gateway
	cert, key string // files, "" for plain HTTP
	viewers   int    // 0 unless given
	bandwidth int    // bits per second, 0 unless given
}

func readGateway(c *cli.Context) (g gatewaySettings, err error) {
	g = gatewaySettings{addr: c.String(gatewayName), cert: c.String(gatewayCertName), key: c.String(gatewayKeyName), viewers: c.Int(gatewayViewersName)}
	for _, name := range []string{gatewayCertName, gatewayKeyName, gatewayViewersName, gatewayBandwidthName} {
		if c.IsSet(name) && g.addr == "" {
			return g, &usageError{"--" + name + " needs a gateway.", "add --gateway ADDR, such as --gateway :8443"}
		}
	}
	if host, port, err := net.SplitHostPort(g.addr); g.addr != "" && (err != nil || strings.ContainsAny(host, "/ ")) {
		return g, badFlag(gatewayName, g.addr, "an address looks like :8443 or 192.0.2.1:8443")
	} else if _, err := net.LookupPort("tcp", port); g.addr != "" && err != nil {
		return g, badFlag(gatewayName, g.addr, "an address looks like :8443 or 192.0.2.1:8443")
	}
	if (g.cert == "") != (g.key == "") {
		return g, &usageError{"--gateway-cert and --gateway-key belong together.", "give both, or leave both out and have what is in front of the gateway speak HTTPS"}
	}
	if c.IsSet(gatewayViewersName) && (g.viewers < 1 || g.viewers > mostGatewayViewers) {
		return g, badFlag(gatewayViewersName, fmt.Sprint(g.viewers), fmt.Sprintf("from 1 to %d can watch by way of a gateway", mostGatewayViewers))
	}
	if text := c.String(gatewayBandwidthName); text != "" {
		if g.bandwidth, err = parseRate(text); err != nil || g.bandwidth < minGatewayBandwidth {
			return g, badFlag(gatewayBandwidthName, text, "a rate in bits per second looks like 500Mbit/s or 1.5G; at least "+formatRate(minGatewayBandwidth)+" are needed")
		}
	}
	return g, nil
}

// ofUpload returns how much the gateway may send of what the node may, 0 if that is not bound.
func (g gatewaySettings) ofUpload(upload int) int {
	if g.addr == "" || upload == 0 {
		return 0
	}
	return g.bandwidth
}

// share divides what the node may send between peers and the gateway.
func (g *gatewaySettings) share(upload int) error {
	switch {
	case g.addr == "" || upload == 0:
	case g.bandwidth == 0:
		g.bandwidth = upload / 2
	case g.bandwidth > upload-minRate:
		return &usageError{"--gateway-bandwidth leaves nothing of --max-upload for peers.", "the gateway's part of it must be less by at least " + formatRate(minRate)}
	}
	return nil
}

// gatewayDoor is a gateway that is about to be opened.
type gatewayDoor struct {
	listener net.Listener
	tls      *tls.Config // nil for plain HTTP
	settings gatewaySettings
}

// openGateway binds the gateway's address and reads its certificate; nil without a gateway.
func openGateway(ctx context.Context, g gatewaySettings, log *slog.Logger) (*gatewayDoor, error) {
	if g.addr == "" {
		return nil, nil
	}
	door := &gatewayDoor{settings: g}
	if g.cert != "" {
		c, err := loadCertificate(g.cert, g.key, log)
		if err != nil {
			return nil, &usageError{"--gateway-cert and --gateway-key cannot be used: " + err.Error() + ".", "both are files in PEM: the certificate with those that signed it, and its key"}
		}
		door.tls = c.config()
	}
	var err error
	if door.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", g.addr); err != nil {
		return nil, &addressError{flag: gatewayName, addr: g.addr, err: err}
	}
	return door, nil
}

// close lets go of a gateway that was not opened.
func (d *gatewayDoor) close() error {
	if d == nil {
		return nil
	}
	return d.listener.Close()
}

// startGateway opens the gateway, which runs until the session ends.
func (s *session) startGateway(ctx context.Context, d *gatewayDoor) error {
	if d == nil {
		return nil
	}
	g, err := s.server.NewGateway(hls.GatewayConfig{Viewers: d.settings.viewers, Bandwidth: d.settings.bandwidth, TLS: d.tls})
	if err != nil {
		return err
	}
	s.gateway, s.gatewayBase = g, baseURL(d.listener.Addr())
	if d.tls != nil {
		s.gatewayBase = "https" + strings.TrimPrefix(s.gatewayBase, "http")
	}
	s.running.Go(func() {
		if err := g.Serve(ctx, s.node.Listener(d.listener)); err != nil && ctx.Err() == nil {
			s.fail(err)
		}
	})
	return nil
}

// showGateway says where the gateway is.
func (s *session) showGateway() {
	if s.gateway != nil {
		s.screen.field("gateway", s.gatewayBase+"/")
	}
}

// gatewayFact says how many watch by way of the gateway, "" without one.
func (s *session) gatewayFact() string {
	if s.gateway == nil {
		return ""
	}
	st := s.gateway.Status()
	fact := fmt.Sprintf("%d by the gateway (%s given)", st.Viewers, formatBytes(st.Bytes))
	if refused := st.RefusedViewers + st.RefusedBandwidth; refused > 0 {
		fact += ", " + count(int(refused), "request") + " refused"
	}
	return fact
}
