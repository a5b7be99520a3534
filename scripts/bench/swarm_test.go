package bench

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

// observer tells arrivals of one node's chunks.
type observer struct {
	a    *arrivals
	node int
}

func (o observer) ChunkReceived(h *stream.SignedHeader, i int) {
	o.a.receive(o.node, number(h.Position), h.ChunkLen(i))
}

// swarmRun is a trial with production nodes.
type swarmRun struct {
	*trial
	key   stream.Key
	liars []*p2ptest.Liar

	origin *p2ptest.Origin // nil if there is none

	attackers []*p2ptest.Attacker
	recorded  [][]byte     // headers of the epoch before
	forged    atomic.Int64 // bytes that honest nodes should not have

	alive   []int // viewers, for churn
	joiners joiners
}

// runSwarm moves the stream with production nodes.
func runSwarm(t *testing.T, s scenario, seed int64) result {
	r := &swarmRun{trial: newTrial(t, s, seed), key: stream.NewKey()}
	link := stream.Link{Stream: r.key.ID()}
	if s.origin {
		var err error
		if link.Origins, err = r.key.SignOrigins([]string{p2ptest.Address}); err != nil {
			t.Fatal(err)
		}
		r.origin = r.net.NewOrigin(0, latency)
	}
	if s.attack != "" {
		r.record()
	}
	next := 0
	for i, l := range r.links {
		switch r.roles[i] {
		case honest:
			r.addNode(l)
		case attacking:
			for s.attacks[next%len(s.attacks)].of == nil {
				next++
			}
			r.addAttacker(l, s.attacks[next%len(s.attacks)], false)
			next++
		default:
			r.liars = append(r.liars, r.net.AddLiar(l, r.key.ID(), r.roles[i] == forging))
		}
	}
	r.net.Start()
	defer r.net.Close()
	r.net.ConnectRandomly(dials, seed)
	for i := 1; i < s.nodes; i++ {
		if r.roles[i] != honest {
			continue
		}
		r.alive = append(r.alive, i)
		if _, err := r.net.Node(i).Join(link); err != nil {
			t.Fatal(err)
		}
	}
	source := r.net.Node(0)
	b, err := source.Broadcast(r.key, "main", 1)
	if err != nil {
		t.Fatal(err)
	}
	r.counted = r.countsOf
	time.Sleep(settle)
	var events func(context.Context)
	if s.events != nil {
		events = func(ctx context.Context) { s.events(ctx, r) }
	}
	return r.measure(func(i int, at time.Time, data []byte) error {
		err := b.Publish(context.Background(), stream.Part{
			StartsSegment: i%partsPerSegment == 0,
			EndsSegment:   i%partsPerSegment == partsPerSegment-1,
			Independent:   i%partsPerSegment == 0,
			Duration:      partDuration,
			ProgramTime:   at,
			Data:          data,
		})
		if err == nil {
			r.arrivals.chunks(i, len(source.Swarms()[0].Timelines()[0].Header(position(i)).Chunks))
		}
		return err
	}, events)
}

// countsOf returns what a node counted so far.
func (r *swarmRun) countsOf(i int) (t chunkCounts) {
	n := r.net.Node(i)
	if n == nil {
		return t // it died
	}
	t.Dropped = n.Stats().DroppedRPCs
	for _, s := range n.Swarms() {
		c := s.Stats()
		t.add(chunkCounts{c.ChunksReceived, c.ChunksDuplicate + c.ChunksLate, c.ChunksFetched, c.WantsExpired, c.ChunksOverdue, c.PromisesRevoked, 0, c.BytesReceived, c.OriginBytes}, 1)
	}
	return t
}

// addNode adds the node of the next host.
func (r *swarmRun) addNode(l p2ptest.Link) *p2p.Node {
	cfg := p2p.Config{Observer: observer{r.arrivals, r.net.Len()}, MaxUpload: l.Up}
	if r.origin != nil {
		cfg.Origins = r.origin.Config().Origins
	}
	if r.store > 0 {
		cfg.Store = stream.NewStore(r.store)
	}
	return r.net.AddNodeWith(l, cfg)
}
