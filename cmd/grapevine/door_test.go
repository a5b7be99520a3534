package main

import (
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/grapevine-live/grapevine/hls"
)

// aListener listens nowhere, at an address.
type aListener struct {
	net.Listener
	addr string
}

func (l aListener) Addr() net.Addr {
	addr, _ := net.ResolveTCPAddr("tcp", l.addr)
	return addr
}

func TestDoorURLs(t *testing.T) {
	for _, test := range []struct {
		addr, own string
		others    []string // nil for those of this machine's addresses
	}{
		{"127.0.0.1:8787", "http://127.0.0.1:8787", []string{}},
		{"[::1]:8787", "http://[::1]:8787", []string{}},
		{"192.0.2.1:8787", "http://192.0.2.1:8787/t/TOKEN", []string{"http://192.0.2.1:8787/t/TOKEN"}},
		{"0.0.0.0:8787", "http://127.0.0.1:8787", nil},
		{"[::]:8787", "http://127.0.0.1:8787", nil},
	} {
		own, others := doorURLs(aListener{addr: test.addr}, "TOKEN")
		if own != test.own || test.others != nil && !slices.Equal(others, test.others) {
			t.Errorf("%s: %s, %v", test.addr, own, others)
		}
		for _, u := range others {
			if !strings.HasSuffix(u, ":8787/t/TOKEN") || strings.Contains(u, "127.0.0.1") {
				t.Errorf("%s: others go to %s", test.addr, u)
			}
		}
	}
}

func TestOpenDoor(t *testing.T) {
	h := testHome(t)
	lan, loopback := aListener{addr: "192.0.2.1:8787"}, aListener{addr: "127.0.0.1:8787"}
	d, err := openDoor(hls.Door{}, loopback, "localhost:8787", h)
	if err != nil || d.Token != "" || !slices.Contains(d.Hosts, "localhost") {
		t.Errorf("on loopback: %+v, %v", d, err)
	}
	first, err := openDoor(hls.Door{}, lan, "box:8787", h)
	if err != nil || hls.CheckToken(first.Token) != nil || !slices.Contains(first.Hosts, "box") {
		t.Errorf("beyond: %+v, %v", first, err)
	}
	if second, err := openDoor(hls.Door{}, lan, "box:8787", h); err != nil || second.Token != first.Token {
		t.Errorf("the token is another: %v", err)
	}
	if given, err := openDoor(hls.Door{Token: "given-by-the-user"}, lan, "box:8787", h); err != nil || given.Token != "given-by-the-user" {
		t.Errorf("the token is not the given one: %v", err)
	}
	one, err1 := openDoor(hls.Door{}, lan, "", nil)
	if other, err2 := openDoor(hls.Door{}, lan, "", nil); err1 != nil || err2 != nil || one.Token == other.Token {
		t.Errorf("without a home the token stays the same")
	}
}
