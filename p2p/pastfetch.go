package p2p

import (
	"context"
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
	failed := make(map[stream.Position][]peer.ID) // who had nothing before a position
	for range maxPastRounds {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		g, id, wait := p.nextGap(t, since, bytes, failed)
		switch {
		case id != "":
			if added := p.askHeaders(ctx, id, t, g); added == 0 {
				failed[g.before.Position] = append(failed[g.before.Position], id)
			}
		case wait:
			select {
			case <-time.After(pastRetry):
			case <-ctx.Done():
			}
		default:
			return nil
		}
	}
	return nil
}

// nextGap returns the newest gap for which there is a peer to ask, and that peer, taken.
func (p *past) nextGap(t *stream.Timeline, since time.Time, bytes int64, failed map[stream.Position][]peer.ID) (g gap, id peer.ID, wait bool) {
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
		var found, resting bool
		if id, found, resting = p.pick(t.Rendition(), failed[h.Position], g.overlaps); found {
			return g, id, false
		}
		wait = wait || resting
	}
	return g, "", wait
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
		h, err := stream.OpenHeader(p.s.id, answer.header)
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
}

// segment takes what the store has of a segment, if its headers are all known.
func (p *past) segment(rendition string, epoch, number uint64) *segment {
	t := p.s.timeline(rendition)
	if t == nil {
		return nil
	}
	g := &segment{headers: t.Segment(epoch, number)}
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

// fetchSegment fetches what the store lacks of a segment, from one peer after the other.
func (p *past) fetchSegment(ctx context.Context, rendition string, epoch, number uint64) (*segment, error) {
	g := p.segment(rendition, epoch, number)
	if g == nil || len(g.headers) == 0 {
		return nil, fmt.Errorf("its headers are not known: %w", ErrNotHeld)
	}
	for g.lacks > 0 {
		id, found, resting := p.pick(rendition, nil, func(s stream.Span) bool { return s.Contains(epoch, number) })
		if !found && !resting {
			return nil, ErrNotHeld
		}
		if !found {
			select {
			case <-time.After(pastRetry):
				continue
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
		lacked := g.lacks
		req, parts := g.request(p.s.id)
		err := p.ask(ctx, id, req, func(answer fetchResponse) error { return p.takeChunk(id, req, g, parts, answer) })
		if ctx.Err() != nil {
			p.done(id, err)
		} else {
			p.sent(id, g.lacks < lacked, err)
		}
		if err := ctx.Err(); err != nil && g.lacks > 0 {
			return nil, context.Cause(ctx)
		}
	}
	return g, nil
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
