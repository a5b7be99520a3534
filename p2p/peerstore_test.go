package p2p_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

func TestPeersThatAreGoneAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := p2ptest.New(t, latency)
		for range 3 {
			net.AddNode(p2ptest.Link{})
		}
		net.Start()
		defer net.Close()
		net.Connect(1, 0)
		net.Connect(2, 0)
		gone, here, known := net.Host(1).ID(), net.Host(2).ID(), net.Host(0).Peerstore().PeersWithAddrs
		time.Sleep(time.Second)
		net.Stop(1)
		time.Sleep(time.Minute)
		if !slices.Contains(known(), gone) {
			t.Error("a peer is forgotten that may come back")
		}
		time.Sleep(45 * time.Minute)
		if slices.Contains(known(), gone) {
			t.Error("a peer that is gone for long is remembered")
		}
		if !slices.Contains(known(), here) {
			t.Error("a peer that is here is forgotten")
		}
	})
}

func TestPeersThatAreGoneAreProtectedNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := p2ptest.New(t, latency)
		for range 3 {
			net.AddNode(p2ptest.Link{})
		}
		net.Start()
		defer net.Close()
		key := stream.NewKey()
		if _, err := net.Node(0).Open(key); err != nil {
			t.Fatal(err)
		}
		for i := 1; i < 3; i++ {
			if _, err := net.Node(i).Join(net.Link(key.ID(), 0)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Second)
		protected := func(i int) bool { return net.Host(0).ConnManager().IsProtected(net.Host(i).ID(), "") }
		if !protected(1) || !protected(2) {
			t.Fatal("no mesh protects its peers")
		}
		net.Stop(1)
		time.Sleep(time.Minute)
		if protected(1) {
			t.Error("a peer that is gone is protected")
		}
		if !protected(2) {
			t.Error("a peer that is here is not")
		}
	})
}
