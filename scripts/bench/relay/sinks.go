//go:build linux

package main

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	// joinAtOnce is how many nodes join at a time: a crowd is not what is measured.
	joinAtOnce = 16
	// sinkCache is enough for what a sink has under way.
	sinkCache = 4 << 20
)

// sinks are the nodes that the relay feeds.
type sinks struct {
	arrivals arrivals
	hosts    []host.Host
	nodes    []*p2p.Node
}

func newSinks() (actor, error) { return &sinks{}, nil }

func (s *sinks) do(c command) (any, error) {
	switch c.Do {
	case "grow":
		return nil, s.grow(c)
	case "measure":
		s.arrivals.measure(c.From, c.To)
		return nil, nil
	case "result":
		time.Sleep(time.Until(c.To.Add(deadline)))
		res := s.arrivals.result(len(s.nodes), partDuration)
		for i, h := range s.hosts {
			if n := len(h.Network().Peers()); n != 1 {
				return nil, fmt.Errorf("sink %d is connected to %d peers, want the relay only", i, n)
			}
		}
		return res, nil
	case "usage":
		return used(), nil
	}
	return nil, errCommand
}

// grow adds nodes until there are c.N, a few at a time, and waits until the relay feeds
// all.
func (s *sinks) grow(c command) error {
	id, err := stream.ParseID(c.Stream)
	if err != nil {
		return err
	}
	for len(s.nodes) < c.N {
		for range min(joinAtOnce, c.N-len(s.nodes)) {
			if err := s.add(stream.Link{Stream: id, Peers: []string{c.Peer}}); err != nil {
				return err
			}
		}
		if err := s.await(); err != nil {
			return err
		}
	}
	return nil
}

func (s *sinks) add(link stream.Link) error {
	h, err := bareHost(false)
	if err != nil {
		return err
	}
	s.hosts = append(s.hosts, h)
	n, err := p2p.New(p2p.Config{Host: h, Store: stream.NewStore(sinkCache), Observer: sink{&s.arrivals, len(s.nodes)}})
	if err != nil {
		return err
	}
	if err := n.Start(); err != nil {
		return err
	}
	s.nodes = append(s.nodes, n)
	_, err = n.Join(link)
	return err
}

// await waits until every node has something.
func (s *sinks) await() error {
	for end := time.Now().Add(joinTimeout); ; time.Sleep(50 * time.Millisecond) {
		waiting := slices.IndexFunc(s.nodes, func(n *p2p.Node) bool { return n.Store().Stats().Bytes == 0 })
		if waiting < 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("sink %d got nothing within %v", waiting, joinTimeout)
		}
	}
}

func (s *sinks) close() {
	var wg sync.WaitGroup
	for _, n := range s.nodes {
		wg.Go(func() { _ = n.Close() })
	}
	wg.Wait()
	for _, h := range s.hosts {
		wg.Go(func() { _ = h.Close() })
	}
	wg.Wait()
}

// sink tells of one node's chunks.
type sink struct {
	all  *arrivals
	node int
}

func (s sink) ChunkReceived(h *stream.SignedHeader, index int) {
	s.all.receive(s.node, h, index, time.Now())
}
