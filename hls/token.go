package hls

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	// TokenPrefix is in front of a token in an address: what follows is as without. Since
	// playlists name all by relative addresses, players bear the token without knowing.
	TokenPrefix = "/t/"
	// tokenKept is how long a browser keeps the token.
	tokenKept = 30 * 24 * time.Hour
)

// entrance leads from an address with the token to the page without it. Not by a redirect:
// after a link on another site's page, browsers would not show a strict cookie there.
const entrance = `<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=../../"><title>grapevine</title><p><a href="../../">Go on to the page.</a></p></html>
`

// prefixKey is the key of what stands before the paths that a request's client is told.
type prefixKey struct{}

// prefixOf returns that: the token's, or "" on this machine.
func prefixOf(r *http.Request) string {
	prefix, _ := r.Context().Value(prefixKey{}).(string)
	return prefix
}

// entryKey is the key of whether a request's path had the token.
type entryKey struct{}

// readToken returns the request without its token, and whether it showed the right one.
func (d *door) readToken(r *http.Request) (*http.Request, bool) {
	byPath := false
	if rest, ok := strings.CutPrefix(r.URL.Path, TokenPrefix); ok {
		token, path, _ := strings.Cut(rest, "/")
		if byPath = d.isToken(token); byPath {
			r = r.WithContext(context.WithValue(r.Context(), entryKey{}, true))
			u := *r.URL
			u.Path, u.RawPath = "/"+path, ""
			r.URL = &u
		}
	}
	if !byPath && !d.isToken(bearer(r)) && !d.hasCookie(r) {
		return r, false
	}
	if byPath || !fromThisMachine(r) {
		r = r.WithContext(context.WithValue(r.Context(), prefixKey{}, TokenPrefix+d.token))
	}
	return r, true
}

// bearer returns a request's bearer token (RFC 6750, section 2.1).
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

func (d *door) hasCookie(r *http.Request) bool {
	for _, c := range r.CookiesNamed(cookieName(r)) {
		if d.isToken(c.Value) {
			return true
		}
	}
	return false
}

// cookieName has the port: cookies are shared by all ports of a host, and so by the nodes
// there.
func cookieName(r *http.Request) string {
	name := "grapevine"
	if addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		if _, port, err := net.SplitHostPort(addr.String()); err == nil {
			name += "-" + port
		}
	}
	return name
}

// enter has a browser that came by an address with the token keep it, and go on to the
// page. It reports false if the token was not in the address.
func (d *door) enter(w http.ResponseWriter, r *http.Request) bool {
	if came, _ := r.Context().Value(entryKey{}).(bool); !came {
		return false
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false // and the page does not know the method either
	}
	http.SetCookie(w, &http.Cookie{
		Name: cookieName(r), Value: d.token, Path: "/", MaxAge: int(tokenKept / time.Second),
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil,
	})
	h := w.Header()
	ownHeaders(h)
	h.Set("Content-Type", pageTypes[".html"])
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'"+unframed)
	h.Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, entrance) // the client may have gone
	return true
}
