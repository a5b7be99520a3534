package p2p

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// pastOrigin is an HTTP origin that may be asked for the past. It is the same that is asked
// for what is live, but has pauses of its own: what it lacks of the one says nothing of the other.
type pastOrigin struct {
	Origin
	address string
	spans   map[string][]stream.Span // that it says it holds, by rendition
	jobs    int                      // requests under way
	pause   pause
	fails   time.Time // since when it fails; zero if it does not
}

// addOrigin has an origin asked for the past, too.
func (p *past) addOrigin(address string, of Origin) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.origins {
		if k.address == address {
			return
		}
	}
	p.origins = append(p.origins, &pastOrigin{Origin: of, address: address, spans: make(map[string][]stream.Span), pause: pause{next: originRest}})
}

// distrust has an origin that lied about what is live left alone, and not believed.
func (p *past) distrust(address string, least time.Duration, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.origins {
		if k.address == address {
			clear(k.spans)
			k.pause.fail(least, now)
		}
	}
}

// close waits until no origin is asked any more. The swarm's context has ended.
func (p *past) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.asking.Wait()
}

// hasOrigins reports whether there is an origin to ask.
func (p *past) hasOrigins() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.origins) > 0
}

// heldByOriginsLocked returns what origins say that they hold. As of peers, those that fail
// are believed for a while.
func (p *past) heldByOriginsLocked(rendition string, now time.Time) (out []stream.Span) {
	for _, k := range p.origins {
		if k.fails.IsZero() || now.Sub(k.fails) < pastGrace {
			out = append(out, k.spans[rendition]...)
		}
	}
	return out
}

// takeOrigin takes an origin to ask that claims what match accepts: the least busy one. If
// there is none now, resting says that there will be soon.
func (p *past) takeOrigin(rendition string, but []pastSource, match func(stream.Span) bool) (best *pastOrigin, resting bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for _, k := range p.origins {
		switch {
		case p.closed || slices.Contains(but, pastSource{origin: k}) || !slices.ContainsFunc(k.spans[rendition], match):
		case k.pause.rests(now):
			resting = resting || k.pause.until.Sub(now) <= pastRest
		case best == nil || k.jobs < best.jobs:
			best = k
		}
	}
	if best != nil {
		p.beginLocked(best)
	}
	return best, resting
}

// originHolds reports whether an origin that may be asked claims what match accepts.
func (p *past) originHolds(rendition string, match func(stream.Span) bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	return slices.ContainsFunc(p.origins, func(k *pastOrigin) bool {
		return !k.pause.rests(now) && slices.ContainsFunc(k.spans[rendition], match)
	})
}

func (p *past) beginLocked(k *pastOrigin) {
	k.jobs++
	p.asking.Add(1)
}

// askOrigin asks an origin that was taken. That ctx ended is no error, as it is not the
// origin's fault.
func (p *past) askOrigin(ctx context.Context, k *pastOrigin, ask func(ctx context.Context) error) error {
	defer p.asking.Done()
	p.s.count(func(c *counters) { c.stats.OriginRequests++ })
	bound, cancel := context.WithTimeout(ctx, originTimeout)
	defer cancel()
	err := ask(bound)
	if err != nil && ctx.Err() != nil && restAfter(err) != liarRest {
		err = nil
	}
	p.settle(k, err)
	return err
}

// settle notes how a request went. Who lied is not asked for a while, for what is live
// neither; nor is who has none of what it claims.
func (p *past) settle(k *pastOrigin, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k.jobs--
	if err == nil {
		k.pause.next, k.fails = originRest, time.Time{}
		p.s.node.answered.Store(true)
		return
	}
	now := time.Now()
	reason, least := originFailure(err)
	switch reason {
	case reasonForged:
		clear(k.spans)
		p.s.note(func(now time.Time) { p.s.origins.distrust(k.address, least, now) })
	case reasonMissing:
		clear(k.spans)
		least = max(least, cutOffFor)
	}
	if k.fails.IsZero() {
		k.fails = now
	}
	k.pause.fail(least, now)
	p.s.count(func(c *counters) { c.stats.OriginFailures[reason]++ })
	p.s.log.Info("origin failed", "origin", k.address, "reason", reason, "err", err)
}

// askOriginsSpans asks all origins that do not rest what they hold.
func (p *past) askOriginsSpans(ctx context.Context, rendition string, run func(func())) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for _, k := range p.origins {
		if p.closed || k.pause.rests(now) {
			continue
		}
		p.beginLocked(k)
		run(func() { p.askOriginSpans(ctx, k, rendition) })
	}
}

// askOriginSpans asks an origin what it holds. It may know nothing of a rendition.
func (p *past) askOriginSpans(ctx context.Context, k *pastOrigin, rendition string) {
	var spans []stream.Span
	err := p.askOrigin(ctx, k, func(ctx context.Context) (err error) {
		spans, err = k.Held(ctx, p.s.id, rendition)
		if reason, _ := originFailure(err); err != nil && reason == reasonMissing {
			err = nil
		}
		return err
	})
	if err != nil || ctx.Err() != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if k.spans[rendition] = spans[:min(len(spans), maxSpans)]; len(spans) == 0 {
		delete(k.spans, rendition)
	}
}

// askOriginHeaders asks an origin for the headers of a gap, of which it sends the newest,
// and returns how many were new.
func (p *past) askOriginHeaders(ctx context.Context, k *pastOrigin, t *stream.Timeline, g gap) (added int) {
	var got []*stream.SignedHeader
	_ = p.askOrigin(ctx, k, func(ctx context.Context) error {
		raw, err := k.Before(ctx, p.s.id, t.Rendition(), g.before.Position)
		if err != nil {
			return err
		}
		got, err = p.openBefore(raw, t.Rendition(), g)
		return err
	})
	// What came before an error is signed as well.
	added, twice := t.AddPast(got)
	p.s.count(func(c *counters) {
		c.stats.HeadersReceived += int64(added)
		c.stats.PastHeaders += int64(added)
		c.stats.OriginHeaders += int64(added)
		c.stats.HeadersRefused[refusedEquivocation] += int64(twice)
	})
	return added
}

// openBefore opens what an origin said are the headers before a position, newest first, as
// far as the gap goes.
func (p *past) openBefore(raw [][]byte, rendition string, g gap) (got []*stream.SignedHeader, err error) {
	oldest := g.before.Position
	for _, b := range raw {
		h, err := p.s.roles.OpenHeader(b)
		if err != nil {
			return got, err
		}
		if h.Rendition != rendition || h.Position.Compare(oldest) >= 0 {
			return got, fmt.Errorf("%w: header %v, which was not asked for", errWire, h.Position)
		}
		if g.after != nil && h.Position.Compare(g.after.Position) <= 0 {
			return got, nil
		}
		oldest = h.Position
		got = append(got, h)
	}
	return got, nil
}

// fetchFromOrigin fetches what is missing of a segment from an origin, part by part.
func (p *past) fetchFromOrigin(ctx context.Context, k *pastOrigin, g *segment) {
	_ = p.askOrigin(ctx, k, func(ctx context.Context) error {
		for i, h := range g.headers {
			from, to := g.missing(i)
			if from == to {
				continue
			}
			if _, err := p.s.fetchOrigin(ctx, k, h, from, to, func(c stream.Chunk) error { return p.keep(g, i, c) }); err != nil {
				return err
			}
		}
		return nil
	})
}

// missing returns the first missing chunk of a part, and what follows the last one.
func (g *segment) missing(part int) (from, to int) {
	chunks := g.chunks[part]
	lacks := func(c []byte) bool { return c == nil }
	if from = slices.IndexFunc(chunks, lacks); from < 0 {
		return 0, 0
	}
	for to = len(chunks); chunks[to-1] != nil; to-- {
	}
	return from, to
}

// keep keeps a verified chunk of the past that came from an origin.
func (p *past) keep(g *segment, part int, c stream.Chunk) error {
	if g.chunks[part][c.Index()] != nil {
		p.s.count(func(k *counters) { k.stats.OriginInVain++ })
		return nil
	}
	g.chunks[part][c.Index()] = c.Data()
	g.lacks--
	p.s.node.store.PutPast(c)
	p.s.count(func(k *counters) {
		k.stats.OriginChunks++
		k.stats.OriginPastBytes += int64(len(c.Data()))
	})
	return nil
}
