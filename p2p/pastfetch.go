package p2p

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/grapevine-live/grapevine/stream"
)

// ask sends a peer a request for the past, and takes its answers. That ctx ended is no
// error, as it is not the peer's fault.
func (p *past) ask(ctx context.Context, id peer.ID, req fetchRequest, take func(fetchResponse) error) error {
	bound, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	err := p.s.doFetch(bound, id, req, take)
	if err != nil && ctx.Err() != nil && restAfter(err) != liarRest {
		return nil
	}
	if err != nil {
		p.s.blame(id, err)
	}
	return err
}

// askSpans asks a peer what it holds.
func (p *past) askSpans(ctx context.Context, id peer.ID, rendition string) {
	p.mu.Lock()
	p.peerLocked(id).jobs++
	p.mu.Unlock()
	var spans []stream.Span
	req := fetchRequest{stream: p.s.id, past: &pastRequest{rendition: rendition}}
	err := p.ask(ctx, id, req, func(answer fetchResponse) error {
		if answer.span == nil || len(spans) == maxSpans {
			return fmt.Errorf("%w: not what was asked of the past", errWire)
		}
		spans = append(spans, *answer.span)
		return nil
	})
	p.done(id, err)
	if err == nil {
		p.answered(id, rendition, spans)
	}
}

// answered notes what a peer says that it holds.
func (p *past) answered(id peer.ID, rendition string, spans []stream.Span) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.peerLocked(id)
	if len(spans) > 0 {
		k.spans[rendition] = spans
	} else {
		delete(k.spans, rendition) // those that claim something are chosen before it
	}
}

// gap is where headers are missing: after one and before another, which is known.
type gap struct {
	after  *stream.SignedHeader // nil where none is known
	before *stream.SignedHeader
}

// overlaps reports whether a span has a segment in the gap.
func (g gap) overlaps(s stream.Span) bool {
	// The segment of the header before the gap is complete if that is its last, that of the
	// one after it if that is its first.
	newest := g.before.Position
	switch {
	case s.Epoch > newest.Epoch, s.Epoch == newest.Epoch && s.First > newest.Segment,
		s.Epoch == newest.Epoch && s.First == newest.Segment && newest.Part == 0:
		return false
	case g.after == nil || s.Epoch > g.after.Epoch:
		return true
	case s.Epoch < g.after.Epoch || g.after.End:
		return false
	}
	return s.Last > g.after.Segment || s.Last == g.after.Segment && !g.after.Last
}

// learn fetches the headers that this node lacks, newest first.
func (p *past) learn(ctx context.Context, rendition string, since time.Time, bytes int64) error {
	t := p.s.timeline(rendition)
	if t == nil {
		return nil
	}
	failed := make(map[stream.Position][]pastSource) // who had nothing before a position
	for range maxPastRounds {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		g, from, wait := p.nextGap(t, since, bytes, failed)
		added := 0
		switch {
		case from.peer != "":
			added = p.askHeaders(ctx, from.peer, t, g)
		case from.origin != nil:
			added = p.askOriginHeaders(ctx, from.origin, t, g)
		case wait:
			select {
			case <-time.After(pastRetry):
			case <-ctx.Done():
			}
			continue
		default:
			return nil
		}
		if added == 0 {
			failed[g.before.Position] = append(failed[g.before.Position], from)
		}
	}
	return nil
}

// nextGap returns the newest gap for which there is somebody to ask, taken: a peer or, if none
// has it, an origin.
func (p *past) nextGap(t *stream.Timeline, since time.Time, bytes int64, failed map[stream.Position][]pastSource) (g gap, from pastSource, wait bool) {
	headers := t.From(stream.Position{})
	var size int64
	for i, h := range slices.Backward(headers) {
		if size += int64(h.Size); h.ProgramTime.Before(since) || bytes > 0 && size > bytes {
			break
		}
		g = gap{before: h}
		if i > 0 {
			g.after = headers[i-1]
			if next(h, g.after) && (h.Epoch == g.after.Epoch || g.after.End) {
				continue
			}
		}
		id, found, resting := p.pick(t.Rendition(), failed[h.Position], g.overlaps, pastRest)
		if found {
			return g, pastSource{peer: id}, false
		}
		k, rests := p.takeOrigin(t.Rendition(), failed[h.Position], g.overlaps)
		if k != nil {
			return g, pastSource{origin: k}, false
		}
		wait = wait || resting || rests
	}
	return g, pastSource{}, wait
}

// askHeaders asks a peer for the headers of a gap, of which it sends the newest, and
// returns how many were new.
func (p *past) askHeaders(ctx context.Context, id peer.ID, t *stream.Timeline, g gap) (added int) {
	req := pastRequest{rendition: t.Rendition(), before: g.before.Position, headers: maxPastHeaders}
	if g.after != nil {
		req.from = g.after.Position
	}
	var got []*stream.SignedHeader
	size, spans := 0, 0
	oldest := req.before
	err := p.ask(ctx, id, fetchRequest{stream: p.s.id, past: &req}, func(answer fetchResponse) error {
		if answer.span != nil && spans < maxSpans {
			spans++
			return nil
		}
		if size += len(answer.header); answer.header == nil || len(got) == maxPastHeaders || size > maxPastBytes {
			return fmt.Errorf("%w: not what was asked of the past", errWire)
		}
		h, err := p.s.roles.OpenHeader(answer.header)
		if err != nil {
			return err
		}
		if h.Rendition != req.rendition || h.Position.Compare(oldest) >= 0 || h.Position.Compare(req.from) < 0 {
			return fmt.Errorf("%w: header %v, which was not asked for", errWire, h.Position)
		}
		oldest = h.Position
		got = append(got, h)
		return nil
	})
	// What came before an error is signed as well.
	added, twice := t.AddPast(got)
	for range twice {
		p.s.countRefusedHeader(id, refusedEquivocation)
	}
	p.s.count(func(c *counters) {
		c.stats.HeadersReceived += int64(added)
		c.stats.PastHeaders += int64(added)
	})
	p.done(id, err)
	return added
}

// segment is one of the past, on its way.
type segment struct {
	headers []*stream.SignedHeader
	chunks  [][][]byte // by part; nil where missing
	lacks   int
	gave    map[peer.ID]bool // some of it
}

// segment takes what the store has of a segment, if its headers are all known.
func (p *past) segment(rendition string, epoch, number uint64) *segment {
	t := p.s.timeline(rendition)
	if t == nil {
		return nil
	}
	g := &segment{headers: t.Segment(epoch, number), gave: make(map[peer.ID]bool)}
	for _, h := range g.headers {
		chunks := make([][]byte, len(h.Chunks))
		for i := range chunks {
			if chunks[i] = p.s.node.store.Chunk(h.ID(), i); chunks[i] == nil {
				g.lacks++
			}
		}
		g.chunks = append(g.chunks, chunks)
	}
	return g
}

// request asks for what is missing, as much as one request may. Its parts are those of
// the headers numbered.
func (g *segment) request(id stream.ID) (req fetchRequest, parts []int) {
	req.stream = id
	size := 0
	for k, h := range g.headers {
		want := stream.NewBitmap(len(h.Chunks))
		for i, c := range g.chunks[k] {
			if c == nil && size < maxJobBytes {
				want.Set(i)
				size += h.ChunkLen(i)
			}
		}
		if want.Count() > 0 && len(parts) < maxFetchParts {
			req.parts = append(req.parts, partRequest{h.Rendition, h.Position, want})
			parts = append(parts, k)
		}
	}
	return req, parts
}

// fetchSegment fetches what the store lacks of a segment, from one peer after the other, and
// what they do not bring in time from origins.
func (p *past) fetchSegment(ctx context.Context, rendition string, epoch, number uint64) (*segment, error) {
	g := p.segment(rendition, epoch, number)
	if g == nil || len(g.headers) == 0 {
		return nil, fmt.Errorf("its headers are not known: %w", ErrNotHeld)
	}
	overdue := time.Now().Add(overdueAfter)
	for g.lacks > 0 {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		from, resting := p.pickFor(g, overdue)
		switch {
		case from.origin != nil:
			p.fetchFromOrigin(ctx, from.origin, g)
		case from.peer != "":
			p.fetchFromPeer(ctx, from.peer, g, overdue)
		case !resting:
			return nil, ErrNotHeld
		default:
			select {
			case <-time.After(pastRetry):
			case <-ctx.Done():
			}
		}
	}
	return g, nil
}

// errOverdue is why a peer was given up that sent nothing in time of what an origin has, too.
var errOverdue = errors.New("nothing came in time")

// pickFor takes whom to ask for a segment that is overdue at a time. Until then it is a peer, if
// one has it that does not fail, and afterwards rather an origin.
func (p *past) pickFor(g *segment, overdue time.Time) (from pastSource, resting bool) {
	rendition, match, patience := g.headers[0].Rendition, g.in, pastRest
	switch late := !time.Now().Before(overdue); {
	case !p.originHolds(rendition, match):
	case late:
		if k, _ := p.takeOrigin(rendition, nil, match); k != nil {
			return pastSource{origin: k}, false
		}
	default:
		patience = busyRest // for a turn on the uplink
	}
	id, found, resting := p.pick(rendition, nil, match, patience)
	if found || resting {
		return pastSource{peer: id}, resting
	}
	k, resting := p.takeOrigin(rendition, nil, match)
	return pastSource{origin: k}, resting
}

// in reports whether the segment is one of a span's.
func (g *segment) in(s stream.Span) bool { return s.Contains(g.headers[0].Epoch, g.headers[0].Segment) }

// fetchFromPeer fetches what is missing of a segment from a peer, until it is overdue if an
// origin has it, too.
func (p *past) fetchFromPeer(ctx context.Context, id peer.ID, g *segment, overdue time.Time) {
	bound, cancel := ctx, func() {}
	if time.Now().Before(overdue) && p.originHolds(g.headers[0].Rendition, g.in) {
		bound, cancel = context.WithDeadline(ctx, overdue)
	}
	defer cancel()
	lacked := g.lacks
	req, parts := g.request(p.s.id)
	err := p.ask(bound, id, req, func(answer fetchResponse) error { return p.takeChunk(id, req, g, parts, answer) })
	if ctx.Err() != nil {
		p.done(id, err)
		return
	}
	some := g.lacks < lacked
	if err == nil && bound.Err() != nil && !some {
		err = errOverdue
	}
	if err == nil && !some && g.gave[id] && p.retracts(ctx, id, g) {
		p.done(id, nil)
	} else {
		p.sent(id, some, err)
	}
	g.gave[id] = g.gave[id] || some
}

// retracts asks a peer once more what it holds, and reports whether a segment is no longer
// part of it: who found a chunk damaged when it read it from its disk is no liar. It waits
// until the peer looks that up anew.
func (p *past) retracts(ctx context.Context, id peer.ID, g *segment) bool {
	select {
	case <-time.After(stream.LastingFor):
	case <-ctx.Done():
		return true // which is not the peer's fault
	}
	rendition := g.headers[0].Rendition
	p.askSpans(ctx, id, rendition)
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.peerLocked(id).claims(rendition, g.in)
}

// takeChunk verifies a chunk of the past, and keeps it.
func (p *past) takeChunk(id peer.ID, req fetchRequest, g *segment, parts []int, answer fetchResponse) error {
	c := answer.chunk
	if c == nil || c.part >= len(parts) || !req.parts[c.part].want.Get(c.index) {
		return fmt.Errorf("%w: not what was asked of the past", errWire)
	}
	k := parts[c.part]
	if g.chunks[k][c.index] != nil {
		return fmt.Errorf("%w: a chunk twice", errWire)
	}
	chunk, err := stream.OpenChunk(g.headers[k], c.index, c.data)
	if err != nil {
		p.s.refuse(id, refusedForged, err)
		return err
	}
	g.chunks[k][c.index] = c.data
	g.lacks--
	p.s.node.store.PutPast(chunk)
	p.s.count(func(n *counters) {
		n.stats.ChunksReceived++
		n.stats.ChunksFetched++
		n.stats.PastChunks++
		n.stats.BytesReceived += int64(len(c.data))
		n.peer(id).BytesIn += int64(len(c.data))
	})
	return nil
}
