package origin

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/wire"
)

const (
	// maxHeldSize bounds what a client reads of what is held: spans take some 40 bytes each.
	maxHeldSize = 4 << 10

	fieldSpan = 1
)

// serveHeld tells which segments this node holds, and will hold for a while.
func (h *Handler) serveHeld(w http.ResponseWriter, r *http.Request) {
	st, t := h.timeline(w, r)
	if t == nil {
		return
	}
	var b []byte
	for _, s := range t.Lasting(st.Store, time.Now()) {
		b = wire.AppendMessage(b, fieldSpan, s.Bytes())
	}
	writeMessage(w, b, cacheBriefly)
}

// serveBefore serves headers of the past, the newest first.
func (h *Handler) serveBefore(w http.ResponseWriter, r *http.Request) {
	_, t := h.timeline(w, r)
	if t == nil {
		return
	}
	before, ok := parsePosition(r.PathValue("position"))
	if !ok {
		h.notFound(w)
		return
	}
	headers := t.Before(before, stream.Position{}, MaxBefore)
	slices.Reverse(headers)
	writeHeaders(w, headers, cachePast)
}

// isPast reports whether a part is older than what a timeline's answer has: what this node
// lacks of it does not come any more.
func isPast(t *stream.Timeline, p stream.Position) bool {
	recent := t.Recent(Segments)
	return len(recent) > 0 && p.Compare(recent[0].Position) < 0
}

// Held returns the runs of segments of a rendition that the origin says it holds.
func (c *Client) Held(ctx context.Context, id stream.ID, rendition string) ([]stream.Span, error) {
	a, err := c.get(ctx, heldPath(id, rendition), "", 0)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	b, err := io.ReadAll(io.LimitReader(a, maxHeldSize+1))
	if err != nil {
		return nil, err
	}
	spans, err := parseSpans(b)
	if err != nil {
		return nil, a.failed(err)
	}
	return spans, nil
}

// parseSpans returns the spans of an answer. Errors wrap errMalformed.
func parseSpans(b []byte) (spans []stream.Span, err error) {
	if len(b) > maxHeldSize {
		return nil, fmt.Errorf("%w: more than %d bytes of what is held", errMalformed, maxHeldSize)
	}
	var inner error
	err = wire.Fields(b, func(field int, _ uint64, v []byte) {
		if field != fieldSpan || v == nil || inner != nil {
			return
		}
		var s stream.Span
		s, inner = stream.ParseSpan(v)
		spans = append(spans, s)
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	case inner != nil:
		return nil, fmt.Errorf("%w: %v", errMalformed, inner)
	case len(spans) > stream.MaxSpans:
		return nil, fmt.Errorf("%w: %d spans", errMalformed, len(spans))
	}
	return spans, nil
}

// Before returns the serialised headers before a part, the newest first, none if the origin
// knows of none.
func (c *Client) Before(ctx context.Context, id stream.ID, rendition string, p stream.Position) ([][]byte, error) {
	return c.headers(ctx, beforePath(id, rendition, p), 0)
}
