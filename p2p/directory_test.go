package p2p_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

// announced starts a network of nodes that take part in the directory, connected in a line, the
// first of which broadcasts and announces a stream until stop is called.
func announced(t *testing.T, nodes int) (net *p2ptest.Network, key stream.Key, stop func()) {
	t.Helper()
	net = p2ptest.New(t, latency)
	for range nodes {
		net.AddNodeWith(p2ptest.Link{}, p2p.Config{Directory: true})
	}
	net.Start()
	for i := 1; i < nodes; i++ {
		net.Connect(i, i-1)
	}
	key = stream.NewKey()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{}, 2)
	src := p2ptest.Source{Key: key, Epoch: 1, Rate: 100_000}
	if _, err := net.Node(0).Open(key); err != nil {
		t.Fatal(err)
	}
	go func() { src.Run(ctx, t, net.Node(0), 1<<20, false); done <- struct{}{} }()
	go func() {
		if err := net.Node(0).Announce(ctx, key, "Keynote", "From the hall"); err != nil {
			t.Errorf("announce: %v", err)
		}
		done <- struct{}{}
	}()
	return net, key, func() { cancel(); <-done; <-done }
}

func TestDirectoryListsWhatIsOnAir(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, key, stop := announced(t, 4)
		defer net.Close()
		time.Sleep(5 * time.Second)
		for i := range net.Len() {
			list := net.Node(i).Directory()
			if len(list) != 1 || list[0].Stream != key.ID() || list[0].Title != "Keynote" || list[0].Description != "From the hall" || len(list[0].Peers) == 0 {
				t.Fatalf("node %d lists %+v", i, list)
			}
		}
		// Who comes later asks.
		late := net.AddNodeWith(p2ptest.Link{}, p2p.Config{Directory: true})
		net.Connect(4, 3)
		time.Sleep(time.Second)
		if list := late.Directory(); len(list) != 1 || late.DirectoryStats().Asked != 1 {
			t.Errorf("a node that came late lists %v; %+v", list, late.DirectoryStats())
		}
		// It is renewed for as long as it goes on, and gone when it ends. Its supply is known once
		// somebody watches.
		join(t, net, 1, net.Link(key.ID(), 0))
		time.Sleep(20 * time.Minute)
		if list := late.Directory(); len(list) != 1 || time.Since(list[0].Issued) > 5*time.Minute || list[0].Supply == 0 {
			t.Errorf("after 20 minutes: %v", list)
		}
		stop()
		time.Sleep(time.Second)
		for i := range net.Len() {
			if list := net.Node(i).Directory(); len(list) != 0 {
				t.Errorf("node %d lists what was withdrawn: %v", i, list)
			}
		}
		time.Sleep(20 * time.Minute)
		if list := late.Directory(); len(list) != 0 {
			t.Errorf("lists what has expired: %v", list)
		}
		if st := late.DirectoryStats(); st.Entries != 0 || st.Refused != 0 {
			t.Errorf("%+v, want no entries kept", st)
		}
	})
}

func TestBroadcasterThatDiesLeavesTheDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, _, stop := announced(t, 2)
		defer net.Close()
		time.Sleep(5 * time.Second)
		net.Cut(0, true)
		time.Sleep(5 * time.Minute)
		if list := net.Node(1).Directory(); len(list) != 1 {
			t.Errorf("it is gone before it expires: %v", list)
		}
		time.Sleep(10 * time.Minute)
		if list := net.Node(1).Directory(); len(list) != 0 {
			t.Errorf("it is listed still: %v", list)
		}
		stop()
	})
}

func TestOnlyWhoBroadcastsAnnounces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := p2ptest.New(t, latency)
		node := net.AddNodeWith(p2ptest.Link{}, p2p.Config{Directory: true})
		plain := net.AddNode(p2ptest.Link{})
		net.Start()
		defer net.Close()
		key := stream.NewKey()
		if err := node.Announce(t.Context(), key, "x", ""); err == nil {
			t.Error("a stream is announced that nobody broadcasts")
		}
		if err := node.Announce(t.Context(), key, "", ""); !errors.Is(err, stream.ErrBadEntry) {
			t.Errorf("a stream without a title: %v", err)
		}
		if err := plain.Announce(t.Context(), key, "x", ""); !errors.Is(err, p2p.ErrNoDirectory) {
			t.Errorf("without a directory: %v", err)
		}
		if plain.Directory() != nil {
			t.Error("a node without a directory lists something")
		}
	})
}

func TestDirectoryIsFoundByTheDHT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := p2ptest.New(t, latency)
		// A bootstrap node of another version, that takes no part in the directory.
		net.AddNodeWith(p2ptest.Link{}, p2p.Config{DHT: &p2p.DHT{Server: true}})
		for range 2 {
			net.AddNodeWith(p2ptest.Link{}, p2p.Config{Directory: true, DHT: &p2p.DHT{Bootstrap: bootstrap(net)}})
		}
		net.Start()
		defer net.Close()
		key := stream.NewKey()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{}, 2)
		if _, err := net.Node(1).Open(key); err != nil {
			t.Fatal(err)
		}
		src := p2ptest.Source{Key: key, Epoch: 1, Rate: 100_000}
		go func() { src.Run(ctx, t, net.Node(1), 1<<20, false); done <- struct{}{} }()
		go func() { _ = net.Node(1).Announce(ctx, key, "Keynote", ""); done <- struct{}{} }()
		time.Sleep(10 * time.Second)
		net.Node(2).Directory()
		time.Sleep(2 * time.Second)
		if list := net.Node(2).Directory(); len(list) != 1 {
			t.Errorf("lists %v; %+v", list, net.Node(2).DirectoryStats())
		}
		cancel()
		<-done
		<-done
	})
}
