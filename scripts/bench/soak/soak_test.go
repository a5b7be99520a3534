package soak

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/p2p/policy"
	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/disk"
)

var (
	days    = flag.Int("days", 0, "days of virtual time; as a test, two short ones")
	streams = flag.Int("streams", 4, "streams a day")
	asJSON  = flag.Bool("json", false, "one JSON object a day")
	seed    = flag.Int64("seed", 1, "who comes when, and how they go")
)

// stdout is where results go; what package testing prints goes to standard error.
var stdout = os.Stdout

func TestMain(m *testing.M) {
	flag.Parse()
	if *days > 0 {
		os.Stdout = os.Stderr
	}
	os.Exit(m.Run())
}

const (
	latency  = 25 * time.Millisecond
	rate     = 100_000
	carried  = 2
	memory   = 4 << 20 // full after six minutes of one stream
	onDisk   = disk.MinSize
	quiet    = 30 * time.Minute
	follow   = 10 * time.Second
	shortDay = 90 * time.Minute
)

// holdings are what there is at the end of a day.
type holdings struct {
	Day         int     `json:"day"`
	Heap        float64 `json:"heap_mb"`     // without what hosts left in the simulator
	Goroutines  int     `json:"goroutines"`  // likewise
	Descriptors int     `json:"descriptors"` // of files
	Store       float64 `json:"store_mb"`    // in memory
	Disk        float64 `json:"disk_mb"`     // in the directory, as the file system counts
	Written     float64 `json:"written_mb"`  // to the disk, so far
	Peers       int     `json:"peers"`       // remembered
	Streams     int     `json:"streams"`     // carried, which should be 0
	Hosts       int     `json:"hosts"`       // that came and went so far
	Received    float64 `json:"received_mb"` // by the relay, so far
	Sent        float64 `json:"sent_mb"`     // likewise
	Directory   int     `json:"directory"`   // entries
	Remains     float64 `json:"remains_kb"`  // heap that one host leaves in the simulator
	Resting     float64 `json:"resting"`     // goroutines that one leaves
	Took        float64 `json:"took_s"`      // seconds of CPU time
}

func TestRelayIsLeftAlone(t *testing.T) {
	day, rounds, show := 24*time.Hour, *days, io.Writer(stdout)
	if rounds == 0 {
		day, rounds, show = shortDay, 2, io.Discard
		*streams = 1
	}
	synctest.Test(t, func(t *testing.T) {
		all := run(t, day, rounds, show)
		first, last := all[0], all[len(all)-1]
		if last.Received <= first.Received || last.Sent <= first.Sent || last.Written <= first.Written {
			t.Errorf("the relay carried nothing: %+v", all)
		}
		for _, h := range all {
			if h.Streams > 0 || h.Directory > 0 || h.Store > memory/1e6 || h.Disk > onDisk/1e6 {
				t.Errorf("too much is left: %+v", h)
			}
		}
		if last.Goroutines > first.Goroutines+10 || last.Descriptors > first.Descriptors+2 {
			t.Errorf("goroutines or descriptors grow: %+v, %+v", first, last)
		}
	})
}

// soak is one run.
type soak struct {
	t     *testing.T
	net   *p2ptest.Network
	relay *p2p.Node
	disk  *disk.Store // the relay's
	dir   string      // where that is
	rng   *rand.Rand
	// relayHost is the relay's index in the network.
	relayHost int

	arriving sync.Mutex // held while a host is added; guards hosts
	hosts    int        // that came and went

	remains float64 // bytes that a host leaves behind
	resting float64 // goroutines, likewise
}

// run leaves a relay alone for some days, and returns what it holds at the end of each.
func run(t *testing.T, day time.Duration, rounds int, show io.Writer) (all []holdings) {
	s := &soak{t: t, net: p2ptest.New(t, latency), rng: rand.New(rand.NewSource(*seed))}
	store := stream.NewStore(memory)
	defer s.keep(store)()
	defer s.net.Close()
	s.net.Start()
	s.calibrate()
	s.relayHost = s.net.Len()
	s.relay = s.net.AddNodeWith(p2ptest.Link{Up: 20_000_000}, p2p.Config{
		Directory: true,
		MaxUpload: 20_000_000,
		Store:     store,
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go s.volunteer(ctx)
	for n := range rounds {
		began, real := time.Now(), cpu()
		s.day(ctx, day-quiet)
		time.Sleep(day - time.Since(began))
		h := s.measure(n + 1)
		h.Took = (cpu() - real).Seconds()
		all = append(all, h)
		if *asJSON {
			if err := json.NewEncoder(show).Encode(h); err != nil {
				t.Error(err)
			}
			continue
		}
		fmt.Fprintf(show, "day %2d  heap %6.1f MB  %4d goroutines  %3d descriptors  store %.1f MB, on disk %.1f of %.0f written  %3d peers remembered  %5d hosts came and went  %.0f MB received, %.0f sent  (%.0f s)\n",
			h.Day, h.Heap, h.Goroutines, h.Descriptors, h.Store, h.Disk, h.Written, h.Peers, h.Hosts, h.Received, h.Sent, h.Took)
	}
	return all
}

// keep has what the store takes kept on a disk, too, until the returned function is called.
func (s *soak) keep(store *stream.Store) (end func()) {
	s.dir = s.t.TempDir()
	d, err := disk.Open(disk.Config{Dir: s.dir, Size: onDisk})
	if err != nil {
		s.t.Fatal(err)
	}
	s.disk = d
	store.KeepOn(d)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	return func() {
		cancel()
		if err := errors.Join(<-ended, d.Close()); err != nil {
			s.t.Errorf("end the disk store: %v", err)
		}
	}
}

// kept returns the bytes of all files in the disk store's directory.
func (s *soak) kept() (bytes int64) {
	err := filepath.WalkDir(s.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			bytes += info.Size()
		}
		return err
	})
	if err != nil {
		s.t.Errorf("read the disk store's directory: %v", err)
	}
	return bytes
}

// calibrate measures what hosts that are gone leave behind, without any node.
func (s *soak) calibrate() {
	const sample = 64
	visit := func() {
		i := s.net.Len()
		s.net.AddHost(p2ptest.Link{})
		time.Sleep(time.Second)
		s.net.Forget(i)
	}
	for range sample / 4 { // what is made once
		visit()
	}
	heap, goroutines := s.held()
	for range sample {
		visit()
	}
	after, resting := s.held()
	s.remains, s.resting = max(0, float64(after-heap)/sample), float64(resting-goroutines)/sample
}

// held returns the live heap and the goroutines of the process.
func (s *soak) held() (heap int64, goroutines int) {
	time.Sleep(time.Minute)
	for range 3 { // what has finalizers takes more than one
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc), runtime.NumGoroutine()
}

func (s *soak) measure(day int) holdings {
	heap, goroutines := s.held()
	st, dir := s.relay.Stats(), s.relay.DirectoryStats()
	gone := float64(s.net.Len() - 1)
	kept := s.disk.Stats()
	if kept.Failed+kept.Slow+kept.Damaged > 0 {
		s.t.Errorf("parts not kept, or damaged: %+v", kept)
	}
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		files = nil // not on this system
	}
	return holdings{
		Day:         day,
		Heap:        (float64(heap) - s.remains*gone) / 1e6,
		Goroutines:  goroutines - int(s.resting*gone),
		Descriptors: len(files),
		Store:       float64(s.relay.Store().Stats().Bytes) / 1e6,
		Disk:        float64(s.kept()) / 1e6,
		Written:     float64(kept.Written) / 1e6,
		Peers:       len(s.net.Host(s.relayHost).Peerstore().Peers()),
		Streams:     len(s.relay.Swarms()),
		Hosts:       s.hosts,
		Received:    float64(st.BytesIn) / 1e6,
		Sent:        float64(st.BytesOut) / 1e6,
		Directory:   dir.Entries,
		Remains:     s.remains / 1e3,
		Resting:     s.resting,
	}
}

// volunteer has the relay carry public streams, as package main does.
func (s *soak) volunteer(ctx context.Context) {
	choice := policy.Volunteer{ID: s.relay.ID().String(), Most: carried}
	since := make(map[stream.ID]time.Time)
	for ctx.Err() == nil {
		entries := s.relay.Directory()
		links := make(map[stream.ID]stream.Link)
		var all []policy.Public
		for _, e := range entries {
			links[e.Stream] = e.Link()
			all = append(all, policy.Public{Stream: e.Stream, Supply: float64(e.Supply) / 100, OnAir: true, Carried: since[e.Stream]})
		}
		for id, at := range since {
			if _, ok := links[id]; !ok {
				all = append(all, policy.Public{Stream: id, Carried: at})
			}
		}
		join, leave := choice.Choose(all, true, time.Now())
		if leave != nil {
			s.relay.Leave(*leave)
			delete(since, *leave)
		}
		if join != nil {
			if _, err := s.relay.Join(links[*join]); err != nil {
				s.t.Errorf("join: %v", err)
			}
			since[*join] = time.Now()
		}
		select {
		case <-ctx.Done():
		case <-time.After(follow):
		}
	}
}
