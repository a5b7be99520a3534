package bench

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	// playableSegments is how many whole segments in a row a playlist needs before the
	// node answers with it (package hls, startSegments).
	playableSegments = 3
	// linkPeers is how many nodes a joiner's link names.
	linkPeers = 3
	// startupPoll is how often to look whether a joiner knows of a rendition.
	startupPoll = 10 * time.Millisecond
)

// joiners are the nodes that come during the measured time.
type joiners struct {
	wg sync.WaitGroup

	mu   sync.Mutex // guards all following
	stop map[int]context.CancelFunc
}

// join adds a node that joins through a link to some hosts, and watches it start.
func (r *swarmRun) join(ctx context.Context, to []int) (i int) {
	link := r.net.Link(r.key.ID(), to...)
	i = r.net.Len()
	r.arrivals.addNode()
	node := r.addNode(r.link(r.uplinks(&r.scenario, r.nodes-1)[0], r.chance))
	swarm, err := node.Join(link)
	if err != nil {
		r.Errorf("join: %v", err)
		return i
	}
	ctx, cancel := context.WithCancel(ctx)
	r.joiners.mu.Lock()
	defer r.joiners.mu.Unlock()
	if r.joiners.stop == nil {
		r.joiners.stop = make(map[int]context.CancelFunc)
	}
	r.joiners.stop[i] = cancel
	joined := time.Now()
	r.joiners.wg.Go(func() { r.watchStart(ctx, i, node, swarm, joined) })
	return i
}

// watchStart waits until a joiner shows a picture and then until it plays.
func (r *swarmRun) watchStart(ctx context.Context, i int, node *p2p.Node, swarm *p2p.Swarm, joined time.Time) {
	picture, startup := never, never
	playing := 0 // parts published before it played
	for startup == never {
		var headers, parts <-chan struct{}
		var again <-chan time.Time
		if all := swarm.Timelines(); len(all) > 0 {
			headers, parts = all[0].Changed(), node.Store().Changed()
		} else {
			again = time.After(startupPoll)
		}
		shows, plays := progress(node, swarm)
		if shows && picture == never {
			picture = time.Since(joined)
		}
		if plays {
			startup = time.Since(joined)
			playing = r.arrivals.published()
			break
		}
		select {
		case <-headers:
		case <-parts:
		case <-again:
		case <-ctx.Done():
			r.mu.Lock()
			defer r.mu.Unlock()
			if !r.left[i] {
				r.res.Startup.add(startup)
				r.res.Picture.add(picture)
			}
			return
		}
	}
	r.mu.Lock()
	r.res.Startup.add(startup)
	r.res.Picture.add(picture)
	r.mu.Unlock()
	<-ctx.Done()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left[i] {
		return
	}
	whole, all := r.arrivals.inTime(i, playing)
	r.res.JoinerInTime += whole
	r.res.JoinerPairs += all
}

// progress reports whether a node holds a part that a decoder can start from, and
// whether its playlist can be answered.
func progress(node *p2p.Node, swarm *p2p.Swarm) (shows, plays bool) {
	for _, t := range swarm.Timelines() {
		run := 0
		next := uint64(0)
		for _, s := range t.Segments(stream.Position{}) {
			whole := s.Complete
			for _, h := range s.Headers {
				held := node.Store().Whole(h.ID())
				shows = shows || held && h.Independent
				whole = whole && held
			}
			if s.Number != next {
				run = 0
			}
			if whole {
				run++
			} else {
				run = 0
			}
			next = s.Number + 1
			plays = plays || run >= playableSegments
		}
	}
	return shows, plays
}

// some draws n of hosts.
func (r *swarmRun) some(hosts []int, n int) (out []int) {
	for _, k := range r.chance.Perm(len(hosts))[:min(n, len(hosts))] {
		out = append(out, hosts[k])
	}
	return out
}

// churn lets a share of the nodes die each second, one after the other, and as many join.
// The broadcaster stays.
func churn(share float64) func(context.Context, *swarmRun) {
	return func(ctx context.Context, r *swarmRun) {
		tick := time.NewTicker(time.Duration(float64(time.Second) / (share * float64(r.nodes))))
		defer tick.Stop()
		defer r.joiners.wg.Wait()
		last := r.segments * partsPerSegment
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if r.arrivals.published() == last {
				<-ctx.Done() // what comes later says nothing
				return
			}
			k := r.chance.Intn(len(r.alive))
			i := r.alive[k]
			r.alive[k] = r.alive[len(r.alive)-1]
			r.alive = r.alive[:len(r.alive)-1]
			r.mu.Lock()
			r.left[i] = true
			r.mu.Unlock()
			r.joiners.mu.Lock()
			if stop := r.joiners.stop[i]; stop != nil {
				stop()
			}
			r.joiners.mu.Unlock()
			r.net.Cut(i, true)
			r.joiners.wg.Go(func() { r.net.Kill(i) })
			r.alive = append(r.alive, r.join(ctx, r.some(append([]int{0}, r.alive...), linkPeers)))
		}
	}
}

// crowd lets so many times the nodes that there are join within a while.
func crowd(times int, within time.Duration) func(context.Context, *swarmRun) {
	return func(ctx context.Context, r *swarmRun) {
		defer r.joiners.wg.Wait()
		n := times * r.nodes
		tick := time.NewTicker(within / time.Duration(n))
		defer tick.Stop()
		first := make([]int, r.nodes)
		for i := range first {
			first[i] = i
		}
		for range n {
			<-tick.C
			r.join(ctx, r.some(first, linkPeers))
		}
	}
}

// lie lets the liars begin, and notes until when they are believed.
func lie(ctx context.Context, r *swarmRun) {
	for _, l := range r.liars {
		l.Lie()
	}
	began := time.Now()
	<-ctx.Done()
	end := began.Add(time.Duration(r.segments*partsPerSegment) * partDuration) // of the broadcast
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.liars {
		s := l.Stats()
		switch {
		case s.Still || s.Last.After(end.Add(-cutOffProof)):
			r.res.CutOff.add(never)
		case s.Asked == 0:
			r.res.CutOff.add(0)
		default:
			r.res.CutOff.add(s.Last.Sub(began))
		}
		r.res.LiarsAsked += s.Asked
		r.res.LiarsInMesh += s.Mesh
	}
}

// cutOffProof is how long before the broadcast's end a liar must have been asked for the
// last time to be taken as cut off.
const cutOffProof = 3 * time.Second

// watchMemory notes what the process holds, first after half an hour, then every hour.
func watchMemory(ctx context.Context, r *swarmRun) {
	start := time.Now()
	next := 30 * time.Minute
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(start.Add(next))):
		}
		runtime.GC()
		runtime.GC() // what finalizers held
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		r.mu.Lock()
		r.res.Memory = append(r.res.Memory, memory{int(next / time.Second), int64(m.HeapAlloc), runtime.NumGoroutine()})
		r.mu.Unlock()
		next = (next + time.Hour).Truncate(time.Hour)
	}
}

// cutSource has the broadcaster lose all of its peers when the measured time begins. The
// origin still has what it publishes.
func cutSource(_ context.Context, r *swarmRun) { r.net.Cut(0, true) }
