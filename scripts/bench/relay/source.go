//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
)

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
