package stream

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Scheme is the URL scheme of a [Link].
const Scheme = "grapevine"

// MaxLinkPeers bounds how many peers a link may name: enough to survive some that
// left, few enough for a QR code and for dialling them all at once.
const MaxLinkPeers = 16

// Link is all that a viewer needs: the stream, and peers that hold it.
type Link struct {
	Stream ID
	Peers  []string // multiaddrs that end in /p2p/<peer-id>; whoever dials checks them
}

// String writes the link as grapevine://<stream-id>?peer=<multiaddr>&peer=….
func (l Link) String() string {
	var b strings.Builder
	b.WriteString(Scheme + "://" + l.Stream.String())
	for i, p := range l.Peers {
		b.WriteByte("?&"[min(i, 1)])
		// Slashes and colons are legal in a query (RFC 3986, section 3.4); multiaddrs
		// are made of them and stay readable.
		b.WriteString("peer=" + strings.NewReplacer("%2F", "/", "%3A", ":").Replace(url.QueryEscape(p)))
	}
	return b.String()
}

// ErrNotALink is wrapped by what [ParseLink] returns for text that is no link.
var ErrNotALink = errors.New("not a grapevine link")

// ParseLink reads what [Link.String] writes, or a bare stream ID.
func ParseLink(s string) (Link, error) {
	s = strings.TrimSpace(s)
	if id, err := ParseID(s); err == nil {
		return Link{Stream: id}, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != Scheme {
		return Link{}, fmt.Errorf("%w: %q (want grapevine://<stream-id>?peer=<multiaddr>)", ErrNotALink, s)
	}
	id, err := ParseID(u.Host)
	if err != nil {
		return Link{}, fmt.Errorf("%w: %w", ErrNotALink, err)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Link{}, fmt.Errorf("%w: %w", ErrNotALink, err)
	}
	peers := query["peer"]
	if len(peers) > MaxLinkPeers {
		return Link{}, fmt.Errorf("%w: it names %d peers, at most %d are allowed", ErrNotALink, len(peers), MaxLinkPeers)
	}
	return Link{Stream: id, Peers: peers}, nil
}
