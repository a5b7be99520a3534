package soak

import (
	"context"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/p2p/p2ptest"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	shortest = 5 * time.Minute
	longest  = 15 * time.Minute
	segment  = 4 * time.Second
	part     = time.Second
	// together is how much of a stream a viewer watches at least.
	together = 4
)

// day has streams come and go, and returns when the last is gone.
func (s *soak) day(ctx context.Context, open time.Duration) {
	var on sync.WaitGroup
	defer on.Wait()
	for range *streams {
		after := time.Duration(s.rng.Int63n(int64(open - longest)))
		length := shortest + time.Duration(s.rng.Int63n(int64(longest-shortest)))
		viewers := make([]visit, 2+s.rng.Intn(3))
		for i := range viewers {
			viewers[i] = visit{
				after:  time.Duration(s.rng.Int63n(int64(length) * (together - 1) / together)),
				length: length / together,
				dies:   s.rng.Intn(2) == 0,
			}
		}
		dies := s.rng.Intn(4) == 0
		on.Go(func() {
			time.Sleep(after)
			s.broadcast(ctx, length, dies, viewers)
		})
	}
}

// visit is a viewer's: after the stream's start, so long, and how it ends.
type visit struct {
	after, length time.Duration
	dies          bool
}

// arrive adds a host that knows the relay only.
func (s *soak) arrive() (index int, node *p2p.Node) {
	s.arriving.Lock()
	defer s.arriving.Unlock()
	index = s.net.Len()
	node = s.net.AddNodeWith(p2ptest.Link{Up: 10_000_000}, p2p.Config{Directory: true, MaxUpload: 10_000_000, Store: stream.NewStore(memory)})
	return index, node
}

// depart has a host go, by the power switch or politely.
func (s *soak) depart(index int, dies bool) {
	if !dies {
		if err := s.net.Node(index).Close(); err != nil {
			s.t.Errorf("close: %v", err)
		}
	}
	s.net.Cut(index, dies)
	s.net.Forget(index)
	s.arriving.Lock()
	s.hosts++
	s.arriving.Unlock()
}

// broadcast has a stream on air for so long.
func (s *soak) broadcast(ctx context.Context, length time.Duration, dies bool, viewers []visit) {
	index, node := s.arrive()
	s.net.Connect(index, s.relayHost)
	src := &p2ptest.Source{Key: stream.NewKey(), Epoch: 1, Rate: rate, Segment: segment, Part: part}
	if _, err := node.Open(src.Key); err != nil {
		s.t.Errorf("open: %v", err)
		return
	}
	link := s.net.Link(src.Key.ID(), index)
	ctx, cancel := context.WithCancel(ctx)
	var here, listed sync.WaitGroup
	listed.Go(func() {
		if err := node.Announce(ctx, src.Key, "A stream", ""); err != nil {
			s.t.Errorf("announce: %v", err)
		}
	})
	for _, v := range viewers {
		here.Go(func() {
			time.Sleep(v.after)
			s.watch(link, v)
		})
	}
	src.Run(ctx, s.t, node, int(length/segment), !dies)
	if dies {
		s.net.Cut(index, true) // before it could take the stream off the list
	}
	cancel()
	listed.Wait()
	here.Wait()
	s.depart(index, dies)
}

// watch has a viewer come by the link and go.
func (s *soak) watch(link stream.Link, v visit) {
	index, node := s.arrive()
	if _, err := node.Join(link); err != nil {
		s.t.Errorf("join: %v", err)
	}
	time.Sleep(v.length)
	if st := node.Swarms()[0].Stats(); st.BytesReceived == 0 {
		s.t.Errorf("a viewer received nothing in %v", v.length)
	}
	s.depart(index, v.dies)
}
