package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// TestOnlyTheCommandLineEntersThePublicDHT holds that no test, bench or demo can: all of them
// configure nodes themselves, and nodes take part in no DHT unless they are told to.
func TestOnlyTheCommandLineEntersThePublicDHT(t *testing.T) {
	root := filepath.Join("..", "..")
	mentions := regexp.MustCompile(`\b(PublicDHT|PublicBootstrap|GetDefaultBootstrapPeerAddrInfos|DefaultBootstrapPeers)\b`)
	var got []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || filepath.Base(path) == "discovery_test.go" {
			return err
		}
		text, err := os.ReadFile(path)
		if err == nil && mentions.Match(text) {
			name, _ := filepath.Rel(root, path)
			got = append(got, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"cmd/grapevine/discovery.go", "p2p/discovery.go", "p2p/discovery/options.go"}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("the public DHT's nodes are named in %v, want %v", got, want)
	}
	// Whichever commands could, scripts run them without.
	for _, c := range newApp(&environment{stdin: os.Stdin}).Commands {
		reads := takesValue(c, "--bootstrap")
		if private := slices.Contains(withoutDHT([]string{"grapevine", c.Name}), "--no-dht"); reads != private {
			t.Errorf("%s takes part in a DHT: %v; scripts run it without one: %v", c.Name, reads, private)
		}
	}
}

func TestBootstrapNodes(t *testing.T) {
	const id, other = "/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN", "/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN"
	got, err := readBootstrap([]string{"/ip4/192.0.2.1/udp/1/quic-v1" + id + ", /ip4/192.0.2.1/tcp/1" + id, "/ip4/192.0.2.2/tcp/1" + other})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || len(got[0].Addrs) != 2 || len(got[1].Addrs) != 1 {
		t.Errorf("read %v, want a node with two addresses and one with one", got)
	}
	for _, bad := range []string{"", "192.0.2.1:4747", "/ip4/192.0.2.1/tcp/1", id, "/ip4/192.0.2.1/tcp/1" + id + ","} {
		if got, err := readBootstrap([]string{bad}); err == nil {
			t.Errorf("%q is read as %v", bad, got)
		}
	}
}
