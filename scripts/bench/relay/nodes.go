//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	listenOn = "/ip4/127.0.0.1/udp/0/quic-v1"
	// joinTimeout bounds how long a node may take to find the relay.
	joinTimeout = 20 * time.Second
	// joinAtOnce is how many nodes join at a time: a crowd is not what is measured.
	joinAtOnce = 16
	// sinkCache is enough for what a sink has under way.
	sinkCache = 4 << 20
)

// errCommand is what a process answers to a command that it does not know.
var errCommand = errors.New("unknown command")

// bareHost returns a host that speaks QUIC. Who does not listen cannot be dialled: so
// nodes that learn of each other from the relay stay apart.
func bareHost(listen bool) (host.Host, error) {
	opts := []libp2p.Option{libp2p.NoListenAddrs, libp2p.Transport(libp2pquic.NewTransport)}
	if listen {
		opts[0] = libp2p.ListenAddrStrings(listenOn)
	}
	h, err := libp2p.New(opts...)
	if err != nil {
		return nil, fmt.Errorf("make host: %w", err)
	}
	return h, nil
}

func connect(h host.Host, addr string) (*peer.AddrInfo, error) {
	info, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), joinTimeout)
	defer cancel()
	return info, h.Connect(ctx, *info)
}

// profile is a CPU profile of this process, and one of its heap when it stops.
type profile struct{ file *os.File }

func (p *profile) start(name string) (err error) {
	if p.file, err = os.Create(name); err != nil {
		return err
	}
	return pprof.StartCPUProfile(p.file)
}

func (p *profile) stop() error {
	if p.file == nil {
		return nil
	}
	pprof.StopCPUProfile()
	heap, err := os.Create(p.file.Name() + ".heap")
	if err != nil {
		return err
	}
	err = errors.Join(p.file.Close(), pprof.WriteHeapProfile(heap), heap.Close())
	p.file = nil
	return err
}

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
	if err := fill(store, c.Cache, c.Rate); err != nil {
		return "", err
	}
	n, err := p2p.New(p2p.Config{Listen: []string{listenOn}, Store: store})
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

// source broadcasts to the relay only.
type source struct {
	key    stream.Key
	host   host.Host
	node   *p2p.Node
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func newSource() (actor, error) {
	h, err := bareHost(false)
	if err != nil {
		return nil, err
	}
	n, err := p2p.New(p2p.Config{Host: h, Store: stream.NewStore(64 << 20)})
	if err != nil {
		return nil, err
	}
	return &source{key: stream.NewKey(), host: h, node: n, cancel: func() {}}, n.Start()
}

func (s *source) do(c command) (any, error) {
	switch c.Do {
	case "id":
		return s.key.ID().String(), nil
	case "broadcast":
		if _, err := connect(s.host, c.Peer); err != nil {
			return nil, err
		}
		b, err := s.node.Broadcast(s.key, "main", 1)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithCancel(context.Background())
		s.cancel = cancel
		start := time.Now()
		s.wg.Go(func() { broadcast(ctx, b, c.Rate, start) })
		return start, nil
	case "usage":
		return used(), nil
	}
	return nil, errCommand
}

// broadcast publishes each part when its last frame is there.
func broadcast(ctx context.Context, b *p2p.Broadcast, rate int, start time.Time) {
	for i := 0; ; i++ {
		at := start.Add(time.Duration(i) * partDuration)
		part := makePart(i, rate, at)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(at.Add(partDuration))):
		}
		if err := b.Publish(ctx, part); err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "source: cannot publish:", err)
		}
	}
}

func partSize(rate int) int { return rate / 8 * int(partDuration/time.Millisecond) / 1000 }

// makePart returns part i of a stream, the same for the same i.
func makePart(i, rate int, at time.Time) stream.Part {
	return stream.Part{
		StartsSegment: i%segmentParts == 0,
		EndsSegment:   i%segmentParts == segmentParts-1,
		Independent:   i%segmentParts == 0,
		Duration:      partDuration,
		ProgramTime:   at,
		Data:          randomBytes(i, partSize(rate)),
	}
}

func randomBytes(seed, n int) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], uint64(seed))
	data := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(data) // it never fails
	return data
}

func (s *source) close() {
	s.cancel()
	s.wg.Wait()
	_ = s.node.Close()
	_ = s.host.Close()
}

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
