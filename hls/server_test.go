package hls

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// TestServe checks that Serve answers over a real socket, and that it ends at once
// although a request is held.
func TestServe(t *testing.T) {
	b := newBroadcast(t, 0)
	for range 3 {
		b.air(2 * time.Second)
	}
	s, err := NewServer(Config{Node: b})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = s.Run(ctx) })
	running.Go(func() {
		if err := s.Serve(ctx, l); err != nil {
			t.Error(err)
		}
	})
	transport := &http.Transport{}
	client := &http.Client{Transport: transport}
	defer transport.CloseIdleConnections()
	if err := s.WaitPlayable(ctx, b.key.ID()); err != nil {
		t.Fatal(err)
	}
	answer, err := client.Get("http://" + l.Addr().String() + b.path("1-2.ts"))
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil || string(data) != string(b.order[2].data) {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if answer, err := client.Get("http://" + l.Addr().String() + b.path("1-3.ts")); err == nil {
			_ = answer.Body.Close()
		}
	}()
	for s.counts.heldNow.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	start := time.Now()
	stop()
	running.Wait()
	<-ended
	if d := time.Since(start); d > shutdownGrace {
		t.Errorf("stopped after %v", d)
	}
}

func TestServeReportsErrors(t *testing.T) {
	s, err := NewServer(Config{Node: newBroadcast(t, 0)})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if err := s.Serve(t.Context(), l); err == nil {
		t.Error("no error from a closed listener")
	}
}

// changing is a node whose streams come and go.
type changing struct {
	mu      sync.Mutex
	streams []Stream
}

func (c *changing) set(streams []Stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.streams = streams
}

func (c *changing) Streams() []Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.streams
}

func (c *changing) Status() Status { return Status{} }

func TestStreamsComeAndGo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBroadcast(t, 0)
		for range 3 {
			b.air(2 * time.Second)
		}
		node := &changing{}
		s, err := NewServer(Config{Node: node})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		go func() { _ = s.Run(ctx) }()
		synctest.Wait()
		if code := do(s.Handler(), "GET", b.multivariantPath()).Code; code != 404 {
			t.Errorf("before it is joined: %d", code)
		}
		// Which renditions it has is known a little later than that it is there.
		bare := b.Streams()
		bare[0].Timelines = nil
		node.set(bare)
		time.Sleep(rescanEvery)
		held := make(map[string]func() int)
		for _, name := range []string{"index.m3u8", "dvr.m3u8"} {
			held[name] = heldRequest(ctx, s.Handler(), b.path(name))
			expect(t, name+" before its renditions are known", held[name], 0)
		}
		node.set(b.Streams())
		if code := do(s.Handler(), "GET", b.multivariantPath()).Code; code != 200 {
			t.Errorf("right after it is joined: %d", code)
		}
		for name, code := range held {
			expect(t, name+" after they are", code, 200)
		}
		// The stream gets a second rendition.
		both := b.Streams()
		both[0].Timelines = append(both[0].Timelines, stream.NewTimeline(b.key.ID(), "audio"))
		node.set(both)
		further := heldRequest(ctx, s.Handler(), strings.Replace(b.path("index.m3u8"), "/main/", "/audio/", 1))
		expect(t, "a rendition that is new", further, 0)
		time.Sleep(rescanEvery)
		synctest.Wait()
		st, _, _ := s.find(b.key.ID())
		if len(st.renditions) != 2 || do(s.Handler(), "GET", b.path("index.m3u8")).Code != 200 {
			t.Errorf("%d renditions, want 2", len(st.renditions))
		}
		node.set(nil)
		time.Sleep(rescanEvery)
		synctest.Wait()
		if code := do(s.Handler(), "GET", b.multivariantPath()).Code; code != 404 {
			t.Errorf("after it was left: %d", code)
		}
		stop()
		synctest.Wait()
	})
}

func TestLimitListener(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := limitListener(inner, newRoom(1, 1, &roomCounts{}))
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	for range 2 {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	first := <-accepted
	connState(first, http.StateActive)
	select {
	case <-accepted:
		t.Error("accepted two at a time")
	case <-time.After(20 * time.Millisecond):
	}
	_ = first.Close()
	_ = first.Close() // must not give its place back twice
	second := <-accepted
	connState(second, http.StateActive)
	select {
	case <-accepted:
		t.Error("accepted a third")
	default:
	}
	_ = l.Close() // while Accept waits for a place
	if _, open := <-accepted; open {
		t.Error("accepted after Close")
	}
	_ = second.Close()
}
