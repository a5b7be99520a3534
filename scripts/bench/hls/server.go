//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/hls"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	partDuration = 500 * time.Millisecond
	segmentParts = 4
	// segments are listed.
	segments = 6
)

// node is what hls.Server serves: a stream that stands still.
type node struct{ stream hls.Stream }

func (n node) Streams() []hls.Stream { return []hls.Stream{n.stream} }
func (n node) Status() hls.Status    { return hls.Status{} }

// served is what the server says when it can be asked.
type served struct {
	Multivariant string `json:"multivariant"`
}

// serve is the life of the process that is measured. It ends with its standard input.
func serve(o options) (err error) {
	n, err := newNode(o.rate)
	if err != nil {
		return err
	}
	server, err := hls.NewServer(hls.Config{Node: n, Window: segments})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel(nil)
	running.Go(func() { cancel(server.Run(ctx)) })
	running.Go(func() { cancel(server.Serve(ctx, l)) })
	if err := server.WaitPlayable(ctx, n.stream.ID); err != nil {
		return err
	}
	if o.profile != "" {
		f, err := os.Create(o.profile)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer func() {
			pprof.StopCPUProfile()
			err = errors.Join(err, f.Close())
		}()
	}
	address := fmt.Sprintf("http://%v/%v/index.m3u8", l.Addr(), n.stream.ID)
	if err := json.NewEncoder(os.Stdout).Encode(served{address}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// newNode broadcasts a window of segments into a store, as they come from peers: chunk
// by chunk.
func newNode(rate int) (node, error) {
	key := stream.NewKey()
	timeline, store := stream.NewTimeline(key.ID(), "main"), stream.NewStore(0)
	p, err := stream.NewPublisher(key, "main", 1)
	if err != nil {
		return node{}, err
	}
	for i := range segments * segmentParts {
		h, chunks, err := p.Publish(makePart(i, rate))
		if err != nil {
			return node{}, err
		}
		if err := timeline.Add(h, time.Now()); err != nil {
			return node{}, err
		}
		for _, c := range chunks {
			c, err := stream.OpenChunk(h, c.Index(), append([]byte(nil), c.Data()...))
			if err != nil {
				return node{}, err
			}
			store.Put(c)
		}
	}
	return node{hls.Stream{ID: key.ID(), Timelines: []*stream.Timeline{timeline}, Store: store}}, nil
}

func makePart(i, rate int) stream.Part {
	return stream.Part{
		StartsSegment: i%segmentParts == 0,
		EndsSegment:   i%segmentParts == segmentParts-1,
		Independent:   i%segmentParts == 0,
		Duration:      partDuration,
		Media:         stream.Media{Codecs: "avc1.64001f", Width: 1280, Height: 720, FrameRate: 25},
		Data:          randomBytes(i, rate/8*int(partDuration/time.Millisecond)/1000),
	}
}

func randomBytes(seed, n int) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], uint64(seed))
	data := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(data) // it never fails
	return data
}
