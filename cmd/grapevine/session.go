package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/grapevine-live/grapevine/hls"
	"github.com/grapevine-live/grapevine/hls/record"
	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/heap"
)

// Roles, as events and the page name them.
const (
	roleBroadcast = "broadcast"
	roleWatch     = "watch"
	roleRelay     = "relay"
	roleDemo      = "demo"
)

// statsEvery is how often a running command tells its figures.
const statsEvery = 2 * time.Second

// session is a p2p node and an HLS server that shows it, running.
type session struct {
	role   string
	screen *screen
	log    *slog.Logger
	node   *p2p.Node
	shown  *hlsNode // by the server
	server *hls.Server
	// gateway is nil unless the node serves people who run nothing; gatewayBase is its URL,
	// without the last slash.
	gateway     *hls.Gateway
	gatewayBase string
	// recorder is nil unless the node records.
	recorder *record.Recorder
	opened   openedStreams // private ones
	// keeper is nil in a demo.
	keeper   *keeper
	encoders []encoderSettings // of a broadcaster that listens for RTMP or WHIP
	base     string            // URL of the HTTP server for this machine, without the last slash
	others   []string          // the same for other machines, with the token
	started  time.Time

	// ctx ends with the command's, or when a service failed, with the reason as its cause.
	ctx    context.Context
	parent context.Context // the command's
	fail   context.CancelCauseFunc

	toldEnds map[stream.ID]uint64 // by stream the epoch; of one goroutine at a time

	services context.Context    // until close
	stop     context.CancelFunc // ends the services
	running  sync.WaitGroup
	release  func() error // of the identity
}

// nodeConfig says how to make a session's node.
type nodeConfig struct {
	identity *identity
	listen   []string
	mdns     bool
	upload   int           // bits per second, 0 if not known
	history  time.Duration // how long headers are kept at least
	dht      *p2p.DHT      // nil for none
	memory   p2p.Memory    // nil for none
	revoked  p2p.RevocationKeeper
	// directory has the node keep and pass on the entries of public streams.
	directory bool
	peers     []string // to stay connected to
	mapped    bool     // by the router, if it can
	browsers  bool     // may connect
	relay     *p2p.RelayConfig
	aside     int // bits per second of upload that are the gateway's
	download  int // bits per second, 0 for no bound
	maxPeers  int // 0 for no bound
	allowed   func(stream.ID) bool
	paused    bool                 // at first
	metrics   *prometheus.Registry // nil for none
	reporter  *reporter            // nil for none
}

// startSession starts a node with one of the home's identities and its HLS server.
// The services run on after ctx, until close: a broadcaster has its end to tell.
func startSession(ctx context.Context, role string, set settings, h *home, scr *screen) (*session, error) {
	listener, err := listenHTTP(ctx, set.http)
	if err != nil {
		return nil, err
	}
	id, err := h.identity()
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	door, err := openDoor(set.door, listener, set.http, h)
	if err != nil {
		return nil, errors.Join(err, listener.Close(), id.release())
	}
	log := newLogger(scr, set.level)
	gateway, err := openGateway(ctx, set.gateway, log)
	if err != nil {
		return nil, errors.Join(err, listener.Close(), id.release())
	}
	recorder, err := openRecorder(set.record, scr, log)
	if err != nil {
		return nil, errors.Join(err, listener.Close(), gateway.close(), id.release())
	}
	keeper, err := openKeeper(h, id, set.policy, log)
	if err != nil {
		return nil, errors.Join(err, listener.Close(), gateway.close(), id.release(), closeRecorder(recorder))
	}
	cache, err := openCache(set, scr, log)
	if err != nil {
		return nil, errors.Join(err, listener.Close(), gateway.close(), id.release(), closeRecorder(recorder))
	}
	metrics := newMetrics()
	reporter := &reporter{relay: role == roleRelay}
	reporter.agreed.Store(set.report)
	node, err := startNode(nodeConfig{
		identity:  id,
		listen:    set.listen,
		mdns:      set.mdns,
		upload:    set.upload,
		history:   set.dvr,
		dht:       set.dht,
		memory:    memory{h},
		revoked:   keptRevocations{h},
		directory: set.directory,
		peers:     set.peers,
		mapped:    set.mapped,
		browsers:  set.browsers,
		relay:     set.relay,
		aside:     set.gateway.ofUpload(set.upload),
		download:  set.download,
		maxPeers:  set.maxPeers,
		allowed:   set.policy.Carries,
		paused:    keeper.closed(),
		metrics:   metrics,
		reporter:  reporter,
	}, newStore(set.cache, cache), log)
	if err != nil {
		return nil, errors.Join(err, listener.Close(), gateway.close(), id.release(), closeRecorder(recorder), cache.close())
	}
	keeper.begin(node, time.Now())
	s, err := serveNode(ctx, role, node, serveConfig{listener, door, gateway, recorder, keeper, set.dvr, metrics, reporter}, scr, log)
	if err != nil {
		return nil, errors.Join(err, node.Close(), listener.Close(), gateway.close(), id.release(), closeRecorder(recorder), cache.close())
	}
	s.release = func() error {
		return errors.Join(keeper.end(time.Now()), id.release(), closeRecorder(recorder), cache.close())
	}
	if err := s.startProfiler(s.ctx, set.pprof); err != nil {
		return nil, errors.Join(err, s.close())
	}
	if set.reloader != nil {
		s.followHangups(s.ctx, set.reloader)
	}
	s.running.Go(func() { s.keepAlive(s.ctx) })
	s.running.Go(func() { s.followRevocations(h) })
	heap.Tend(s.ctx, func() int64 { return node.Store().Stats().Bytes })
	h.tell(scr)
	if id.file == "" {
		scr.say("All %d identities of this home are in use; this node has a fresh one.", maxIdentities)
	}
	if node.FellBack() {
		scr.say("Port %d is in use; this node listens on a free one.", p2p.DefaultPort)
	}
	return s, nil
}

func startNode(cfg nodeConfig, store *stream.Store, log *slog.Logger) (*p2p.Node, error) {
	c := p2p.Config{
		Identity:    cfg.identity.key,
		Listen:      cfg.listen,
		Store:       store,
		MDNS:        cfg.mdns,
		DHT:         cfg.dht,
		Memory:      cfg.memory,
		Revocations: cfg.revoked,
		Directory:   cfg.directory,
		Peers:       cfg.peers,
		Relay:       cfg.relay,

		PortMapping: cfg.mapped,
		Browsers:    cfg.browsers,

		History: cfg.history,
		Origins: connectOrigin,
		Logger:  log,

		MaxUpload:   cfg.upload,
		AsideUpload: cfg.aside,
		MaxDownload: cfg.download,
		MaxPeers:    cfg.maxPeers,
		Allowed:     cfg.allowed,
		Paused:      cfg.paused,
	}
	if cfg.reporter != nil {
		c.Report = cfg.reporter.report
	}
	if cfg.metrics != nil { // a nil *Registry is no nil Registerer
		c.Metrics = cfg.metrics
	}
	node, err := p2p.New(c)
	if err != nil {
		return nil, fmt.Errorf("configure node: %w", err)
	}
	if err := node.Start(); err != nil {
		if len(cfg.listen) > 0 {
			err = &addressError{flag: "listen", addr: strings.Join(cfg.listen, ", "), err: err}
		}
		return nil, err
	}
	return node, nil
}

// serveConfig is what a session serves its node by, and what it keeps for it.
type serveConfig struct {
	listener net.Listener
	door     hls.Door
	gateway  *gatewayDoor     // nil for none
	recorder *record.Recorder // nil unless the node records
	keeper   *keeper          // nil in a demo
	dvr      time.Duration
	metrics  *prometheus.Registry
	reporter *reporter // nil in a demo
}

// serveNode runs an HLS server for a started node, which the session owns from then on.
func serveNode(ctx context.Context, role string, node *p2p.Node, by serveConfig, scr *screen, log *slog.Logger) (*session, error) {
	s := &session{role: role, screen: scr, node: node, recorder: by.recorder, keeper: by.keeper, log: log, started: time.Now(), parent: ctx, toldEnds: make(map[stream.ID]uint64)}
	s.base, s.others = doorURLs(by.listener, by.door.Token)
	shown := &hlsNode{node: node, role: role, recorder: by.recorder, keeper: by.keeper, started: s.started, opened: &s.opened, reporter: by.reporter}
	server, err := hls.NewServer(hls.Config{Node: shown, DVR: by.dvr, Directory: listingsOf(node), Door: by.door, Metrics: by.metrics, Logger: log})
	if err != nil {
		return nil, err
	}
	s.shown, s.server = shown, server
	if by.reporter != nil {
		by.reporter.server.Store(server)
	}
	s.release = func() error { return nil }
	s.ctx, s.fail = context.WithCancelCause(ctx)
	services, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.services, s.stop = services, stop
	if err := s.startGateway(services, by.gateway); err != nil {
		stop()
		return nil, err
	}
	for _, service := range []func(context.Context) error{
		server.Run,
		func(ctx context.Context) error { return server.Serve(ctx, by.listener) },
		func(ctx context.Context) error { return recordNode(ctx, by.recorder, shown) },
		s.keep,
	} {
		s.serve(service)
	}
	return s, nil
}

// serve runs a service until the session ends, which its failure ends.
func (s *session) serve(service func(context.Context) error) {
	s.running.Go(func() {
		if err := service(s.services); err != nil && s.services.Err() == nil {
			s.fail(err)
		}
	})
}

// close ends the services and waits for them. Server and node end side by side: each
// has its own grace for those that it serves.
func (s *session) close() error {
	tellManager(daemon.SdNotifyStopping, s.log)
	s.screen.settle()
	s.fail(nil)
	s.stop()
	err := s.node.Close()
	s.running.Wait()
	if releaseErr := s.release(); err == nil {
		err = releaseErr
	}
	if err != nil {
		return fmt.Errorf("end the node: %w", err)
	}
	return nil
}

// why returns what ended the session: nil if it was a signal or the command itself.
func (s *session) why() error {
	if err := context.Cause(s.ctx); err != nil && s.parent.Err() == nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// hlsURL is what players open.
func (s *session) hlsURL(id stream.ID) string { return s.base + "/" + id.String() + "/index.m3u8" }

// dvrURL is what players open to rewind.
func (s *session) dvrURL(id stream.ID) string { return s.base + "/" + id.String() + "/dvr.m3u8" }

// pageURL is what browsers open.
func (s *session) pageURL() string { return s.base + "/" }

// ready tells programs that the node serves.
func (s *session) ready(links ...stream.Link) {
	e := readyEvent{
		Event:  "ready",
		Role:   s.role,
		Page:   s.pageURL(),
		PeerID: s.node.ID().String(),
		Addrs:  s.node.Addrs(),

		BrowserAddrs: s.node.BrowserAddrs(),

		Encoders: s.encoders,
	}
	if s.gateway != nil {
		e.Gateway = s.gatewayBase + "/"
	}
	for _, base := range s.others {
		e.Network = append(e.Network, base+"/")
	}
	for i, l := range links {
		st := streamEvent{l.Stream.String(), l.String(), s.hlsURL(l.Stream)}
		if i == 0 {
			e.Stream, e.Link, e.HLS = st.Stream, st.Link, st.HLS
		}
		if s.role == roleRelay {
			e.Streams = append(e.Streams, st)
		}
	}
	s.screen.event(e)
	tellManager(daemon.SdNotifyReady, s.log)
}

// follow tells figures every few seconds, and the ends of streams, until the session's
// context ends.
func (s *session) follow(line func() string, input func() *inputStats) {
	if input != nil {
		s.shown.input.Store(&input)
	}
	ticker := time.NewTicker(statsEvery)
	defer ticker.Stop()
	defer s.tellEnds() // what came with the last moment
	for {
		s.tellEnds()
		text := line()
		s.screen.show(text, false)
		tellManager("STATUS="+text, s.log)
		s.screen.event(s.stats())
		select {
		case <-s.ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// tellEnds tells each end of a stream once.
func (s *session) tellEnds() {
	swarms := s.node.Swarms()
	maps.DeleteFunc(s.toldEnds, func(id stream.ID, _ uint64) bool {
		return !slices.ContainsFunc(swarms, func(sw *p2p.Swarm) bool { return sw.ID() == id }) // it was left
	})
	for _, sw := range swarms {
		epoch, ended := endedEpoch(sw)
		if !ended || s.toldEnds[sw.ID()] == epoch {
			continue
		}
		s.toldEnds[sw.ID()] = epoch
		s.screen.event(endEvent{"end", sw.ID().String(), epoch})
		if s.role != roleBroadcast {
			s.screen.say("The stream %s has ended. What is here is served until you press ctrl-c; if it comes back, this goes on.", sw.ID().Short())
		}
	}
}

// endedEpoch returns the newest epoch of a swarm, and whether it has ended.
func endedEpoch(sw *p2p.Swarm) (uint64, bool) {
	var epoch uint64
	ended := false
	for _, t := range sw.Timelines() {
		if h := t.Newest(); h != nil && h.Epoch >= epoch {
			epoch, ended = h.Epoch, h.End
		}
	}
	return epoch, ended
}

func (s *session) stats() statsEvent {
	f := s.server.Figures(time.Now())
	e := statsEvent{
		Event:       "stats",
		Role:        f.Role,
		Uptime:      f.Uptime,
		Connections: f.Connections,
		BytesIn:     f.BytesIn,
		BytesOut:    f.BytesOut,
		RateIn:      f.RateIn,
		RateOut:     f.RateOut,
		Upload:      uploadStats{Bound: f.UploadBound, Known: f.UploadKnown},
		Fetches:     fetchStats{Bytes: f.BytesFetched, Refused: f.FetchesRefused, Again: f.FetchesAgain},
		DHTPeers:    f.DHTPeers,
		StoreBytes:  f.Store.Bytes,
		Disk:        f.Store.Disk,
		Input:       f.Input,
		Gateway:     f.Gateway,
		Limits:      f.Limits,
		Recordings:  f.Recordings,
		Streams:     []streamStats{},
	}
	ended := make(map[stream.ID]bool)
	for _, sw := range s.node.Swarms() {
		_, ended[sw.ID()] = endedEpoch(sw)
	}
	for _, st := range f.Streams {
		out := newStreamStats(st)
		out.Ended = ended[st.ID]
		e.Streams = append(e.Streams, out)
	}
	return e
}

// listenHTTP binds the address of --http.
func listenHTTP(ctx context.Context, addr string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, &addressError{flag: "http", addr: addr, err: err}
	}
	return l, nil
}

// baseURL returns the URL of a listener for this machine's own players.
func baseURL(addr net.Addr) string {
	a := *addr.(*net.TCPAddr)
	if a.IP.IsUnspecified() || len(a.IP) == 0 {
		a.IP = net.IPv4(127, 0, 0, 1)
	}
	return "http://" + a.String()
}

// newLogger logs to the screen's standard error.
func newLogger(scr *screen, level *slog.Level) *slog.Logger {
	scr.setLevel(level)
	log := slog.New(slog.NewTextHandler(scr, &slog.HandlerOptions{Level: &scr.level}))
	// Libraries that use package log, such as quic-go, go the same way.
	slog.SetDefault(log)
	routeLibraries(log.Handler())
	return log
}
