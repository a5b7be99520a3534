package p2p_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/disk"
)

// kept returns the configuration of a node that holds a few segments in memory and the rest in
// a directory, until it is closed.
func kept(t *testing.T, dir string) (cfg p2p.Config, closeDisk func()) {
	t.Helper()
	d, err := disk.Open(disk.Config{Dir: dir, Size: disk.MinSize})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := d.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	cfg = smallStore()
	cfg.Store.KeepOn(d)
	return cfg, sync.OnceFunc(func() {
		cancel()
		running.Wait()
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestARestartedRelayServesThePastWithoutTheBroadcaster has neither the relay's first run nor
// the broadcaster there when a viewer comes.
func TestARestartedRelayServesThePastWithoutTheBroadcaster(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 1_000_000}
		dir, id := t.TempDir(), src.Key.ID()
		net := p2ptest.New(t, latency)
		net.AddNodeWith(p2ptest.Link{}, smallStore())
		cfg, closeDisk := kept(t, dir)
		defer func() { closeDisk() }()
		net.AddNodeWith(p2ptest.Link{}, cfg)
		net.Start()
		defer net.Close()
		join(t, net, 1, net.Link(id, 0))
		time.Sleep(2 * time.Second)
		const segments = 40
		all := src.Run(context.Background(), t, net.Node(0), segments, false)
		time.Sleep(2 * time.Second)
		net.Stop(0)
		net.Stop(1)
		closeDisk()

		damage(t, dir)
		cfg, closeDisk = kept(t, dir)
		net.AddNodeWith(p2ptest.Link{}, cfg)
		relay := join(t, net, 2, stream.Link{Stream: id})
		began := time.Now()
		learn(t, relay)
		if took := time.Since(began); took > time.Second {
			t.Errorf("the relay waited %v for peers that it does not need", took)
		}
		net.AddNodeWith(p2ptest.Link{}, smallStore())
		viewer := join(t, net, 3, net.Link(id, 2))
		time.Sleep(5 * time.Second)
		if n := wholeSegments(net.Node(3), id); n < 3 {
			t.Errorf("the viewer has %d segments to begin with, want 3", n)
		}
		learn(t, viewer)
		if first := viewer.Timelines()[0].From(stream.Position{})[0].Position; first != (stream.Position{Epoch: 1}) {
			t.Errorf("the viewer's timeline begins with %v", first)
		}
		for segment := range uint64(segments) {
			if segment != 10 {
				rewound(t, viewer, all, segment)
				continue
			}
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			_, err := viewer.FetchPast(ctx, "main", 1, segment)
			cancel()
			if !errors.Is(err, p2p.ErrNotHeld) {
				t.Errorf("of a damaged segment it says %v, want that nobody holds it", err)
			}
		}
		if n := net.Node(2).Store().Stats().Disk.Damaged; n != 1 {
			t.Errorf("%d chunks count as damaged, want 1", n)
		}
		if s := viewer.Stats(); s.ChunksRefused != 0 || s.Penalties != 0 || s.PastClaims != 0 {
			t.Errorf("%d chunks were refused, %d claims taken for false", s.ChunksRefused, s.PastClaims)
		}
	})
}

// damage changes a byte in the third part of segment 10.
func damage(t *testing.T, dir string) {
	t.Helper()
	const part = 1_000_000 / 8 / 2
	volumes, err := filepath.Glob(filepath.Join(dir, "*", "*.parts"))
	if err != nil || len(volumes) == 0 {
		t.Fatalf("%d volumes: %v", len(volumes), err)
	}
	at := int64(42*part + part/2)
	for _, path := range volumes {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if at >= info.Size() {
			at -= info.Size()
			continue
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		b := make([]byte, 1)
		if _, err := f.ReadAt(b, at); err != nil {
			t.Fatal(err)
		}
		b[0]++
		if _, err := f.WriteAt(b, at); err != nil {
			t.Fatal(err)
		}
		return
	}
}

// TestARestartedRelayGoesOnWithTheStream checks that it fetches what it missed, and nothing
// that it has, and mends what is damaged.
func TestARestartedRelayGoesOnWithTheStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 1_000_000}
		dir, id := t.TempDir(), src.Key.ID()
		net := p2ptest.New(t, latency)
		net.AddNode(p2ptest.Link{}) // holds all
		cfg, closeDisk := kept(t, dir)
		defer func() { closeDisk() }()
		net.AddNodeWith(p2ptest.Link{}, cfg)
		net.Start()
		defer net.Close()
		join(t, net, 1, net.Link(id, 0))
		time.Sleep(2 * time.Second)
		done := make(chan map[stream.Position][]byte)
		go func() { done <- src.Run(context.Background(), t, net.Node(0), 60, false) }()
		time.Sleep(60 * time.Second)
		net.Stop(1)
		closeDisk()
		damage(t, dir)
		time.Sleep(10 * time.Second)
		cfg, closeDisk = kept(t, dir)
		net.AddNodeWith(p2ptest.Link{}, cfg)
		relay := join(t, net, 2, net.Link(id, 0))
		all := <-done
		time.Sleep(2 * time.Second)
		if s := relay.Stats(); s.ChunksReceived > 60*4*16 || s.Penalties != 0 || s.ChunksRefused != 0 {
			t.Errorf("figures %+v", s)
		}
		learn(t, relay)
		for segment := range uint64(60) {
			rewound(t, relay, all, segment)
		}
		time.Sleep(time.Second)
		if n := net.Node(2).Store().Stats().Disk.Damaged; n != 1 {
			t.Errorf("%d chunks count as damaged, want 1", n)
		}
		// All is there now, without the broadcaster.
		net.Node(2).Store().Drop(id)
		if missing := p2ptest.Missing(net.Node(2), id, all); len(missing) > 0 {
			t.Errorf("%d parts are missing on disk: %v", len(missing), missing[:min(3, len(missing))])
		}
	})
}
