package stream

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

const (
	// MaxOrigins bounds the origins of a link: one, and some to go on with should it fail.
	MaxOrigins = 4
	// maxOriginSize bounds an origin in bytes. A host name has 253 at most.
	maxOriginSize = 300
	// originsContext separates the signatures of origins from whatever else the key signs.
	originsContext = "grapevine origins v1\n"
)

var (
	// ErrNotAnOrigin is wrapped by what [ParseOrigin] returns for text that is none.
	ErrNotAnOrigin = errors.New("not an origin")
	// ErrOriginsForged says that the stream's key did not sign a link's origins.
	ErrOriginsForged = errors.New("its origins are not signed by the stream's broadcaster")
)

// ParseOrigin reads the address of an HTTP origin, https://host or http://host:port, and
// returns it in the one way in which it is written. It has no path, so that whoever names
// an origin to others cannot have them ask any address but an origin's.
func ParseOrigin(s string) (string, error) {
	u, err := url.Parse(strings.TrimSpace(s))
	switch {
	case len(s) > maxOriginSize:
		return "", fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrNotAnOrigin, len(s), maxOriginSize)
	case err != nil:
		return "", fmt.Errorf("%w: %q is no address", ErrNotAnOrigin, s)
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "", u.User != nil:
		return "", fmt.Errorf("%w: %q (want https://host or http://host:port)", ErrNotAnOrigin, s)
	case u.Path != "" && u.Path != "/", u.RawQuery != "" || u.ForceQuery, u.Fragment != "":
		return "", fmt.Errorf("%w: %q has more than a host and a port", ErrNotAnOrigin, s)
	}
	return u.Scheme + "://" + strings.ToLower(u.Host), nil
}

// Origins are the HTTP origins that a stream's broadcaster has signed, in its order. The
// zero value is none.
type Origins struct {
	urls      []string
	signature []byte
	by        *Delegation
}

// URLs returns the origins. They must not be changed.
func (o Origins) URLs() []string { return o.urls }

// Delegation returns what let another key name the origins; nil if the stream's own key did.
func (o Origins) Delegation() *Delegation { return o.by }

// Signature returns the signature as links carry it, "" for no origins.
func (o Origins) Signature() string { return base64.RawURLEncoding.EncodeToString(o.signature) }

// SignOrigins names the HTTP origins of the key's stream. Errors wrap [ErrNotAnOrigin] or
// [ErrDelegationRole].
func (k Key) SignOrigins(urls []string) (Origins, error) {
	if len(urls) == 0 {
		return Origins{}, nil
	}
	urls, err := parseOrigins(urls)
	if err = errors.Join(err, k.may(RoleBroadcast)); err != nil {
		return Origins{}, err
	}
	return Origins{urls, k.signMessage(originsMessage(k.ID(), urls)), k.by}, nil
}

// OpenOrigins checks that id's key signed the origins, in this order, or a delegate if there is a
// delegation. Errors wrap [ErrNotAnOrigin] or [ErrOriginsForged].
func OpenOrigins(id ID, urls []string, signature string, by *Delegation) (Origins, error) {
	if len(urls) == 0 && signature == "" {
		return Origins{}, nil
	}
	parsed, err := parseOrigins(urls)
	if err != nil {
		return Origins{}, err
	}
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || !verify(id, by, originsMessage(id, parsed), raw) {
		return Origins{}, ErrOriginsForged
	}
	return Origins{parsed, raw, by}, nil
}

func parseOrigins(urls []string) ([]string, error) {
	if len(urls) > MaxOrigins {
		return nil, fmt.Errorf("%w: %d of them, at most %d are allowed", ErrNotAnOrigin, len(urls), MaxOrigins)
	}
	out := make([]string, 0, len(urls))
	for _, s := range urls {
		u, err := ParseOrigin(s)
		if err != nil {
			return nil, err
		}
		out = append(out, u)
	}
	return out, nil
}

// originsMessage is what is signed: a line for each origin, in which there is no line feed.
func originsMessage(id ID, urls []string) []byte {
	m := append([]byte(originsContext), id[:]...)
	for _, u := range urls {
		m = append(append(m, u...), '\n')
	}
	return m
}
