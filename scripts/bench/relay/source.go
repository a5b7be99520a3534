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

// sourceCache is more than repairs ever ask for.
const sourceCache = 64 << 20

// source broadcasts to the relay only.
type source struct {
	key    stream.Key
	host   host.Host
	node   *p2p.Node
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func newSource() (actor, error) {
	return &source{key: stream.NewKey(), cancel: func() {}}, nil
}

func (s *source) do(c command) (any, error) {
	switch c.Do {
	case "start":
		return s.key.ID().String(), s.start(c)
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

func (s *source) start(c command) (err error) {
	if s.host, err = bareHost(false); err != nil {
		return err
	}
	n, err := p2p.New(p2p.Config{Host: s.host, Store: stream.NewStore(sourceCache), MaxUpload: c.Upload})
	if err != nil {
		return err
	}
	if err := n.Start(); err != nil {
		return err
	}
	s.node = n
	return nil
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
	if s.node != nil {
		_ = s.node.Close()
	}
	if s.host != nil {
		_ = s.host.Close()
	}
}
