package hls

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/origin"
)

const (
	// maxGatewayViewers bounds the viewers that a gateway tells apart, whatever its own limit.
	maxGatewayViewers = 10_000
	// maxGatewayConns bounds its connections, of which browsers keep up to six without HTTP/2.
	maxGatewayConns = 16_384
	// maxGatewayConnsPerAddr bounds those of one address, behind which a CDN may be.
	maxGatewayConnsPerAddr = 2048
	// maxGatewayHeld bounds its requests that wait at a time.
	maxGatewayHeld = 2 * maxGatewayViewers
)

// GatewayConfig configures a [Gateway].
type GatewayConfig struct {
	// Viewers is how many may watch at a time; 0 means 10,000. A viewer is who has an address
	// and a User-Agent of its own, and asked for something within the last half minute.
	Viewers int
	// Bandwidth is what answers may fill together, in bits per second; 0 means no bound.
	Bandwidth int
	// TLS has the gateway speak HTTPS if it is not nil.
	TLS *tls.Config
}

// GatewayStatus are a gateway's figures. Counts are since its start.
type GatewayStatus struct {
	Viewers          int   `json:"viewers"`           // now
	Requests         int64 `json:"requests"`          // of all kinds
	Bytes            int64 `json:"bytes"`             // of answers' bodies
	RefusedViewers   int64 `json:"refused_viewers"`   // requests refused, as too many watch
	RefusedBandwidth int64 `json:"refused_bandwidth"` // requests refused, as answers fill the bandwidth
	OriginParts      int64 `json:"origin_parts"`      // served to nodes, or ranges of them
	OriginRefused    int64 `json:"origin_refused"`    // requests of nodes refused, as too many waited
	Conns            int64 `json:"conns"`             // connections now
	ConnsClosed      int64 `json:"conns_closed"`      // that were of no use, to make room for others
	ConnsRefused     int64 `json:"conns_refused"`     // as their address had too many
}

// Gateway serves a [Server]'s streams to whoever asks, with what a CDN needs: people who run
// nothing, and nodes that lack something; see package stream/origin. Unlike the server's own
// handler, it names no peers, addresses and files, and has nothing that changes the node.
type Gateway struct {
	server *Server
	cfg    GatewayConfig
	mux    *http.ServeMux
	origin *origin.Handler
	held   chan struct{} // a slot per held request

	audience *audience
	viewers  atomic.Int64           // at most
	budget   atomic.Pointer[budget] // nil if nothing bounds it

	room roomCounts

	requests, bytes, refusedViewers, refusedBandwidth atomic.Int64
}

// NewGateway returns a gateway to the server's streams, of which a server has one at most.
// It starts nothing.
func (s *Server) NewGateway(cfg GatewayConfig) (*Gateway, error) {
	g := &Gateway{server: s, cfg: cfg, mux: http.NewServeMux(), held: make(chan struct{}, maxGatewayHeld), audience: newAudience()}
	if err := g.SetLimits(cfg.Viewers, cfg.Bandwidth); err != nil {
		return nil, err
	}
	g.origin = origin.NewHandler(s.originStream)
	s.streamRoutes(g.mux, func(h http.HandlerFunc) http.Handler { return shared(g.admit(h)) })
	s.pageRoutes(g.mux)
	g.mux.HandleFunc("GET /api/v1/status", g.serveStatus)
	if !s.gateway.CompareAndSwap(nil, g) {
		return nil, errors.New("hls: the server has a gateway")
	}
	return g, nil
}

// SetLimits changes how many may watch at a time, and how many bits per second answers may fill,
// as in [GatewayConfig]. Who watches already is not sent away.
func (g *Gateway) SetLimits(viewers, bandwidth int) error {
	if viewers < 0 || viewers > maxGatewayViewers || bandwidth < 0 {
		return errors.New("hls: a gateway's limits are out of bounds")
	}
	if viewers == 0 {
		viewers = maxGatewayViewers
	}
	g.viewers.Store(int64(viewers))
	var next *budget
	if bandwidth > 0 {
		next = newBudget(bandwidth)
		if before := g.budget.Load(); before != nil {
			next.free = time.Now().Add(before.debt(time.Now()))
		}
	}
	g.budget.Store(next)
	return nil
}

// Status returns the gateway's figures.
func (g *Gateway) Status() GatewayStatus {
	o := g.origin.Stats()
	return GatewayStatus{
		Viewers:          g.audience.count(time.Now()),
		Requests:         g.requests.Load(),
		Bytes:            g.bytes.Load(),
		RefusedViewers:   g.refusedViewers.Load(),
		RefusedBandwidth: g.refusedBandwidth.Load(),
		OriginParts:      o.Parts,
		OriginRefused:    o.Refused,
		Conns:            g.room.now.Load(),
		ConnsClosed:      g.room.closed.Load(),
		ConnsRefused:     g.room.refused.Load(),
	}
}

// gatewayKey is the key of a request's gateway in its context.
type gatewayKey struct{}

// gatewayOf returns the gateway by which a request came, nil if it is one of this machine's.
func gatewayOf(r *http.Request) *Gateway {
	g, _ := r.Context().Value(gatewayKey{}).(*Gateway)
	return g
}

// Handler returns the gateway's routes, which the package documentation lists.
func (g *Gateway) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.requests.Add(1)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		r = r.WithContext(context.WithValue(r.Context(), gatewayKey{}, g))
		w = &metered{ResponseWriter: w, gateway: g, ctx: r.Context()}
		switch {
		case hasBody(r):
			g.server.door.bodies.Add(1)
			refuseBody(w)
		case strings.HasPrefix(r.URL.Path, origin.Prefix):
			if g.roomFor(w, mostDebt) {
				g.origin.ServeHTTP(w, r)
			}
		case strings.HasPrefix(r.URL.Path, embedPrefix):
			g.server.serveEmbed(w, r, "")
		default:
			g.mux.ServeHTTP(w, r)
		}
	})
}

// Serve answers requests on l until ctx ends, as [Server.Serve] does.
func (g *Gateway) Serve(ctx context.Context, l net.Listener) error {
	return g.server.serve(ctx, limitListener(l, newRoom(maxGatewayConns, maxGatewayConnsPerAddr, &g.room)), g.Handler(), g.cfg.TLS)
}

// admit has a request for a stream answered if there is room for its viewer.
func (g *Gateway) admit(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		now, v, most := time.Now(), viewerOf(r), mostDebt
		if !g.audience.knows(v, now) {
			most = newcomersDebt
		}
		if !g.roomFor(w, most) {
			return
		}
		if !g.audience.enter(v, int(g.viewers.Load()), now) {
			g.refusedViewers.Add(1)
			refuse(w, http.StatusServiceUnavailable, viewerIdle, "too many people watch by way of this gateway")
			return
		}
		h(w, r)
	}
}

// roomFor reports whether answers are no further behind than most, or refuses the request.
func (g *Gateway) roomFor(w http.ResponseWriter, most time.Duration) bool {
	if b := g.budget.Load(); b == nil || b.debt(time.Now()) <= most {
		return true
	}
	g.refusedBandwidth.Add(1)
	refuse(w, http.StatusTooManyRequests, retryAfter, "the bandwidth of this gateway is used up")
	return false
}

// publicStatus is what a gateway tells its page: of the streams what players need.
type publicStatus struct {
	Public  bool           `json:"public"` // tells the page to show no more
	Version string         `json:"version"`
	Now     int64          `json:"now_millis"`
	Streams []publicStream `json:"streams"`
}

type publicStream struct {
	ID         stream.ID          `json:"id"`
	HLS        string             `json:"hls"`
	LL         string             `json:"ll"`
	DVR        string             `json:"dvr"`
	Embed      string             `json:"embed"`
	Playable   bool               `json:"playable"`
	Ended      bool               `json:"ended"`
	Renditions []RenditionFigures `json:"renditions"`
}

func (g *Gateway) serveStatus(w http.ResponseWriter, _ *http.Request) {
	now := time.Now()
	all := g.server.Figures(now)
	out := publicStatus{Public: true, Version: all.Version, Now: all.Now, Streams: []publicStream{}}
	for _, s := range all.Streams {
		if s.Private {
			continue // it is nobody's business
		}
		out.Streams = append(out.Streams, publicStream{s.ID, s.HLS, s.LL, s.DVR, embedPrefix + s.ID.String(), s.Playable, s.Ended, s.Renditions})
	}
	text, err := json.Marshal(out)
	if err != nil {
		g.server.log.Error("marshal status", "err", err)
		http.Error(w, "status unavailable", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", cacheFor(time.Second))
	_, _ = w.Write(text) // the client may have gone
}

// originStream shows a stream to the origin resource.
func (s *Server) originStream(id stream.ID) (origin.Stream, bool) {
	for _, st := range s.cfg.Node.Streams() {
		if st.ID != id {
			continue
		}
		return origin.Stream{Timelines: slices.Concat(st.Timelines, st.Keys), Store: st.Store, Ask: func(rendition string) {
			if served, _, _ := s.find(id); served.rendition(rendition) != nil {
				s.ask(served, served.rendition(rendition))
			}
		}}, true
	}
	return origin.Stream{}, false
}
