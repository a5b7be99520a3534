package chaos

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	broadcasters = 2 // hosts 0 and 1
	relays       = 2 // the next
	viewers      = 10
	hosts        = broadcasters + relays + viewers // the liar comes after them

	latency = 25 * time.Millisecond
	uplink  = 20_000_000
	memory  = 2 << 20 // of each store: full after half a minute
)

// world is one run.
type world struct {
	t        *testing.T
	seed     int64
	began    time.Time
	net      *p2ptest.Network
	programs []*program
	faults   []fault
	adding   sync.Mutex // held while a host is started

	mu        sync.Mutex // guards all following
	hosts     []*host
	muted     map[[2]int]bool
	disrupted time.Time // when something began to go wrong
	starts    int       // of hosts that were there before
	res       result
}

// host is a place in the network and what lives there.
type host struct {
	index  int
	viewer bool
	carry  []*program // of broadcasters their own

	// Guarded by world.mu.
	life  int
	since time.Time
	node  *p2p.Node // nil while it is dead
	still bool
	cut   bool
	deaf  bool
	half  bool          // which, of a divided network
	end   func()        // ends what runs at it
	gone  chan struct{} // closed when the last life is over
	heal  healing
}

func newWorld(t *testing.T, seed int64, faults []fault) *world {
	w := &world{t: t, seed: seed, began: time.Now(), net: p2ptest.New(t, latency), faults: faults, muted: make(map[[2]int]bool)}
	w.res.Faults = make(map[kind]int)
	for i := range broadcasters {
		w.programs = append(w.programs, newProgram(i))
	}
	for i := range hosts {
		h := &host{index: i}
		switch {
		case i < broadcasters:
			h.carry = w.programs[i : i+1]
		case i < broadcasters+relays:
			h.carry = w.programs
		default:
			h.viewer, h.carry = true, w.programs[i%broadcasters:][:1]
		}
		w.hosts = append(w.hosts, h)
		w.net.AddNodeWith(w.link(), w.config())
	}
	w.net.Start()
	w.net.AddLiar(w.link(), w.programs[0].key.ID(), true).Lie()
	for _, h := range w.hosts {
		w.live(h, w.net.Node(h.index))
	}
	w.net.Connect(hosts, broadcasters)
	return w
}

func (w *world) link() p2ptest.Link { return p2ptest.Link{Up: uplink} }

func (w *world) config() p2p.Config {
	return p2p.Config{Store: stream.NewStore(memory), MaxUpload: uplink}
}

// live has a host do what it is there for.
func (w *world) live(h *host, node *p2p.Node) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	if h.index < broadcasters {
		running.Go(func() { h.carry[0].broadcast(ctx, w, node) })
	} else {
		for _, p := range h.carry {
			// The relays' addresses outlive them.
			if _, err := node.Join(w.net.Link(p.key.ID(), p.by, broadcasters, broadcasters+1)); err != nil {
				w.t.Errorf("join: %v", err)
			}
		}
	}
	w.mu.Lock()
	h.life++
	h.since, h.node = time.Now(), node
	h.end = func() { cancel(); running.Wait() }
	life := h.life
	w.mu.Unlock()
	running.Go(func() { w.examine(ctx, h, life, node) })
	if h.viewer {
		running.Go(func() { w.play(ctx, h, node) })
	}
}

// die ends what lives at a host, politely or not.
func (w *world) die(h *host, politely bool) {
	w.net.Cut(h.index, !politely)
	w.mu.Lock()
	end := h.end
	h.node, h.gone = nil, make(chan struct{})
	gone := h.gone
	w.mu.Unlock()
	go func() {
		defer close(gone)
		end()
		w.net.Stop(h.index)
	}()
}

// start starts a host again.
func (w *world) start(h *host) {
	w.mu.Lock()
	gone := h.gone
	w.mu.Unlock()
	<-gone
	w.adding.Lock()
	node := w.net.RestartWith(h.index, w.link(), false, w.config())
	w.adding.Unlock()
	w.mu.Lock()
	w.starts++
	w.mu.Unlock()
	w.live(h, node)
}

// begin has a fault begin, and end finishes it.
func (w *world) begin(f fault) {
	w.mu.Lock()
	w.res.Faults[f.kind]++
	if f.disrupts {
		w.disrupted = time.Now()
	}
	w.mu.Unlock()
	w.set(f, true)
}

func (w *world) set(f fault, on bool) {
	var h *host
	if len(f.hosts) == 1 {
		h = w.hosts[f.hosts[0]]
	}
	note := func(field *bool) {
		w.mu.Lock()
		*field = on
		w.mu.Unlock()
	}
	switch f.kind {
	case kill, stop:
		if on {
			w.die(h, f.kind == stop)
		} else {
			w.start(h)
		}
	case pause:
		w.net.Pause(h.index, on)
		note(&h.still)
	case cut:
		w.net.Cut(h.index, on)
		note(&h.cut)
	case deaf:
		w.net.Deafen(h.index, on)
		note(&h.deaf)
	case mute:
		w.net.Mute(f.hosts[0], f.hosts[1], on)
		w.mu.Lock()
		w.muted[[2]int(f.hosts)] = on
		w.mu.Unlock()
	case divide:
		var half []int
		if on {
			half = f.hosts
		}
		w.net.Divide(half)
		w.mu.Lock()
		for _, h := range w.hosts {
			h.half = slices.Contains(half, h.index)
		}
		w.mu.Unlock()
	case loss:
		share := 0.0
		if on {
			share = 0.05
		}
		w.net.Lose(share, w.seed)
	case disorder:
		var d p2ptest.Disorder
		if on {
			d = p2ptest.Disorder{Late: 0.05, By: 300 * time.Millisecond, Twice: 0.05, Seed: w.seed}
		}
		w.net.Disturb(d)
	case late:
		if on {
			w.net.Delay(h.index, f.by[0], f.by[1])
		} else {
			w.net.Delay(h.index, 0, 0)
		}
	case clock:
		if on {
			w.net.SetClock(h.index, f.by[0])
		}
	}
}

// run has all of it happen, and returns what was measured.
func (w *world) run(length time.Duration, base *holdings) result {
	type turn struct {
		at    time.Duration
		fault fault
		on    bool
	}
	var turns []turn
	for _, f := range w.faults {
		turns = append(turns, turn{f.at, f, true})
		if f.lasts > 0 {
			turns = append(turns, turn{f.at + f.lasts, f, false})
		}
	}
	slices.SortStableFunc(turns, func(a, b turn) int { return int(a.at - b.at) })
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var watching sync.WaitGroup
	watching.Go(func() { w.watchPlayback(ctx) })
	watching.Go(func() { w.watchHoldings(ctx, base) })
	for _, t := range turns {
		time.Sleep(time.Until(w.began.Add(t.at)))
		if t.on {
			w.begin(t.fault)
		} else {
			w.set(t.fault, false)
		}
	}
	time.Sleep(time.Until(w.began.Add(length)))
	cancel()
	watching.Wait()
	w.holdAtEnd(base)
	for _, h := range w.hosts {
		h.end()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.res.Starts = w.starts
	return w.res
}

const maxBroken = 20

// broken notes that an invariant does not hold.
func (w *world) broken(h *host, invariant, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.brokenLocked(h, invariant, format, args...)
}

func (w *world) brokenLocked(h *host, invariant, format string, args ...any) {
	at := time.Since(w.began)
	where := "all"
	if h != nil {
		where = fmt.Sprintf("host %d, life %d", h.index, h.life)
	}
	if len(w.res.Broken) < maxBroken {
		w.res.Broken = append(w.res.Broken, fmt.Sprintf("seed %d, %8.3fs, %s: %s: %s", w.seed, at.Seconds(), where, invariant, fmt.Sprintf(format, args...)))
	}
}
