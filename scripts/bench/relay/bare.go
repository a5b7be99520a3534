//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	feedProtocol  = "/grapevine-bench/feed"
	drainProtocol = "/grapevine-bench/drain"
	// copyQueue is how many chunks may wait for one peer.
	copyQueue = 64
)

// copier does what a relay does, and nothing else: it receives bytes on one stream and
// sends them on one stream to each peer.
type copier struct {
	host  host.Host
	sent  atomic.Int64
	chunk atomic.Int64
	done  chan struct{}
	wg    sync.WaitGroup

	profile profile

	mu     sync.Mutex // guards all following
	drains map[peer.ID]chan []byte
}

func newCopier() (actor, error) {
	h, err := bareHost(true)
	if err != nil {
		return nil, err
	}
	c := &copier{host: h, done: make(chan struct{}), drains: make(map[peer.ID]chan []byte)}
	h.SetStreamHandler(feedProtocol, c.feed)
	h.SetStreamHandler(drainProtocol, c.drain)
	return c, nil
}

// feed passes on what comes, as slowly as the slowest peer takes it.
func (c *copier) feed(s network.Stream) {
	c.wg.Add(1)
	defer c.wg.Done()
	defer s.Reset()
	for {
		data := make([]byte, c.chunk.Load())
		if _, err := io.ReadFull(s, data); err != nil {
			return
		}
		c.mu.Lock()
		queues := make([]chan []byte, 0, len(c.drains))
		for _, q := range c.drains {
			queues = append(queues, q)
		}
		c.mu.Unlock()
		for _, q := range queues {
			select {
			case q <- data:
			case <-c.done:
				return
			}
		}
	}
}

func (c *copier) drain(s network.Stream) {
	c.wg.Add(1)
	defer c.wg.Done()
	defer s.Reset()
	if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
		return
	}
	q := make(chan []byte, copyQueue)
	c.mu.Lock()
	c.drains[s.Conn().RemotePeer()] = q
	c.mu.Unlock()
	for {
		select {
		case data := <-q:
			if _, err := s.Write(data); err != nil {
				return
			}
			c.sent.Add(int64(len(data)))
		case <-c.done:
			return
		}
	}
}

func (c *copier) do(cmd command) (any, error) {
	switch cmd.Do {
	case "start":
		c.chunk.Store(int64(cmd.Chunk))
		return fmt.Sprintf("%s/p2p/%s", c.host.Addrs()[0], c.host.ID()), nil
	case "chunk":
		c.chunk.Store(int64(cmd.Chunk))
		return nil, nil
	case "profile":
		return nil, c.profile.start(cmd.File)
	case "profiled":
		return nil, c.profile.stop()
	case "usage":
		u := used()
		u.Bytes = c.sent.Load()
		return u, nil
	}
	return nil, errCommand
}

func (c *copier) close() {
	close(c.done)
	_ = c.host.Close()
	c.wg.Wait()
}

// feeder sends bytes to the copier.
type feeder struct {
	host   host.Host
	stream network.Stream
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func newFeeder() (actor, error) {
	h, err := bareHost(false)
	return &feeder{host: h, cancel: func() {}}, err
}

func (f *feeder) do(c command) (any, error) {
	switch c.Do {
	case "connect":
		info, err := connect(f.host, c.Peer)
		if err != nil {
			return nil, err
		}
		f.stream, err = f.host.NewStream(context.Background(), info.ID, feedProtocol)
		return nil, err
	case "feed":
		f.stop()
		ctx, cancel := context.WithCancel(context.Background())
		f.cancel = cancel
		start := time.Now()
		f.wg.Go(func() { f.feed(ctx, c.Rate, c.N, start) })
		return start, nil
	case "stop":
		f.stop()
		return nil, nil
	}
	return nil, errCommand
}

// feed sends a part of so many bytes at a time, at the pace of a broadcast, or for rate
// 0 as fast as it can.
func (f *feeder) feed(ctx context.Context, rate, size int, start time.Time) {
	data := randomBytes(0, size)
	for i := 0; ; i++ {
		var wait time.Duration
		if rate > 0 {
			wait = time.Until(start.Add(time.Duration(i+1) * partDuration))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if _, err := f.stream.Write(data); err != nil {
			if ctx.Err() == nil {
				fmt.Fprintln(os.Stderr, "feeder: cannot write:", err)
			}
			return
		}
	}
}

func (f *feeder) stop() {
	f.cancel()
	f.wg.Wait()
}

func (f *feeder) close() {
	f.cancel()
	if f.stream != nil {
		_ = f.stream.Reset()
	}
	f.wg.Wait()
	_ = f.host.Close()
}

// drains receive bytes from the copier, and forget them.
type drains struct {
	hosts []host.Host
	bytes atomic.Int64
	wg    sync.WaitGroup
}

func newDrains() (actor, error) { return &drains{}, nil }

func (d *drains) do(c command) (any, error) {
	switch c.Do {
	case "grow":
		for len(d.hosts) < c.N {
			h, err := bareHost(false)
			if err != nil {
				return nil, err
			}
			d.hosts = append(d.hosts, h)
			info, err := connect(h, c.Peer)
			if err != nil {
				return nil, err
			}
			s, err := h.NewStream(context.Background(), info.ID, drainProtocol)
			if err != nil {
				return nil, err
			}
			if _, err := s.Write([]byte{1}); err != nil {
				return nil, err
			}
			d.wg.Go(func() { _, _ = io.Copy(counter{&d.bytes}, s) })
		}
		return nil, nil
	case "usage":
		u := used()
		u.Bytes = d.bytes.Load()
		return u, nil
	}
	return nil, errCommand
}

func (d *drains) close() {
	for _, h := range d.hosts {
		_ = h.Close()
	}
	d.wg.Wait()
}

// counter counts what is written to it.
type counter struct{ n *atomic.Int64 }

func (c counter) Write(b []byte) (int, error) {
	c.n.Add(int64(len(b)))
	return len(b), nil
}
