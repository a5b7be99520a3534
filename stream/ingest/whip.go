package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"
	"golang.org/x/net/netutil"
)

const (
	defaultWHIPPort = "8889"
	defaultWHIPPath = "/live"
	// maxOffer bounds an offer: browsers' have 8 KB.
	maxOffer = 64 << 10
	// whipConns bounds the HTTP connections at a time. A publisher needs one for a moment, a page
	// of it some; further ones wait.
	whipConns = 64
	// whipTries is how often two free ports of one number are looked for.
	whipTries = 20
	// sdpType is what offers and answers are (RFC 9725, section 4.2).
	sdpType = "application/sdp"
)

// What is wrong with a WHIP request.
var (
	errNoOffer   = errors.New("no SDP offer of WebRTC")
	errOfferType = errors.New("an offer is " + sdpType)
)

// parseWHIP reads whip://host[:port][/path].
func parseWHIP(s string) (input, error) {
	u, err := url.Parse(s)
	if err != nil {
		return input{}, fmt.Errorf("input %q: %w", s, err)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
		return input{}, fmt.Errorf("input %q is not whip://host:port/path", s)
	}
	in := input{kind: inputWHIP, addr: net.JoinHostPort(u.Hostname(), u.Port()), path: path.Clean("/" + u.Path)}
	if u.Port() == "" {
		in.addr = net.JoinHostPort(u.Hostname(), defaultWHIPPort)
	}
	if in.path == "/" {
		in.path = defaultWHIPPath // the page has the root
	}
	return in, nil
}

// WHIPServer returns what an encoder is to be told as its server, and the page that
// publishes from a browser, for an Input that listens for WHIP publishers, and false for
// others. A host that is not told is this machine.
func WHIPServer(input string) (server, page string, ok bool) {
	in, err := parseInput(input)
	if err != nil || in.kind != inputWHIP {
		return "", "", false
	}
	host, port, err := net.SplitHostPort(in.addr)
	if err != nil {
		return "", "", false
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	root := url.URL{Scheme: "http", Host: net.JoinHostPort(host, port), Path: "/"}
	endpoint := root
	endpoint.Path = in.path
	return endpoint.String(), root.String(), true
}

// whipEndpoint is where publishers begin their sessions (RFC 9725), and serves the page
// that does.
type whipEndpoint struct {
	path, key string
	r         *reception
	api       *webrtc.API
	page      whipPage
	ctx       context.Context // done when the reception stops

	gate    sync.RWMutex   // held for reading by each request, and locked for ever at the end
	running sync.WaitGroup // sessions; only requests begin them

	mu       sync.Mutex // guards all following
	sessions map[string]*whipSession
	waiting  *whipSession // not connected yet, if its connected is not closed
}

// openWHIP listens for HTTP, and for media by UDP on the same port.
func openWHIP(ctx context.Context, in input, i *Ingest) (*source, error) {
	page, err := newWHIPPage(in.path)
	if err != nil {
		return nil, err
	}
	l, mux, err := listenWHIP(ctx, in.addr, pionLogs{i.log})
	if err != nil {
		return nil, fmt.Errorf("listen for the encoder: %w", err)
	}
	api, err := newWebRTC(mux, i.log)
	if err != nil {
		l.Close()
		mux.Close()
		return nil, fmt.Errorf("prepare WebRTC: %w", err)
	}
	i.connection(func(s *Stats) { s.Listen = l.Addr().String() })
	i.log.Info("waiting for the encoder", "listen", "http://"+l.Addr().String()+in.path)
	sessions, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w := &whipEndpoint{
		path: in.path, key: i.cfg.StreamKey, api: api, page: page, ctx: sessions,
		sessions: make(map[string]*whipSession),
	}
	server := &http.Server{
		Handler: w, ReadTimeout: maxGreeting, WriteTimeout: maxGreeting, IdleTimeout: maxGreeting,
		MaxHeaderBytes: maxOffer, ErrorLog: slog.NewLogLogger(i.log.Handler(), slog.LevelDebug),
	}
	w.r = newReception(i, func() { cancel(); server.Close() })
	w.r.running.Go(func() {
		if err := server.Serve(netutil.LimitListener(l, whipConns)); !errors.Is(err, http.ErrServerClosed) {
			w.r.failed <- err
		}
		w.gate.Lock()
		w.running.Wait()
		mux.Close()
	})
	return w.r.source(), nil
}

// listenWHIP binds addr for TCP, and its port for UDP at the same addresses.
func listenWHIP(ctx context.Context, addr string, logs pionLogs) (net.Listener, ice.UDPMux, error) {
	var lc net.ListenConfig
	for try := 1; ; try++ {
		l, err := lc.Listen(ctx, "tcp", addr)
		if err != nil {
			return nil, nil, err
		}
		bound := l.Addr().(*net.TCPAddr)
		mux, err := listenICE(bound, logs)
		if err == nil {
			return l, mux, nil
		}
		l.Close()
		// A port that the system chose may be free for TCP only.
		if _, port, splitErr := net.SplitHostPort(addr); splitErr != nil || port != "0" || try == whipTries {
			return nil, nil, err
		}
	}
}

// listenICE binds a port for UDP, at all addresses of this machine if none is told: each
// is bound by itself, so that answers come from where the questions went.
func listenICE(at *net.TCPAddr, logs pionLogs) (ice.UDPMux, error) {
	log := logs.NewLogger("ice")
	if at.IP.IsUnspecified() {
		networks := []ice.NetworkType{ice.NetworkTypeUDP4, ice.NetworkTypeUDP6}
		return ice.NewMultiUDPMuxFromPort(at.Port, ice.UDPMuxFromPortWithLoopback(),
			ice.UDPMuxFromPortWithNetworks(networks...), ice.UDPMuxFromPortWithReadBufferSize(udpBuffer), ice.UDPMuxFromPortWithLogger(log))
	}
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: at.IP, Port: at.Port, Zone: at.Zone})
	if err != nil {
		return nil, err
	}
	if err := conn.SetReadBuffer(udpBuffer); err != nil {
		logs.log.Warn("small receive buffer", "err", err)
	}
	return ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: conn, Logger: log}), nil
}

func (w *whipEndpoint) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	if !w.gate.TryRLock() {
		http.Error(rw, "the broadcast is over", http.StatusServiceUnavailable)
		return
	}
	defer w.gate.RUnlock()
	id, isSession := strings.CutPrefix(req.URL.Path, w.path+"/")
	if req.URL.Path != w.path && !isSession {
		w.page.ServeHTTP(rw, req)
		return
	}
	h := rw.Header()
	// Pages of other sites may publish with the key (RFC 9725, section 4.7): no cookie
	// lets anybody in.
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "Location, ETag")
	h.Set("Cache-Control", "no-store")
	allowed := "OPTIONS, POST"
	if isSession {
		// No PATCH: answers have all candidates, and paths that break are those of a
		// publisher that comes anew (section 4.3.1).
		allowed = "OPTIONS, DELETE"
	}
	h.Set("Allow", allowed)
	switch {
	case req.Method == http.MethodOptions:
		h.Set("Access-Control-Allow-Methods", allowed)
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
		h.Set("Accept-Post", sdpType)
		rw.WriteHeader(http.StatusNoContent)
	case req.Method == http.MethodPost && !isSession:
		w.post(rw, req)
	case req.Method == http.MethodDelete && isSession:
		w.delete(rw, req, id)
	default:
		http.Error(rw, "method not allowed", http.StatusMethodNotAllowed)
	}
}

// post begins a session.
func (w *whipEndpoint) post(rw http.ResponseWriter, req *http.Request) {
	s, answer, err := w.begin(rw, req)
	if err != nil {
		w.r.refuse(req.RemoteAddr, err)
		deny(rw, err)
		return
	}
	w.running.Go(func() {
		s.run(w.ctx, w.r)
		w.forget(s)
	})
	h := rw.Header()
	h.Set("Content-Type", sdpType)
	h.Set("Location", w.path+"/"+s.id)
	h.Set("ETag", `"`+s.id+`"`)
	rw.WriteHeader(http.StatusCreated)
	if _, err := io.WriteString(rw, answer); err != nil {
		s.end(io.ErrUnexpectedEOF)
	}
}

// begin makes a session of a request, or says why not.
func (w *whipEndpoint) begin(rw http.ResponseWriter, req *http.Request) (*whipSession, string, error) {
	if !w.hasKey(req) {
		return nil, "", ErrStreamKey
	}
	if kind, _, err := mime.ParseMediaType(req.Header.Get("Content-Type")); err != nil || kind != sdpType {
		return nil, "", errOfferType
	}
	raw, err := io.ReadAll(http.MaxBytesReader(rw, req.Body, maxOffer))
	if err != nil {
		return nil, "", fmt.Errorf("read the offer: %w", err)
	}
	offer := webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: string(raw)}
	video, audio, err := checkOffer(offer)
	if err != nil {
		return nil, "", err
	}
	if err := w.r.busy(); err != nil {
		return nil, "", err
	}
	feed, err := newWHIPFeed(video, audio)
	if err != nil {
		return nil, "", err
	}
	i := w.r.i
	feed.log, feed.segment = i.log, ticks(i.cfg.Segment)
	if feed.video != nil && i.cfg.patience > 0 {
		feed.video.order.patience = i.cfg.patience
	}
	feed.leftOut = func() { i.connection(func(s *Stats) { s.LeftOut++ }) }
	feed.lost = func(n int) { i.connection(func(s *Stats) { s.LostRTP += uint64(n) }) }
	s, err := newWHIPSession(w.api, req.RemoteAddr, feed, i.log)
	if err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithTimeoutCause(w.ctx, maxGreeting, ErrNoMedia)
	defer cancel()
	answer, err := s.answer(ctx, offer)
	if err != nil {
		feed.Close()
		s.close()
		return nil, "", err
	}
	w.remember(s)
	return s, answer, nil
}

// remember makes a session the one that is waited for. One that was waited for before,
// with the same key, was given up.
func (w *whipEndpoint) remember(s *whipSession) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if old := w.waiting; old != nil {
		select {
		case <-old.connected:
		default:
			old.end(net.ErrClosed)
		}
	}
	w.waiting = s
	w.sessions[s.id] = s
}

func (w *whipEndpoint) forget(s *whipSession) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.sessions, s.id)
	if w.waiting == s {
		w.waiting = nil
	}
}

// delete ends a session.
func (w *whipEndpoint) delete(rw http.ResponseWriter, req *http.Request, id string) {
	if !w.hasKey(req) {
		deny(rw, ErrStreamKey)
		return
	}
	w.mu.Lock()
	s := w.sessions[id]
	w.mu.Unlock()
	if s == nil {
		http.Error(rw, "no such session", http.StatusNotFound)
		return
	}
	// The input, and with it the server, may end with the session.
	rw.Header().Set("Content-Length", "0")
	rw.WriteHeader(http.StatusOK)
	if err := http.NewResponseController(rw).Flush(); err != nil {
		w.r.i.log.Debug("publisher does not wait for the end", "err", err)
	}
	s.end(io.EOF)
}

// hasKey reports whether a request shows the key (RFC 6750, section 2.1).
func (w *whipEndpoint) hasKey(req *http.Request) bool {
	scheme, token, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer") && equalSecrets(strings.TrimSpace(token), w.key)
}

// deny tells a publisher why it is refused.
func deny(rw http.ResponseWriter, why error) {
	status := http.StatusInternalServerError
	var unsupported *UnsupportedCodecError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(why, ErrStreamKey):
		rw.Header().Set("WWW-Authenticate", "Bearer")
		status = http.StatusUnauthorized
	case errors.Is(why, ErrBusy):
		status = http.StatusConflict
	case errors.Is(why, errOfferType):
		status = http.StatusUnsupportedMediaType
	case errors.As(why, &tooLarge):
		status = http.StatusRequestEntityTooLarge
	case errors.Is(why, errNoOffer):
		status = http.StatusBadRequest
	case errors.As(why, &unsupported), errors.Is(why, ErrNoTracks), errors.Is(why, ErrPlays):
		status = http.StatusUnprocessableEntity
	}
	http.Error(rw, why.Error(), status)
}
