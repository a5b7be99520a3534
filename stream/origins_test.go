package stream

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestOriginsAreHostsAlone(t *testing.T) {
	for in, want := range map[string]string{
		"https://live.example.org":      "https://live.example.org",
		"https://Live.Example.org/":     "https://live.example.org",
		" http://127.0.0.1:8788\n":      "http://127.0.0.1:8788",
		"http://[2001:db8::1]:80":       "http://[2001:db8::1]:80",
		"https://example.org/live":      "",
		"https://example.org?a=b":       "",
		"https://example.org?":          "",
		"https://example.org#a":         "",
		"https://user@example.org":      "",
		"ftp://example.org":             "",
		"example.org":                   "",
		"https://":                      "",
		"https://:443":                  "",
		"":                              "",
		"https://example.org\nhttp://b": "",
		"https://" + strings.Repeat("a", maxOriginSize) + ".example": "",
	} {
		got, err := ParseOrigin(in)
		if got != want || (err != nil) != (want == "") || err != nil && !errors.Is(err, ErrNotAnOrigin) {
			t.Errorf("ParseOrigin(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestLinksCarryTheOriginsThatTheBroadcasterSigned(t *testing.T) {
	urls := []string{"https://live.example.org", "http://203.0.113.9:8788"}
	signed, err := testKey.SignOrigins(urls)
	if err != nil {
		t.Fatal(err)
	}
	link := Link{Stream: testKey.ID(), Peers: []string{"/ip4/203.0.113.9/tcp/4001"}, Origins: signed}
	back, err := ParseLink(link.String())
	if err != nil || !slices.Equal(back.Origins.URLs(), urls) || back.String() != link.String() {
		t.Errorf("%s reads back as %v, %v", link, back, err)
	}
	// Whoever passes a link on may name other peers, but neither other origins nor fewer.
	for name, text := range map[string]string{
		"another origin":   strings.Replace(link.String(), "live.example.org", "evil.example.org", 1),
		"one left out":     strings.Replace(link.String(), "&origin=http://203.0.113.9:8788", "", 1),
		"another order":    strings.NewReplacer(urls[0], urls[1], urls[1], urls[0]).Replace(link.String()),
		"no signature":     strings.Split(link.String(), "&signed=")[0],
		"half a signature": link.String()[:len(link.String())-20],
		"another stream":   strings.Replace(link.String(), testKey.ID().String(), NewKey().ID().String(), 1),
	} {
		if text == link.String() {
			t.Fatalf("%s: nothing was changed", name)
		}
		if l, err := ParseLink(text); !errors.Is(err, ErrNotALink) {
			t.Errorf("%s: %q reads as %v, %v", name, text, l, err)
		}
	}
}

func TestOriginsThatCannotBeSigned(t *testing.T) {
	if _, err := testKey.SignOrigins(slices.Repeat([]string{"https://a"}, MaxOrigins+1)); !errors.Is(err, ErrNotAnOrigin) {
		t.Errorf("too many origins: %v", err)
	}
	if _, err := testKey.SignOrigins([]string{"nonsense"}); !errors.Is(err, ErrNotAnOrigin) {
		t.Errorf("no origin: %v", err)
	}
	if none, err := testKey.SignOrigins(nil); err != nil || none.Signature() != "" {
		t.Errorf("no origins: %v, %v", none, err)
	}
}
