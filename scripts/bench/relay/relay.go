//go:build linux

package main

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/heap"
)

// relay is the node that is measured.
type relay struct {
	node    *p2p.Node
	swarm   *p2p.Swarm
	profile profile
}

func newRelay() (actor, error) { return &relay{}, nil }

func (r *relay) do(c command) (any, error) {
	switch c.Do {
	case "start":
		return r.start(c)
	case "profile":
		return nil, r.profile.start(c.File)
	case "profiled":
		return nil, r.profile.stop()
	case "usage":
		return r.usage(), nil
	}
	return nil, errCommand
}

// start answers the relay's address.
func (r *relay) start(c command) (string, error) {
	store := stream.NewStore(c.Cache)
	if c.Memory > 0 {
		debug.SetMemoryLimit(store.Stats().Limit + c.Memory)
	}
	heap.Tend(context.Background(), func() int64 { return store.Stats().Bytes }) // as the program does
	if err := fill(store, c.Cache, c.Rate); err != nil {
		return "", err
	}
	n, err := p2p.New(p2p.Config{Listen: []string{listenOn}, Store: store, MaxUpload: c.Upload})
	if err != nil {
		return "", err
	}
	if err := n.Start(); err != nil {
		return "", err
	}
	r.node = n
	id, err := stream.ParseID(c.Stream)
	if err != nil {
		return "", err
	}
	if r.swarm, err = n.Join(stream.Link{Stream: id}); err != nil {
		return "", err
	}
	return n.Addrs()[0], nil
}

// fill fills a store with another stream, as it is after some minutes of use.
func fill(store *stream.Store, size int64, rate int) error {
	p, err := stream.NewPublisher(stream.NewKey(), "main", 1)
	if err != nil {
		return err
	}
	for i := 0; store.Stats().Evicted == 0 && store.Stats().Bytes < size; i++ {
		h, chunks, err := p.Publish(makePart(i, rate, time.Now()))
		if err != nil {
			return err
		}
		for _, c := range chunks {
			// Chunks come one by one, and what comes with them stays in memory, too.
			received := append([]byte{0, 0}, c.Data()...)[2:]
			if c, err = stream.OpenChunk(h, c.Index(), received); err != nil {
				return err
			}
			store.Put(c)
		}
	}
	return nil
}

func (r *relay) usage() usage {
	u, s := used(), r.swarm.Stats()
	u.Bytes, u.Chunks = s.BytesSent, s.ChunksSent
	u.Cache = r.node.Store().Stats().Bytes
	u.Dropped = r.node.Stats().DroppedRPCs + s.EventsDropped
	for _, p := range s.Peers {
		if p.Neighbour {
			u.Mesh++
		}
	}
	return u
}

func (r *relay) close() {
	if r.node != nil {
		_ = r.node.Close()
	}
}
