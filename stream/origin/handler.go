package origin

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// Hold is how long a request is held at most: longer than a part, and shorter than what
	// proxies and CDNs wait for.
	Hold = 5 * time.Second
	// HoldPart is the same for a part: its chunks are on their way, or lost.
	HoldPart = time.Second
	// maxHeld bounds the requests that are held at a time.
	maxHeld = 1024
	// busyAfter is told to who found no room, in seconds.
	busyAfter = "1"

	cacheForever = "public, max-age=31536000, immutable"
	cacheBriefly = "public, max-age=1"
	// cachePast is for what changes only when this node learns more of the past.
	cachePast  = "public, max-age=10"
	cacheNever = "no-store"
)

// Stream is a stream that a node holds.
type Stream struct {
	Timelines []*stream.Timeline // one per rendition
	Store     *stream.Store
	// Ask tells that somebody fetches a rendition, which the node may not carry. Nil if it
	// carries all.
	Ask func(rendition string)
}

// Handler serves a node's streams as an origin. It is safe for concurrent use.
type Handler struct {
	find func(stream.ID) (Stream, bool)
	held chan struct{} // a slot per held request
	mux  *http.ServeMux

	parts, unknown, refused atomic.Int64
}

// Stats are what a [Handler] counts.
type Stats struct {
	Parts   int64 // served, or ranges of them
	Unknown int64 // answered 404
	Refused int64 // answered 503: too many were held
}

// NewHandler returns a handler of addresses below [Prefix], for the streams that find knows.
func NewHandler(find func(stream.ID) (Stream, bool)) *Handler {
	h := &Handler{find: find, held: make(chan struct{}, maxHeld), mux: http.NewServeMux()}
	h.mux.HandleFunc("GET "+Prefix+"{stream}/timeline", h.serveTimeline)
	h.mux.HandleFunc("GET "+Prefix+"{stream}/{rendition}/after/{position}", h.serveAfter)
	h.mux.HandleFunc("GET "+Prefix+"{stream}/{rendition}/before/{position}", h.serveBefore)
	h.mux.HandleFunc("GET "+Prefix+"{stream}/{rendition}/held", h.serveHeld)
	h.mux.HandleFunc("GET "+Prefix+"{stream}/{rendition}/{position}", h.servePart)
	return h
}

// Stats returns what was counted so far.
func (h *Handler) Stats() Stats {
	return Stats{h.parts.Load(), h.unknown.Load(), h.refused.Load()}
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	h.mux.ServeHTTP(w, r)
}

// stream returns the stream that a request is about, or answers it.
func (h *Handler) stream(w http.ResponseWriter, r *http.Request) (st Stream, ok bool) {
	id, err := stream.ParseID(r.PathValue("stream"))
	if err == nil {
		st, ok = h.find(id)
	}
	if !ok {
		h.notFound(w)
	}
	return st, ok
}

// timeline returns the timeline that a request is about, or answers it.
func (h *Handler) timeline(w http.ResponseWriter, r *http.Request) (Stream, *stream.Timeline) {
	st, ok := h.stream(w, r)
	if !ok {
		return st, nil
	}
	name := r.PathValue("rendition")
	for _, t := range st.Timelines {
		if t.Rendition() == name {
			return st, t
		}
	}
	h.notFound(w)
	return st, nil
}

func (h *Handler) serveTimeline(w http.ResponseWriter, r *http.Request) {
	st, ok := h.stream(w, r)
	if !ok {
		return
	}
	var headers []*stream.SignedHeader
	for _, t := range st.Timelines {
		headers = append(headers, t.Recent(Segments)...)
	}
	if len(headers) == 0 {
		h.notFound(w) // it is known by name alone
		return
	}
	writeMessage(w, append(marshalRevocations(st), marshalHeaders(headers)...), cacheBriefly)
}

func (h *Handler) serveAfter(w http.ResponseWriter, r *http.Request) {
	_, t := h.timeline(w, r)
	if t == nil {
		return
	}
	after, ok := parsePosition(r.PathValue("position"))
	if !ok {
		h.notFound(w)
		return
	}
	var headers []*stream.SignedHeader
	come := func() bool {
		headers = t.From(after)
		if len(headers) > 0 && headers[0].Position == after {
			headers = headers[1:]
		}
		return len(headers) > 0
	}
	switch {
	case h.wait(r, Hold, t.Changed, come):
		writeHeaders(w, headers[:min(len(headers), MaxAfter)], cacheBriefly)
	case len(h.held) == maxHeld:
		h.busy(w)
	default:
		w.Header().Set("Cache-Control", cacheNever)
		w.WriteHeader(http.StatusNoContent)
	}
}

func (h *Handler) servePart(w http.ResponseWriter, r *http.Request) {
	st, t := h.timeline(w, r)
	if t == nil {
		return
	}
	position, ok := parsePosition(r.PathValue("position"))
	header := t.Header(position)
	if !ok || header == nil || header.End {
		h.notFound(w)
		return
	}
	if st.Ask != nil {
		st.Ask(t.Rendition())
	}
	hold := HoldPart
	if isPast(t, position) {
		hold = 0
	}
	var chunks [][]byte
	if !h.wait(r, hold, st.Store.Changed, func() bool { chunks = st.Store.Part(header.ID()); return chunks != nil }) {
		if len(h.held) == maxHeld {
			h.busy(w)
		} else {
			h.notFound(w)
		}
		return
	}
	h.parts.Add(1)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", cacheForever)
	w.Header().Set("ETag", etag(header))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(bytes.Join(chunks, nil)))
}

// etag is made of the hashes of a part's chunks.
func etag(header *stream.SignedHeader) string {
	sum := sha256.New()
	for _, c := range header.Chunks {
		sum.Write(c[:])
	}
	return `"` + hex.EncodeToString(sum.Sum(nil)[:12]) + `"`
}

// wait reports whether what a request is for is there, or comes in time while there is room
// to hold it.
func (h *Handler) wait(r *http.Request, hold time.Duration, changed func() <-chan struct{}, come func() bool) bool {
	wake := changed() // taken before looking, so that no change falls in between
	if come() {
		return true
	}
	if hold == 0 {
		return false
	}
	select {
	case h.held <- struct{}{}:
		defer func() { <-h.held }()
	default:
		return false
	}
	bound := time.NewTimer(hold)
	defer bound.Stop()
	for {
		select {
		case <-wake:
		case <-bound.C:
			return false
		case <-r.Context().Done():
			return false
		}
		wake = changed()
		if come() {
			return true
		}
	}
}

func writeHeaders(w http.ResponseWriter, headers []*stream.SignedHeader, cached string) {
	writeMessage(w, marshalHeaders(headers), cached)
}

// writeMessage answers with a message of Protocol Buffers.
func writeMessage(w http.ResponseWriter, b []byte, cached string) {
	w.Header().Set("Content-Type", "application/x-protobuf")
	w.Header().Set("Cache-Control", cached)
	_, _ = w.Write(b) // the client may have gone
}

func (h *Handler) notFound(w http.ResponseWriter) {
	h.unknown.Add(1)
	w.Header().Set("Cache-Control", cacheNever)
	http.Error(w, "no such stream or part", http.StatusNotFound)
}

func (h *Handler) busy(w http.ResponseWriter) {
	h.refused.Add(1)
	w.Header().Set("Cache-Control", cacheNever)
	w.Header().Set("Retry-After", busyAfter)
	http.Error(w, "too many requests wait", http.StatusServiceUnavailable)
}
