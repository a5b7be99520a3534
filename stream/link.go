package stream

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Scheme is the URL scheme of a [Link].
const Scheme = "grapevine"

// MaxLinkPeers bounds how many peers a link may name: enough to survive some that
// left, few enough for a QR code and for dialling them all at once.
const MaxLinkPeers = 16

// Link is all that a viewer needs: the stream, peers that hold it, and HTTP origins.
type Link struct {
	Stream ID
	Peers  []string // multiaddrs that end in /p2p/<peer-id>; whoever dials checks them
	// Origins are HTTP servers of the same stream. Unlike peers, of which each node names
	// itself, they are the broadcaster's alone to name.
	Origins Origins
	// Relays are the only peers to whom a viewer connects, if there are any; the broadcaster
	// names them.
	Relays Relays
	// Invite lets a viewer enrol for a private stream; nil for none. A link with it is a secret.
	Invite *Invite
}

// String writes the link as
// grapevine://<stream-id>?peer=<multiaddr>&peer=…&origin=<url>&…&signed=<signature>, with
// &relay=<peer-id or delegation>&…&trusted=<signature>, &by=<delegation> and &invite=<invite> where it has these.
func (l Link) String() string {
	var fields []string
	for _, p := range l.Peers {
		fields = append(fields, linkField("peer", p))
	}
	for _, o := range l.Origins.URLs() {
		fields = append(fields, linkField("origin", o))
	}
	if s := l.Origins.Signature(); s != "" {
		fields = append(fields, linkField("signed", s))
	}
	for _, r := range l.Relays.List() {
		fields = append(fields, linkField("relay", r.String()))
	}
	if s := l.Relays.Signature(); s != "" {
		fields = append(fields, linkField("trusted", s))
	}
	if by := l.Delegation(); by != nil {
		fields = append(fields, linkField("by", base64.RawURLEncoding.EncodeToString(by.raw)))
	}
	if l.Invite != nil {
		fields = append(fields, linkField("invite", l.Invite.String()))
	}
	text := Scheme + "://" + l.Stream.String()
	if len(fields) > 0 {
		text += "?" + strings.Join(fields, "&")
	}
	return text
}

// Delegation returns what let another key name the link's origins and relays; nil if it names none
// or the stream's own key did.
func (l Link) Delegation() *Delegation { return cmp.Or(l.Relays.by, l.Origins.by) }

// linkField writes a field of a link's query. Slashes and colons are legal there (RFC 3986,
// section 3.4); addresses are made of them and stay readable.
func linkField(name, value string) string {
	return name + "=" + strings.NewReplacer("%2F", "/", "%3A", ":").Replace(url.QueryEscape(value))
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
	by, err := parseLinkDelegation(id, query.Get("by"))
	if err != nil {
		return Link{}, fmt.Errorf("%w: %w", ErrNotALink, err)
	}
	origins, err := OpenOrigins(id, query["origin"], query.Get("signed"), by)
	if err != nil {
		return Link{}, fmt.Errorf("%w: %w", ErrNotALink, err)
	}
	link := Link{Stream: id, Peers: peers, Origins: origins}
	if link.Relays, err = OpenRelays(id, query["relay"], query.Get("trusted"), by); err != nil {
		return Link{}, fmt.Errorf("%w: %w", ErrNotALink, err)
	}
	if s := query.Get("invite"); s != "" {
		if link.Invite, err = ParseInvite(id, s); err != nil {
			return Link{}, fmt.Errorf("%w: %w", ErrNotALink, err)
		}
		if link.Invite.Confined && len(link.Relays.List()) == 0 {
			return Link{}, fmt.Errorf("%w: %w", ErrNotALink, ErrNoRelays)
		}
	}
	return link, nil
}

// ErrLinkExpired says that who signed what a link names may do so no more.
var ErrLinkExpired = errors.New("it was made by a broadcasting key that has expired")

// parseLinkDelegation opens the delegation of who signed what a link names, nil for none. It must
// hold now: else a key that has expired could name servers for ever.
func parseLinkDelegation(id ID, s string) (*Delegation, error) {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadDelegation, errRoleText)
	}
	by, err := openDelegated(id, raw, RoleBroadcast, OpenDelegation)
	if by == nil || err != nil {
		return nil, err
	}
	if by.HoldsAt(time.Now()) != nil {
		return nil, ErrLinkExpired
	}
	return by, nil
}
