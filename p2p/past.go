package p2p

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// maxPastPeers bounds the peers that are asked what they hold.
	maxPastPeers = 8
	// maxPastRounds bounds the requests for headers of one [Swarm.LearnPast].
	maxPastRounds = 2 * stream.MaxHistory / maxPastHeaders
	// maxPastJobs bounds the segments of the past that are fetched at a time.
	maxPastJobs = 4
	// pastRetry is how soon a peer is looked for again while all that could help rest from a
	// failure; those that lied do so for longer than pastRest, and are not waited for.
	pastRetry = busyRest
	pastRest  = peerRest
	// pastGrace is for how long a peer that left is believed to come back: what is no longer
	// listed because nobody holds it is never listed again.
	pastGrace = 30 * time.Second
)

// ErrNotHeld is wrapped when neither a connected peer that can be asked holds a segment nor
// an origin.
var ErrNotHeld = errors.New("nobody holds it")

// past fetches what is no longer live: headers from before this node came, and the
// segments that somebody rewinds to. It works beside the swarm's loop, at the caller's
// pace, and what it fetches is not exchanged.
type past struct {
	s     *Swarm
	slots chan struct{} // one for each segment that is fetched

	asking sync.WaitGroup // requests of origins

	mu      sync.Mutex // guards all following
	came    chan struct{}
	peers   map[peer.ID]*pastPeer
	origins []*pastOrigin
	closed  bool
}

// pastPeer is what is known of a peer that was asked.
type pastPeer struct {
	spans map[string][]stream.Span // that it says it holds, by rendition
	jobs  int                      // requests under way
	rest  time.Time                // not to be asked before
	seen  time.Time                // when it was last connected
	doubt time.Duration            // how long it rests if it does not send what it claims once more
	fails time.Time                // since when it fails to send anything of what it claims; zero if it does not
}

func newPast(s *Swarm) *past {
	return &past{s: s, slots: make(chan struct{}, maxPastJobs), came: make(chan struct{}), peers: make(map[peer.ID]*pastPeer)}
}

// onSubscriber wakes who waits for a peer.
func (p *past) onSubscriber() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.came)
	p.came = make(chan struct{})
}

// LearnPast asks peers and origins what they hold of a rendition, and then, newest first, for the
// headers of it that this node lacks: those since a time, of at most so many bytes of
// parts together with what follows them, 0 for any. It returns when nobody has more, or an
// error when ctx ended before. A viewer waits for its first peer, with an origin not for long.
func (s *Swarm) LearnPast(ctx context.Context, rendition string, since time.Time, bytes int64) error {
	ctx, cancel := s.within(ctx)
	defer cancel()
	// Who has some of it from an earlier run does not wait for a peer.
	kept := false
	if t := s.timeline(rendition); t != nil {
		kept = t.Recall(since, bytes)
	}
	peers, err := s.past.sources(ctx, kept)
	if err != nil {
		return fmt.Errorf("learn the past of %s: %w", rendition, err)
	}
	var asking sync.WaitGroup
	for _, id := range peers {
		asking.Go(func() { s.past.askSpans(ctx, id, rendition) })
	}
	s.past.askOriginsSpans(ctx, rendition, asking.Go)
	asking.Wait()
	if err := s.past.learn(ctx, rendition, since, bytes); err != nil {
		return fmt.Errorf("learn the past of %s: %w", rendition, err)
	}
	return nil
}

// HeldPast returns what peers that are connected, or were a moment ago, and origins said that
// they hold of a rendition when they were last asked.
func (s *Swarm) HeldPast(rendition string) []stream.Span {
	s.past.mu.Lock()
	defer s.past.mu.Unlock()
	now := time.Now()
	out := s.past.heldByOriginsLocked(rendition, now)
	for id, k := range s.past.peers {
		if s.past.presentLocked(id, k, now) {
			out = append(out, k.spans[rendition]...)
		}
	}
	return out
}

// FetchPast returns the chunks of a segment by part, as the timeline's headers have them:
// from the store, and what that lacks from peers or, if they do not bring it in time, from
// origins. An error that wraps [ErrNotHeld] says that nobody is left to be asked.
func (s *Swarm) FetchPast(ctx context.Context, rendition string, epoch, number uint64) ([][][]byte, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	select {
	case s.past.slots <- struct{}{}:
		defer func() { <-s.past.slots }()
	case <-ctx.Done():
		return nil, fmt.Errorf("fetch segment %d/%d: %w", epoch, number, context.Cause(ctx))
	}
	g, err := s.past.fetchSegment(ctx, rendition, epoch, number)
	if err != nil {
		return nil, fmt.Errorf("fetch segment %d/%d: %w", epoch, number, err)
	}
	return g.chunks, nil
}

// within bounds ctx by the swarm's life.
func (s *Swarm) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.ctx, func() { cancel(ErrClosed) })
	return ctx, func() { stop(); cancel(nil) }
}

func (s *Swarm) connected(id peer.ID) bool {
	return s.node.host.Network().Connectedness(id) == network.Connected
}

// sources returns some peers that hold the stream, for which a viewer waits, with an origin
// not for long, unless at once says not to.
func (p *past) sources(ctx context.Context, atOnce bool) ([]peer.ID, error) {
	var enough <-chan time.Time
	if p.hasOrigins() {
		enough = time.After(joinFromOrigin)
	}
	for {
		p.mu.Lock()
		came := p.came
		p.mu.Unlock()
		ids := slices.DeleteFunc(p.s.holders(), func(id peer.ID) bool { return !p.s.connected(id) || p.s.node.isCutOff(id) })
		if len(ids) > 0 || atOnce || p.s.publishing() {
			return p.choose(ids), nil
		}
		select {
		case <-came:
		case <-enough:
			return nil, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// choose returns which of some connected peers to ask of those that do not rest, mostly
// those that claim something, and forgets those that left.
func (p *past) choose(ids []peer.ID) []peer.ID {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for id, k := range p.peers {
		if !p.presentLocked(id, k, now) && k.jobs == 0 && now.After(k.rest) {
			delete(p.peers, id)
		}
	}
	var known, others []peer.ID
	for _, id := range ids {
		switch k := p.peerLocked(id); {
		case now.Before(k.rest):
		case len(k.spans) > 0:
			known = append(known, id)
		default:
			others = append(others, id)
		}
	}
	for _, list := range [][]peer.ID{known, others} {
		rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	}
	known = known[:min(len(known), maxPastPeers-min(len(others), maxPastPeers/4))]
	return append(known, others[:min(len(others), maxPastPeers-len(known))]...)
}

// peerLocked returns what is known of a peer.
func (p *past) peerLocked(id peer.ID) *pastPeer {
	k := p.peers[id]
	if k == nil {
		k = &pastPeer{spans: make(map[string][]stream.Span)}
		p.peers[id] = k
	}
	return k
}

// presentLocked reports whether a peer is connected, or was a moment ago.
func (p *past) presentLocked(id peer.ID, k *pastPeer, now time.Time) bool {
	if p.s.connected(id) {
		k.seen = now
	}
	return now.Sub(k.seen) < pastGrace
}

// claims reports whether a peer that may be asked says that it holds something of what
// match accepts.
func (k *pastPeer) claims(rendition string, match func(stream.Span) bool) bool {
	return slices.ContainsFunc(k.spans[rendition], match)
}

// pastSource is whom the past is had from: a peer or an origin.
type pastSource struct {
	peer   peer.ID
	origin *pastOrigin
}

// pick takes a peer to ask that claims what match accepts: the least busy one. If there is
// none now, resting says that one rests for no longer than patience.
func (p *past) pick(rendition string, but []pastSource, match func(stream.Span) bool, patience time.Duration) (id peer.ID, found, resting bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	least := 0
	for candidate, k := range p.peers {
		if slices.Contains(but, pastSource{peer: candidate}) || !k.claims(rendition, match) || !p.presentLocked(candidate, k, now) {
			continue
		}
		if now.Before(k.rest) || !p.s.connected(candidate) {
			resting = resting || k.rest.Sub(now) <= patience
			continue
		}
		if !found || k.jobs < least {
			id, found, least = candidate, true, k.jobs
		}
	}
	if found {
		p.peers[id].jobs++
	}
	return id, found, resting
}

// done notes how a request went. Who lied or failed is not asked for a while.
func (p *past) done(id peer.ID, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doneLocked(p.peers[id], id, err)
}

func (p *past) doneLocked(k *pastPeer, id peer.ID, err error) {
	k.jobs--
	if err == nil {
		return
	}
	k.rest = time.Now().Add(restAfter(err))
	p.s.log.Debug("the past not fetched", "peer", id, "err", err)
	if restAfter(err) == liarRest {
		clear(k.spans)
	}
}

// sent is [past.done] for a request for chunks, of which some came or none. Who says that
// it has none of what it claims, or fails to send any for longer than an honest peer is
// gone, is not asked for a while, and not believed meanwhile.
func (p *past) sent(id peer.ID, some bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k, now := p.peers[id], time.Now()
	p.doneLocked(k, id, err)
	switch {
	case some:
		k.fails = time.Time{}
		return
	case err != nil && (busy(err) || restAfter(err) == liarRest):
		return
	case err != nil && k.fails.IsZero():
		k.fails = now
		return
	case err != nil && now.Sub(k.fails) < pastGrace:
		return
	}
	clear(k.spans)
	k.fails = time.Time{}
	k.rest = now.Add(max(k.doubt, cutOffFor))
	k.doubt = min(2*max(k.doubt, cutOffFor), cutOffMost)
	p.s.count(func(c *counters) { c.stats.PastClaims++ })
}

// blame counts and penalises what no honest peer answers.
func (s *Swarm) blame(id peer.ID, err error) {
	if errors.Is(err, stream.ErrForged) || errors.Is(err, stream.ErrMalformed) {
		reason, _ := refusal(err)
		s.countRefusedHeader(id, reason)
		s.log.Debug("header refused", "peer", id, "reason", reason, "err", err)
		s.penalise(id, misconduct(reason))
	} else if errors.Is(err, errWire) {
		s.refuse(id, refusedMalformed, err)
	}
}
