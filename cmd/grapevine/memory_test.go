package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/test"
	"github.com/multiformats/go-multiaddr"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
)

// serving makes a peer with some addresses.
func serving(t *testing.T, addrs int, served time.Time) p2p.ServingPeer {
	t.Helper()
	id, err := test.RandPeerID()
	if err != nil {
		t.Fatal(err)
	}
	out := p2p.ServingPeer{AddrInfo: peer.AddrInfo{ID: id}, Served: served}
	for i := range addrs {
		out.Addrs = append(out.Addrs, multiaddr.StringCast(fmt.Sprintf("/ip4/192.0.2.1/udp/%d/quic-v1", i+1)))
	}
	return out
}

func recall(t *testing.T, m memory, id stream.ID) []p2p.ServingPeer {
	t.Helper()
	peers, err := m.Recall(id)
	if err != nil {
		t.Fatal(err)
	}
	return peers
}

func TestPeersAreRemembered(t *testing.T) {
	m, id := memory{testHome(t)}, stream.NewKey().ID()
	if got := recall(t, m, id); len(got) != 0 {
		t.Errorf("a new home recalls %v", got)
	}
	now := time.Now().Truncate(time.Second)
	old, gone, fresh := serving(t, 1, now.Add(-time.Hour)), serving(t, 1, now.Add(-rememberFor-time.Hour)), serving(t, 2, now)
	for _, peers := range [][]p2p.ServingPeer{{old, gone}, {fresh}} {
		if err := m.Remember(id, peers); err != nil {
			t.Fatal(err)
		}
	}
	got := recall(t, m, id)
	if len(got) != 2 || got[0].ID != fresh.ID || len(got[0].Addrs) != 2 || !got[0].Served.Equal(now) || got[1].ID != old.ID {
		t.Errorf("recalls %v, want %v and %v", got, fresh, old)
	}
	// Who serves again is there once, where it is now.
	old.Served, old.Addrs = now.Add(time.Minute), serving(t, 3, now).Addrs
	if err := m.Remember(id, []p2p.ServingPeer{old}); err != nil {
		t.Fatal(err)
	}
	if got := recall(t, m, id); len(got) != 2 || got[0].ID != old.ID || len(got[0].Addrs) != 3 {
		t.Errorf("recalls %v, want %v first", got, old)
	}
	if got := recall(t, m, stream.NewKey().ID()); len(got) != 0 {
		t.Errorf("another stream's peers are %v", got)
	}
	info, err := os.Stat(m.home.path(peersName(id)))
	if err != nil || info.Mode().Perm() != fileMode {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestRememberedPeersAreBounded(t *testing.T) {
	m, id := memory{testHome(t)}, stream.NewKey().ID()
	now := time.Now()
	for i := range 3 {
		var peers []p2p.ServingPeer
		for range maxRemembered {
			peers = append(peers, serving(t, 20, now.Add(time.Duration(i)*time.Minute)))
		}
		if err := m.Remember(id, peers); err != nil {
			t.Fatal(err)
		}
	}
	got := recall(t, m, id)
	if len(got) != maxRemembered || len(got[0].Addrs) != maxRememberedAddrs || got[maxRemembered-1].Served.Before(now.Add(time.Minute)) {
		t.Errorf("%d peers with %d addresses, the last of %v", len(got), len(got[0].Addrs), got[len(got)-1].Served)
	}
	for range maxPeersFiles + 5 {
		if err := m.Remember(stream.NewKey().ID(), []p2p.ServingPeer{serving(t, 1, now)}); err != nil {
			t.Fatal(err)
		}
	}
	if names, _ := filepath.Glob(m.home.path("streams", "*.peers")); len(names) != maxPeersFiles {
		t.Errorf("%d files, want %d", len(names), maxPeersFiles)
	}
}

func TestBrokenMemory(t *testing.T) {
	m, id := memory{testHome(t)}, stream.NewKey().ID()
	name := m.home.path(peersName(id))
	peers := []p2p.ServingPeer{serving(t, 1, time.Now())}
	if err := os.WriteFile(name, []byte(`{"version":2}`), fileMode); err != nil {
		t.Fatal(err)
	}
	if err := m.Remember(id, peers); !errors.Is(err, errPeersVersion) {
		t.Errorf("a newer program's file is overwritten: %v", err)
	}
	if err := os.WriteFile(name, []byte("{"), fileMode); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Recall(id); err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("error %v does not name the file", err)
	}
	if err := m.Remember(id, peers); err != nil {
		t.Fatal(err)
	}
	if got := recall(t, m, id); len(got) != 1 {
		t.Errorf("recalls %v", got)
	}
}

func FuzzPeersFile(f *testing.F) {
	f.Add([]byte(`{"version":1,"peers":[{"addrs":["/ip4/192.0.2.1/udp/1/quic-v1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"],"served":"2030-01-01T00:00:00Z"}]}`))
	f.Add([]byte(`{"version":1,"peers":[{}]}`))
	f.Add([]byte(`{"version":2}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		peers, err := parsePeers(raw)
		if err == nil && len(peers) > maxRemembered {
			t.Errorf("%d peers", len(peers))
		}
		for _, p := range peers {
			if p.ID.Validate() != nil || len(p.Addrs) > maxRememberedAddrs {
				t.Errorf("peer %v", p)
			}
		}
	})
}
