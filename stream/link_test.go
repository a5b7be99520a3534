package stream

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestLinksReadWell(t *testing.T) {
	id := testKey.ID()
	for _, c := range []struct {
		want  string
		peers []string
	}{
		{"", nil},
		{"?peer=/ip4/203.0.113.9/udp/4001/quic-v1/p2p/12D3KooW", []string{"/ip4/203.0.113.9/udp/4001/quic-v1/p2p/12D3KooW"}},
		{"?peer=/ip6/2001:db8::1/tcp/4001&peer=/dns4/example.org/tcp/443", []string{"/ip6/2001:db8::1/tcp/4001", "/dns4/example.org/tcp/443"}},
		{"?peer=a%26b%3Dc+d%252F", []string{"a&b=c d%2F"}},
	} {
		want := "grapevine://" + id.String() + c.want
		got := Link{Stream: id, Peers: c.peers}.String()
		if got != want {
			t.Errorf("link %s, want %s", got, want)
		}
		back, err := ParseLink(got)
		if err != nil || back.Stream != id || !slices.Equal(back.Peers, c.peers) {
			t.Errorf("%s reads back as %v, %v", got, back, err)
		}
	}
}

func TestParseLinkIsKindToWhatPeoplePaste(t *testing.T) {
	id := testKey.ID()
	for _, s := range []string{
		id.String(),
		strings.ToUpper(id.String()),
		" \t" + id.String() + "\r\n",
		"grapevine://" + id.String(),
		"grapevine://" + id.String() + "/",
		"GRAPEVINE://" + strings.ToUpper(id.String()),
		"grapevine://" + id.String() + "?later=1",
		"  grapevine://" + id.String() + "?\n",
	} {
		if l, err := ParseLink(s); err != nil || l.Stream != id || len(l.Peers) != 0 {
			t.Errorf("ParseLink(%q) = %v, %v, want stream %v", s, l, err, id)
		}
	}
}

func TestParseLinkRefuses(t *testing.T) {
	good := "grapevine://" + testKey.ID().String()
	peers := func(n int) string {
		var q []string
		for i := range n {
			q = append(q, fmt.Sprintf("peer=/ip4/203.0.113.%d", i))
		}
		return good + "?" + strings.Join(q, "&")
	}
	if l, err := ParseLink(peers(MaxLinkPeers)); err != nil || len(l.Peers) != MaxLinkPeers {
		t.Errorf("%d peers: %v, %v", MaxLinkPeers, l, err)
	}
	for name, s := range map[string]string{
		"nothing":             "",
		"another scheme":      strings.Replace(good, "grapevine", "https", 1),
		"no stream":           "grapevine://",
		"a short stream":      good[:len(good)-1],
		"a port":              good + ":80",
		"a bad escape":        good + "?peer=%zz",
		"no URL":              "grapevine://%",
		"a control character": good + "?peer=\x00",
		"too many peers":      peers(MaxLinkPeers + 1),
	} {
		_, err := ParseLink(s)
		wantError(t, name, err, ErrNotALink)
	}
}

func FuzzParseLink(f *testing.F) {
	id := testKey.ID()
	f.Add(id.String())
	f.Add(Link{Stream: id, Peers: []string{"/ip4/203.0.113.9/udp/4001/quic-v1/p2p/12D3KooW", "/dns6/a:b"}}.String())
	f.Add("grapevine://" + id.String() + "?peer=&peer=%2525&a=b#c")
	f.Add("grapevine://user@" + id.String() + ":/x")
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseLink(s)
		if err != nil {
			if !errors.Is(err, ErrNotALink) {
				t.Errorf("error %v does not wrap ErrNotALink", err)
			}
			return
		}
		if len(l.Peers) > MaxLinkPeers {
			t.Errorf("%d peers, at most %d are allowed", len(l.Peers), MaxLinkPeers)
		}
		again, err := ParseLink(l.String())
		if err != nil || again.Stream != l.Stream || !slices.Equal(again.Peers, l.Peers) {
			t.Errorf("%q reads as %q, and that as %v, %v", s, l, again, err)
		}
	})
}
