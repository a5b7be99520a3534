package chaos

import (
	"context"
	"crypto/sha256"
	"hash"
	"math/rand"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	rendition       = "main"
	rate            = 300_000
	partDuration    = 500 * time.Millisecond
	partsPerSegment = 4
)

type sum [sha256.Size]byte

// program is what was published of a stream, in order: the truth.
type program struct {
	key stream.Key
	by  int // host

	mu       sync.Mutex // guards all following
	epoch    uint64     // the last
	parts    []published
	index    map[stream.Position]int
	headers  map[stream.Position]sum
	segments map[sum]segment
}

type published struct {
	stream.Position
	data  sum
	at    time.Time
	start int // the first of those from which on a decoder can show it, an index
}

type segment struct{ epoch, number uint64 }

func newProgram(by int) *program {
	return &program{key: stream.NewKey(), by: by, index: make(map[stream.Position]int), headers: make(map[stream.Position]sum), segments: make(map[sum]segment)}
}

// broadcast publishes parts from a node until ctx ends, in an epoch of its own.
func (p *program) broadcast(ctx context.Context, w *world, node *p2p.Node) {
	p.mu.Lock()
	p.epoch++
	epoch := p.epoch
	p.mu.Unlock()
	b, err := node.Broadcast(p.key, rendition, epoch)
	if err != nil {
		w.t.Errorf("broadcast: %v", err)
		return
	}
	random := rand.New(rand.NewSource(int64(epoch)<<8 + int64(p.by)))
	start, anchor := time.Now(), w.net.Clock(p.by) // which is not looked at again, as in ingest
	var whole hash.Hash
	for i := 0; ; i++ {
		select {
		case <-time.After(time.Until(start.Add(time.Duration(i+1) * partDuration))):
		case <-ctx.Done():
			return
		}
		data := make([]byte, rate/8/int(time.Second/partDuration))
		random.Read(data)
		pos := stream.Position{Epoch: epoch, Segment: uint64(i / partsPerSegment), Part: uint32(i % partsPerSegment)}
		if pos.Part == 0 {
			whole = sha256.New()
		}
		whole.Write(data)
		part := stream.Part{
			StartsSegment: pos.Part == 0,
			EndsSegment:   pos.Part == partsPerSegment-1,
			Independent:   pos.Part == 0,
			Duration:      partDuration,
			ProgramTime:   anchor.Add(time.Duration(i) * partDuration),
			Media:         stream.Media{Codecs: "avc1.64001f,mp4a.40.2", Width: 640, Height: 360, FrameRate: 25},
			Data:          data,
		}
		p.add(pos, data, whole)
		if err := b.Publish(context.WithoutCancel(ctx), part); err != nil {
			w.t.Errorf("publish %v: %v", pos, err)
			return
		}
		if h := b.Swarm().Timelines()[0].Header(pos); h != nil {
			p.mu.Lock()
			p.headers[pos] = sha256.Sum256(h.Bytes())
			p.mu.Unlock()
		}
	}
}

// add notes a part before anybody can have it.
func (p *program) add(pos stream.Position, data []byte, whole hash.Hash) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.parts)
	p.index[pos] = n
	p.parts = append(p.parts, published{pos, sha256.Sum256(data), time.Now(), n - int(pos.Part)})
	if pos.Part == partsPerSegment-1 {
		p.segments[sum(whole.Sum(nil))] = segment{pos.Epoch, pos.Segment}
	}
}

// lookBack is how many of the newest parts may be what a viewer plays last.
const lookBack = 16

// plays returns when the last part was published that a player at a node could show now, with
// what it needs before it; zero if there is none of late.
func (p *program) plays(node *p2p.Node) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	whole := make(map[int]bool)
	has := func(i int) bool {
		w, ok := whole[i]
		if !ok {
			w = node.Store().Whole(p.id(i))
			whole[i] = w
		}
		return w
	}
	for i := len(p.parts) - 1; i >= max(0, len(p.parts)-lookBack); i-- {
		all := true
		for k := p.parts[i].start; k <= i && all; k++ {
			all = has(k)
		}
		if all {
			return p.parts[i].at
		}
	}
	return time.Time{}
}

func (p *program) id(i int) stream.PartID {
	return stream.PartID{Stream: p.key.ID(), Rendition: rendition, Position: p.parts[i].Position}
}
