package p2p_test

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/wire"
)

// wantAll wants all chunks of the newest part twice a second, by partial messages, and never says
// that it has one.
func wantAll(ctx context.Context, v *p2ptest.Victim) {
	for ctx.Err() == nil {
		if all := v.Headers(); len(all) > 0 {
			h := all[len(all)-1]
			want := stream.NewBitmap(len(h.Chunks))
			for i := range h.Chunks {
				want.Set(i)
			}
			if v.Partial(group(h.Position), wire.AppendBytes(wire.AppendMessage(nil, 1, nil), 2, want), nil) != nil {
				return
			}
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// Who asks for everything, by requests or by wants, and takes nothing is let go by all within 10 s.
func TestWhoTakesNothingIsLetGo(t *testing.T) {
	for name, c := range map[string]struct {
		attack p2ptest.Attack
		line   string
	}{
		"requests": {p2ptest.ReadSlowly, "it hears, and takes nothing of what it asks for"},
		"wants":    {wantAll, "it hears, and takes no chunk that it asks for"},
	} {
		t.Run(name, func(t *testing.T) {
			attacked(t, noKey(c.attack), 5*time.Second, 12*time.Second, func(s *siege) {
				st := s.attacker.Stats()
				if len(st.CutOff) != 3 || len(st.Spared) > 0 {
					t.Errorf("%d of 3 nodes let it go: %+v", len(st.CutOff), st)
				}
				for _, d := range st.CutOff {
					if d > 10*time.Second {
						t.Errorf("let go after %v, want 10 s at most", d)
					}
				}
				for i := range s.logs {
					if got := s.logs[i].with(c.line); len(got) != 1 {
						t.Errorf("node %d said so %d times: %q", i, len(got), got)
					}
					if n := s.net.Node(i).Stats().CutOff; len(n) > 0 {
						t.Errorf("node %d cut off %v: it may come again, the first time", i, n)
					}
				}
			})
		})
	}
}

// serving is a broadcaster (host 0), a peer (1) that asks it for parts and is no node, and a viewer (2).
type serving struct {
	t   *testing.T
	net *p2ptest.Network
	id  stream.ID
	log lines
}

// served runs f when 20 s of a stream of 2 Mbit/s are there to be asked for.
func served(t *testing.T, link p2ptest.Link, f func(s *serving)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 2_000_000}
		s := &serving{t: t, net: p2ptest.New(t, latency), id: src.Key.ID()}
		s.net.AddNodeWith(p2ptest.Link{}, p2p.Config{Logger: slog.New(slog.NewTextHandler(&s.log, nil))})
		s.net.AddHost(link)
		s.net.AddNode(p2ptest.Link{})
		s.net.Start()
		defer s.net.Close()
		join(t, s.net, 2, s.net.Link(s.id, 0))
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { src.Run(ctx, t, s.net.Node(0), 1000, false); close(done) }()
		defer func() { cancel(); <-done }()
		time.Sleep(20 * time.Second)
		s.net.Connect(1, 0)
		f(s)
	})
}

// newest returns the newest parts.
func (s *serving) newest(n int) (out []stream.Position) {
	all := s.net.Node(0).Swarms()[0].Timelines()[0].From(stream.Position{})
	for _, h := range all[max(0, len(all)-n):] {
		out = append(out, h.Position)
	}
	return out
}

// ask asks the broadcaster for parts.
func (s *serving) ask(ctx context.Context, parts []stream.Position) (network.Stream, error) {
	raw := wire.AppendBytes(nil, 1, s.id[:])
	for _, p := range parts {
		part := wire.AppendBytes(wire.AppendBytes(nil, 1, []byte("main")), 2, group(p))
		raw = wire.AppendBytes(raw, 3, wire.AppendBytes(part, 3, []byte{0xff, 0xff, 0xff, 0xff}))
	}
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "test"), 2*time.Second)
	defer cancel()
	str, err := s.net.Host(1).NewStream(ctx, s.net.Host(0).ID(), p2p.FetchProtocol)
	if err != nil {
		return nil, err
	}
	_ = str.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := str.Write(append(binary.AppendUvarint(nil, uint64(len(raw))), raw...)); err != nil {
		str.Reset()
		return nil, err
	}
	_ = str.SetDeadline(time.Time{})
	return str, nil
}

// reader asks for the newest parts again and again and reads them, giving up what brings nothing for
// so long, and counts the bytes that it gets.
func (s *serving) reader(ctx context.Context, patience time.Duration, got *atomic.Int64) {
	for ctx.Err() == nil {
		str, err := s.ask(ctx, s.newest(4))
		for err == nil {
			_ = str.SetReadDeadline(time.Now().Add(patience))
			var n int64
			n, err = io.CopyN(io.Discard, str, 1<<10)
			got.Add(n)
		}
		if str != nil {
			str.Reset()
		}
		time.Sleep(250 * time.Millisecond)
	}
}

func (s *serving) connected() bool {
	return len(s.net.Host(0).Network().ConnsToPeer(s.net.Host(1).ID())) > 0
}

// Who was let go for reading nothing, and does so again, is cut off.
func TestWhoReadsNothingAgainIsCutOff(t *testing.T) {
	served(t, p2ptest.Link{}, func(s *serving) {
		for round, want := range []int64{0, 1} {
			for range 4 {
				str, err := s.ask(context.Background(), s.newest(8))
				if err != nil {
					t.Fatal(err)
				}
				defer str.Reset()
			}
			waitFor(t, 10*time.Second, "the connection to be closed", func() bool { return !s.connected() })
			if n := s.net.Node(0).Stats().CutOff[p2p.Unread]; n != want {
				t.Errorf("round %d: %d peers were cut off, want %d", round, n, want)
			}
			if round == 0 {
				time.Sleep(5 * time.Second)
				s.net.Connect(1, 0)
			}
		}
		err := s.net.Host(1).Connect(context.Background(), peer.AddrInfo{ID: s.net.Host(0).ID(), Addrs: s.net.Host(0).Addrs()})
		time.Sleep(time.Second)
		if s.connected() {
			t.Errorf("it was let in again: %v", err)
		}
	})
}

// Who is slow, loses packets, or hears nothing for a while is not cut off, nor let go as one that
// reads nothing, though it asks for more than it can take all the time.
func TestSlowAndDeafReadersAreNotBlamed(t *testing.T) {
	for name, c := range map[string]struct {
		link     p2ptest.Link
		loss     float64
		deaf     time.Duration
		patience time.Duration
	}{
		"a link of 64 kbit/s":               {link: p2ptest.Link{Down: 64_000}, patience: time.Minute},
		"a link of 64 kbit/s, and patience": {link: p2ptest.Link{Down: 64_000}, patience: 2 * time.Second},
		"20% of packets lost":               {loss: 0.2, patience: 2 * time.Second},
		"deaf for 3 s":                      {deaf: 3 * time.Second, patience: time.Minute},
		"deaf for 25 s":                     {deaf: 25 * time.Second, patience: 2 * time.Second},
		"deaf for 25 s, and patience":       {deaf: 25 * time.Second, patience: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			served(t, c.link, func(s *serving) {
				s.net.Lose(c.loss, 1)
				ctx, cancel := context.WithCancel(context.Background())
				var wg sync.WaitGroup
				var got atomic.Int64
				for range 3 {
					wg.Go(func() { s.reader(ctx, c.patience, &got) })
				}
				defer func() { cancel(); wg.Wait() }()
				time.Sleep(time.Second)
				s.net.Deafen(1, c.deaf > 0)
				time.Sleep(c.deaf)
				s.net.Deafen(1, false)
				time.Sleep(max(0, 40*time.Second-c.deaf))
				if n := s.net.Node(0).Stats().CutOff; len(n) > 0 {
					t.Errorf("cut off: %v", n)
				}
				if closed := s.log.with("it hears"); len(closed) > 0 {
					t.Errorf("let go: %q", closed)
				}
				if c.deaf > 0 && c.patience == time.Minute {
					return // what it waits for was given up here
				}
				if !s.connected() { // QUIC gave it up
					s.net.Connect(1, 0)
				}
				before := got.Load()
				waitFor(t, time.Minute, "it to be served", func() bool { return got.Load() > before+(8<<10) })
			})
		})
	}
}

// A viewer whose link carries a fraction of the stream asks for all of it, and is neither cut off
// nor let go.
func TestViewersBehindSlowLinksAreNotBlamed(t *testing.T) {
	for name, down := range map[string]int{"100 kbit/s": 100_000, "300 kbit/s": 300_000} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: 1_000_000}
				var log lines
				net := p2ptest.New(t, latency)
				net.AddNodeWith(p2ptest.Link{}, p2p.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
				net.AddNode(p2ptest.Link{})
				net.AddNode(p2ptest.Link{Down: down})
				net.Start()
				defer net.Close()
				for i := 1; i < 3; i++ {
					join(t, net, i, net.Link(src.Key.ID(), 0))
				}
				ctx, cancel := context.WithCancel(context.Background())
				done := make(chan struct{})
				go func() { src.Run(ctx, t, net.Node(0), 1000, false); close(done) }()
				defer func() { cancel(); <-done }()
				time.Sleep(90 * time.Second)
				if n := net.Node(0).Stats().CutOff; len(n) > 0 {
					t.Errorf("cut off: %v", n)
				}
				if closed := log.with("it hears"); len(closed) > 0 {
					t.Errorf("let go: %q", closed)
				}
				t.Logf("got %d chunks", net.Node(2).Swarms()[0].Stats().ChunksReceived)
			})
		})
	}
}
