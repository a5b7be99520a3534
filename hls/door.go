package hls

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// MinToken and MaxToken bound a token's length in characters, which are those that
	// need no escape in a URL's path (RFC 3986, section 2.3).
	MinToken = 16
	MaxToken = 128
	// AllOrigins in [Door.Origins] lets pages of all sites play.
	AllOrigins = "*"
	// bodyGrace is how long a client may send a body that nobody reads.
	bodyGrace = time.Second
)

// Door says whom a [Server] answers, besides who is on its own machine. The zero value is
// a door that nobody else gets through.
type Door struct {
	// Token lets in who is on another machine: in the address, after [TokenPrefix], in a
	// cookie or as a bearer token. "" lets nobody in.
	Token string
	// Hosts are names under which browsers may know the node, besides localhost and all
	// IP addresses. Under any other name, another site's page may be behind a request
	// (DNS rebinding).
	Hosts []string
	// Origins are other sites, such as https://example.org, whose pages may play the
	// streams and frame the player; AllOrigins stands for all.
	Origins []string
}

// CheckToken returns an error unless a token can be one.
func CheckToken(token string) error {
	if len(token) < MinToken || len(token) > MaxToken {
		return fmt.Errorf("a token has %d to %d characters", MinToken, MaxToken)
	}
	if strings.ContainsFunc(token, func(c rune) bool {
		return c > 0x7f || !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("-._~", c))
	}) {
		return errors.New("a token has letters, digits and -._~ only")
	}
	return nil
}

// ParseOrigin reads a site's origin, or AllOrigins, and returns it as browsers write it
// (RFC 6454, section 6.2).
func ParseOrigin(text string) (string, error) {
	if text == AllOrigins {
		return text, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", errors.New("an origin looks like https://example.org")
	}
	if u.Scheme == "" || u.Hostname() == "" || u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("an origin looks like https://example.org, with a port if it has one and nothing behind it")
	}
	if port := map[string]string{"http": "80", "https": "443"}[u.Scheme]; u.Port() == port && port != "" {
		u.Host = strings.TrimSuffix(u.Host, ":"+port)
	}
	return u.Scheme + "://" + strings.ToLower(u.Host), nil
}

// door decides on requests. It is immutable but for its counts.
type door struct {
	token   string
	hosts   []string
	origins []string

	bodies, otherHost, otherSite, noToken atomic.Int64 // refused
}

func newDoor(cfg Door) (*door, error) {
	d := &door{token: cfg.Token}
	if cfg.Token != "" {
		if err := CheckToken(cfg.Token); err != nil {
			return nil, err
		}
	}
	for _, h := range cfg.Hosts {
		d.hosts = append(d.hosts, hostName(h))
	}
	for _, o := range cfg.Origins {
		origin, err := ParseOrigin(o)
		if err != nil {
			return nil, fmt.Errorf("origin %q: %w", o, err)
		}
		d.origins = append(d.origins, origin)
	}
	return d, nil
}

// guard has a handler answer whom the door lets through. The handler sees paths without a
// token.
func (d *door) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hasBody(r) {
			d.bodies.Add(1)
			refuseBody(w)
			return
		}
		if !d.knows(r.Host) {
			d.otherHost.Add(1)
			deny(w, http.StatusMisdirectedRequest, fmt.Sprintf("This node is not known as %q, so a page of another site may be behind this request; open it by its address, or start it with --allow-host %[1]s.", hostName(r.Host)))
			return
		}
		r, shown := d.readToken(r)
		if !shown && !fromThisMachine(r) {
			d.noToken.Add(1)
			d.denyStranger(w)
			return
		}
		if site := siteOf(r); site != "" && !d.welcomes(r, site) {
			d.otherSite.Add(1)
			deny(w, http.StatusForbidden, fmt.Sprintf("A page of %s asked for this; it may play the streams of this node, and nothing else, if the node is started with --allow-origin and that site.", site))
			return
		}
		if shown && r.URL.Path == "/" && d.enter(w, r) {
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hasBody reports whether a request has a body: nothing here wants one.
func hasBody(r *http.Request) bool { return r.ContentLength != 0 }

// refuseBody answers a request with a body, of which net/http would read 256 KiB first,
// however long they take.
func refuseBody(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyGrace)) // a recorder has none
	w.Header().Set("Connection", "close")
	deny(w, http.StatusRequestEntityTooLarge, "Nothing can be sent to this address.")
}

// denyStranger answers who is on another machine and shows no token.
func (d *door) denyStranger(w http.ResponseWriter) {
	if d.token == "" {
		deny(w, http.StatusForbidden, "This node serves its own machine only.")
		return
	}
	w.Header().Set("WWW-Authenticate", "Bearer") // RFC 9110, section 11.6.1
	deny(w, http.StatusUnauthorized, "This node serves other machines by its token only; open an address that it printed, with "+TokenPrefix+" and the token.")
}

// deny answers a request that the door does not let through.
func deny(w http.ResponseWriter, status int, why string) {
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, why, status)
}

// hostName returns a host without port, brackets and the last dot, in small letters.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// knows reports whether a browser may know the node by a host. No other site has an IP
// address, or localhost, for its name. Browsers always name one.
func (d *door) knows(host string) bool {
	name := hostName(host)
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return host == "" || name == "localhost" || slices.Contains(d.hosts, name)
}

// fromThisMachine reports whether a request came by the loopback interface.
func fromThisMachine(r *http.Request) bool {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && from.Addr().Unmap().IsLoopback()
}

// siteOf returns the site whose page is behind a request, as far as the browser says, and
// "" if it is none but the node's own. No page can set Sec-Fetch-Site. Browsers send it to
// loopback and by HTTPS only; elsewhere a token is asked for, and there is Origin.
func siteOf(r *http.Request) string {
	origin, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
	switch {
	case site == "same-origin", site == "none":
		return "" // also where a proxy gives the node another host than the browser knows
	case site == "" && (origin == "" || origin == "http://"+r.Host || origin == "https://"+r.Host):
		return ""
	case origin == "":
		return "another site"
	}
	return origin
}

// welcomes reports whether a page of another site may cause a request: of a site that was
// named, to play streams and to frame the player; of any, to lead to a page.
func (d *door) welcomes(r *http.Request, site string) bool {
	at := placeOf(r.URL.Path)
	if r.Header.Get("Sec-Fetch-Mode") == "navigate" && at != streamPlace {
		switch r.Header.Get("Sec-Fetch-Dest") {
		case "document":
			return at != ownPlace
		case "iframe", "frame":
			// The browser does not say whose; the player's policy has it look.
			return at == playerPlace && len(d.origins) > 0
		}
		return false
	}
	return at == streamPlace && d.shares(site)
}

// shares reports whether pages of an origin may play.
func (d *door) shares(origin string) bool {
	return slices.Contains(d.origins, origin) || slices.Contains(d.origins, AllOrigins)
}

// place is what there is at an address.
type place int

const (
	ownPlace    place = iota // the page's files and the API
	pagePlace                // the page
	playerPlace              // the player alone
	streamPlace              // playlists and segments
)

func placeOf(path string) place {
	first, _, deeper := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch _, err := stream.ParseID(first); {
	case path == "/":
		return pagePlace
	case strings.HasPrefix(path, embedPrefix):
		return playerPlace
	case deeper && err == nil:
		return streamPlace
	}
	return ownPlace
}

// share has what is played answer pages of the sites that may.
func (d *door) share(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		switch origin := r.Header.Get("Origin"); {
		case slices.Contains(d.origins, AllOrigins):
			header.Set("Access-Control-Allow-Origin", "*")
		case len(d.origins) == 0:
			header.Set("Cross-Origin-Resource-Policy", "same-origin")
		default:
			header.Add("Vary", "Origin") // Fetch, section 3.3.5
			if d.shares(origin) {
				header.Set("Access-Control-Allow-Origin", origin)
			}
		}
		// Chromium asks before a page of the internet reaches into the local network.
		if r.Header.Get("Access-Control-Request-Private-Network") == "true" {
			header.Set("Access-Control-Allow-Private-Network", "true")
		}
		exposed(h)(w, r)
	})
}

// framing is the part of the player's policy that says who may frame it.
func (d *door) framing() string {
	if slices.Contains(d.origins, AllOrigins) {
		return ""
	}
	return "; frame-ancestors " + strings.Join(append([]string{"'self'"}, d.origins...), " ")
}

// isToken compares without telling how much is right.
func (d *door) isToken(text string) bool {
	a, b := sha256.Sum256([]byte(text)), sha256.Sum256([]byte(d.token))
	return d.token != "" && subtle.ConstantTimeCompare(a[:], b[:]) == 1
}
