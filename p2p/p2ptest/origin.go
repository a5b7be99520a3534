package p2ptest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/origin"
)

// Origin is an HTTP origin that serves the streams of a host's node, some way from all that
// ask it: the production handler, and production clients. It is not part of the simulated
// network, so that it is there when all peers are gone.
type Origin struct {
	net     *Network
	host    int
	way     time.Duration // one way
	handler *origin.Handler
	served  atomic.Int64 // bytes of parts
	asked   atomic.Int64

	mu    sync.Mutex // guards all following
	fault http.HandlerFunc
}

// NewOrigin returns an origin in front of the node of a host, so far away one way.
func (n *Network) NewOrigin(host int, way time.Duration) *Origin {
	o := &Origin{net: n, host: host, way: way}
	o.handler = origin.NewHandler(o.find)
	return o
}

// Address is one that origins of tests may have.
const Address = "https://origin.example"

// Config returns what gives a node clients of the origin.
func (o *Origin) Config() p2p.Config {
	return p2p.Config{Origins: func(address string, _ p2p.Dial) (p2p.Origin, error) { return origin.NewClient(address, o) }}
}

// Fail has the origin answer requests with f instead, nil no more.
func (o *Origin) Fail(f http.HandlerFunc) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fault = f
}

// Forge answers with parts that nobody published, and headers that nobody signed.
func (o *Origin) Forge(w http.ResponseWriter, r *http.Request) {
	real := httptest.NewRecorder()
	o.handler.ServeHTTP(real, r)
	for name, values := range real.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(real.Code)
	body := real.Body.Bytes()
	switch {
	case len(body) == 0 || strings.HasSuffix(r.URL.Path, "/held"): // which nobody signs
	case isPart(r):
		body[0] ^= 1
	default:
		body[len(body)-1] ^= 1 // of the last signature
	}
	_, _ = w.Write(body) // a recorder takes everything
}

// Served returns how many bytes of parts it sent, and how many requests were made.
func (o *Origin) Served() (bytes, requests int64) { return o.served.Load(), o.asked.Load() }

// find returns what the host's node holds.
func (o *Origin) find(id stream.ID) (origin.Stream, bool) {
	node := o.net.Node(o.host)
	if node == nil {
		return origin.Stream{}, false
	}
	for _, s := range node.Swarms() {
		if s.ID() == id {
			return origin.Stream{Timelines: s.Timelines(), Store: node.Store()}, true
		}
	}
	return origin.Stream{}, false
}

// RoundTrip implements [http.RoundTripper].
func (o *Origin) RoundTrip(r *http.Request) (*http.Response, error) {
	o.asked.Add(1)
	if err := sleep(r.Context(), o.way); err != nil {
		return nil, err
	}
	o.mu.Lock()
	fault := o.fault
	o.mu.Unlock()
	w := httptest.NewRecorder()
	if fault != nil {
		fault(w, r)
	} else {
		o.handler.ServeHTTP(w, r)
	}
	if err := sleep(r.Context(), o.way); err != nil {
		return nil, err
	}
	if isPart(r) && w.Code < http.StatusMultipleChoices {
		o.served.Add(int64(w.Body.Len()))
	}
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

// isPart reports whether a request is for a part.
func isPart(r *http.Request) bool {
	for _, other := range []string{"/after/", "/before/", "/timeline", "/held"} {
		if strings.Contains(r.URL.Path, other) {
			return false
		}
	}
	return true
}

// Stall answers nothing until the client goes.
func Stall(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// sleep waits unless ctx ends before.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return errors.Join(io.ErrUnexpectedEOF, context.Cause(ctx))
	}
}
