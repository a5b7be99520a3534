package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/grapevine-live/grapevine/hls"
)

const (
	httpTokenName   = "http-token"
	allowOriginName = "allow-origin"
	allowHostName   = "allow-host"
	// tokenFile keeps the token that other machines show, made when they first can.
	tokenFile = "http.token"
	// maxShownAddrs is how many of this machine's addresses are shown to open from others.
	maxShownAddrs = 2
)

// doorFlags say whom the server of --http answers.
func doorFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: httpTokenName, Usage: "let in other machines that show `TOKEN`, if --http is an address that they reach", EnvVars: []string{"GRAPEVINE_HTTP_TOKEN"}, DefaultText: tokenFile + " in the home directory, made at first"},
		&cli.StringSliceFlag{Name: allowOriginName, Usage: "let pages of the site `ORIGIN`, such as https://example.org, or * for all, play the streams and frame the player; may be given more than once"},
		&cli.StringSliceFlag{Name: allowHostName, Usage: "let browsers know this node as `NAME`, besides localhost and its addresses; may be given more than once"},
	}
}

// readDoor reads the flags of the door, in which there is no token yet unless one was given.
func readDoor(c *cli.Context) (d hls.Door, err error) {
	d.Token, d.Origins = c.String(httpTokenName), c.StringSlice(allowOriginName)
	if d.Token != "" {
		if err := hls.CheckToken(d.Token); err != nil {
			return d, &usageError{"That --http-token cannot be used: " + err.Error() + ".", "leave it out, and one is made and kept in the home directory"}
		}
	}
	for _, origin := range d.Origins {
		if _, err := hls.ParseOrigin(origin); err != nil {
			return d, badFlag(allowOriginName, origin, err.Error()+", or * for all sites")
		}
	}
	for _, name := range c.StringSlice(allowHostName) {
		if name == "" || strings.ContainsAny(name, "/:*@ ") {
			return d, badFlag(allowHostName, name, "a name looks like box.local, without a port")
		}
		d.Hosts = append(d.Hosts, name)
	}
	return d, nil
}

// openDoor completes the door of a listener. Who has only this machine's players needs no
// token. A nil home keeps none: it is another each time.
func openDoor(d hls.Door, l net.Listener, httpFlag string, h *home) (hls.Door, error) {
	if host, _, err := net.SplitHostPort(httpFlag); err == nil && host != "" {
		d.Hosts = append(d.Hosts, host)
	}
	if l.Addr().(*net.TCPAddr).IP.IsLoopback() {
		return d, nil
	}
	// No other site has these names on a network that people trust.
	if name, err := os.Hostname(); err == nil {
		d.Hosts = append(d.Hosts, name, name+".local")
	}
	var err error
	switch {
	case d.Token != "":
	case h == nil:
		d.Token = newToken()
	default:
		d.Token, err = h.httpToken()
	}
	return d, err
}

// newToken has 130 random bits.
func newToken() string { return strings.ToLower(rand.Text()) }

// httpToken returns what other machines show, and makes it unless it is there.
func (h *home) httpToken() (string, error) {
	token := newToken()
	err := h.createSecret([]byte(token+"\n"), tokenFile)
	if !errors.Is(err, fs.ErrExist) {
		return token, err
	}
	raw, err := h.readSecret(tokenFile)
	if err != nil {
		return "", unreadable(h.path(tokenFile), err)
	}
	token = string(bytes.TrimSpace(raw))
	if err := hls.CheckToken(token); err != nil {
		return "", &damagedError{h.path(tokenFile), "token", "remove it, and one is made"}
	}
	return token, nil
}

// doorURLs returns the URL for this machine, and those for others, without the last slash.
// A listener at one address of the network has one for both.
func doorURLs(l net.Listener, token string) (own string, others []string) {
	a := l.Addr().(*net.TCPAddr)
	own = baseURL(a)
	switch {
	case a.IP.IsLoopback():
		return own, nil
	case !a.IP.IsUnspecified() && len(a.IP) > 0:
		own += hls.TokenPrefix + token
		return own, []string{own}
	}
	for _, ip := range networkAddrs() {
		others = append(others, baseURL(&net.TCPAddr{IP: ip.AsSlice(), Port: a.Port})+hls.TokenPrefix+token)
	}
	return own, others
}

// networkAddrs returns the addresses by which other machines reach this one, IPv4 first:
// people may have to type them.
func networkAddrs() (addrs []netip.Addr) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil // then none can be shown
	}
	for _, four := range []bool{true, false} {
		for _, a := range all {
			p, err := netip.ParsePrefix(a.String())
			if err == nil && p.Addr().Is4() == four && p.Addr().IsGlobalUnicast() {
				addrs = append(addrs, p.Addr())
			}
		}
	}
	return addrs[:min(len(addrs), maxShownAddrs)]
}

// showNetwork says what to open on other machines, if they are let in.
func (s *session) showNetwork() {
	for _, base := range s.others {
		s.screen.field("network", base+"/")
	}
	if len(s.others) > 0 {
		s.screen.field("", s.screen.dim("for other machines, whose players take what the page there shows; whoever has the address is let in"))
	}
}
