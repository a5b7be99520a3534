//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"sync"
	"syscall"
	"time"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	partFor  = 500 * time.Millisecond
	segments = 4 // parts in a segment
	// settleFor is how long a run goes on before it is measured: nodes connect, the viewer
	// enrols, parents are found.
	settleFor = 5 * time.Second
	// uplink is told to the nodes, in bits per second: what they would measure of loopback while
	// the machine is busy decides who is sent to at once.
	uplink = 1_000_000_000
	// arriveFor is how long a part may take.
	arriveFor = 5 * time.Second
)

type measured struct {
	cpu    float64 // of a core
	delays []time.Duration
}

// everybody lets in whoever comes.
type everybody struct {
	mu      sync.Mutex // guards viewers
	viewers []stream.ViewerID
}

func (e *everybody) Viewers(time.Time) ([]stream.ViewerID, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.viewers, nil
}

func (e *everybody) Enrol(asks []p2p.Enrolling, _ time.Time) ([]stream.Refusal, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, a := range asks {
		e.viewers = append(e.viewers, a.Viewer)
	}
	return make([]stream.Refusal, len(asks)), nil
}

// Invited and Revoke are for moderators, of whom there are none.
func (e *everybody) Invited(int, int, time.Time) ([]stream.Invited, int, error) { return nil, 0, nil }

func (e *everybody) Revoke(stream.InviteID, stream.ID, time.Time) (stream.Invited, bool, error) {
	return stream.Invited{}, false, p2p.ErrNoInvite
}

// reader is where a viewer's player takes parts from.
type reader interface {
	Part(stream.PartID) [][]byte
	Changed() <-chan struct{}
}

// run publishes for an interval, and measures it.
func run(ctx context.Context, rate int, interval time.Duration, sealed bool) (m measured, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	nodes := make([]*p2p.Node, 2)
	for i := range nodes {
		if nodes[i], err = p2p.New(p2p.Config{Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"}, MaxUpload: uplink}); err != nil {
			return m, err
		}
		if err := nodes[i].Start(); err != nil {
			return m, err
		}
		defer nodes[i].Close()
	}
	key := stream.NewKey()
	cast, viewerStore, err := begin(ctx, &running, key, nodes, sealed)
	if err != nil {
		return m, err
	}
	random := rand.New(rand.NewSource(1))
	began := time.Now()
	var from time.Time
	var before time.Duration
	for i := 0; time.Since(began) < settleFor+interval; i++ {
		select {
		case <-time.After(time.Until(began.Add(time.Duration(i) * partFor))):
		case <-ctx.Done():
			return m, context.Cause(ctx)
		}
		if from.IsZero() && time.Since(began) >= settleFor {
			from, before = time.Now(), processor()
		}
		data := make([]byte, rate/8*int(partFor/time.Millisecond)/1000)
		random.Read(data)
		part := stream.Part{
			StartsSegment: i%segments == 0, EndsSegment: i%segments == segments-1, Independent: i%segments == 0,
			Duration: partFor, ProgramTime: time.Now(), Data: data,
		}
		sent := time.Now()
		if err := cast.Publish(ctx, part); err != nil {
			return m, err
		}
		id := stream.PartID{Stream: key.ID(), Rendition: "main", Position: stream.Position{Epoch: 1, Segment: uint64(i / segments), Part: uint32(i % segments)}}
		if err := await(ctx, viewerStore, id, len(data)); err != nil && !from.IsZero() {
			return m, fmt.Errorf("part %d, sealed %t: %w", i, sealed, err)
		}
		if !from.IsZero() {
			m.delays = append(m.delays, time.Since(sent))
		}
	}
	m.cpu = (processor() - before).Seconds() / time.Since(from).Seconds()
	return m, nil
}

// begin has the second node view what the first broadcasts.
func begin(ctx context.Context, running *sync.WaitGroup, key stream.Key, nodes []*p2p.Node, sealed bool) (*p2p.Broadcast, reader, error) {
	var private *p2p.Private
	var err error
	broadcast := func() (*p2p.Broadcast, error) { return nodes[0].Broadcast(key, "main", 1) }
	if sealed {
		if private, err = nodes[0].Seal(ctx, key, 1, "", &everybody{}); err != nil {
			return nil, nil, err
		}
		running.Go(func() { _ = private.Run(ctx) })
		broadcast = func() (*p2p.Broadcast, error) { return private.Broadcast("main") }
	}
	cast, err := broadcast()
	if err != nil {
		return nil, nil, err
	}
	swarm, err := nodes[1].Join(cast.Swarm().Link())
	if err != nil {
		return nil, nil, err
	}
	if !sealed {
		return cast, nodes[1].Store(), nil
	}
	invite, err := key.NewInvite(time.Now().Add(time.Hour), 1, false)
	if err != nil {
		return nil, nil, err
	}
	v := swarm.View(invite, stream.NewViewerSeed().Key(key.ID()))
	running.Go(func() { v.Run(ctx) })
	return cast, v.Store(), nil
}

var errLate = errors.New("it did not come")

// await waits until all of a part can be read.
func await(ctx context.Context, r reader, id stream.PartID, size int) error {
	timeout := time.NewTimer(arriveFor)
	defer timeout.Stop()
	for {
		changed := r.Changed()
		n := 0
		for _, b := range r.Part(id) {
			n += len(b)
		}
		if n == size {
			return nil
		}
		select {
		case <-changed:
		case <-timeout.C:
			return errLate
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// processor returns the processor time that this process took.
func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it takes no more than its arguments
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
