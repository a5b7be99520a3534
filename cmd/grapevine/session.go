package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

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
	node   *p2p.Node
	server *hls.Server
	// gateway is nil unless the node serves people who run nothing; gatewayBase is its URL,
	// without the last slash.
	gateway     *hls.Gateway
	gatewayBase string
	// recorder is nil unless the node records.
	recorder *record.Recorder
	encoders []encoderSettings // of a broadcaster that listens for RTMP or WHIP
	base     string            // URL of the HTTP server, without the last slash
	started  time.Time

	// ctx ends with the command's, or when a service failed, with the reason as its cause.
	ctx    context.Context
	parent context.Context // the command's
	fail   context.CancelCauseFunc

	toldEnds map[stream.ID]uint64 // by stream the epoch; of one goroutine at a time

	stop    context.CancelFunc // ends the services
	running sync.WaitGroup
	release func() error // of the identity
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
	// directory has the node keep and pass on the entries of public streams.
	directory bool
	peers     []string // to stay connected to
	mapped    bool     // by the router, if it can
	relay     *p2p.RelayConfig
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
	log := newLogger(scr, set.level)
	gateway, err := openGateway(ctx, set.gateway, log)
	if err != nil {
		return nil, errors.Join(err, listener.Close(), id.release())
	}
	recorder, err := openRecorder(set.record, scr, log)
	if err != nil {
		return nil, errors.Join(err, listener.Close(), gateway.close(), id.release())
	}
	node, err := startNode(nodeConfig{
		identity:  id,
		listen:    set.listen,
		mdns:      set.mdns,
		upload:    set.upload,
		history:   set.dvr,
		dht:       set.dht,
		memory:    memory{h},
		directory: set.directory,
		peers:     set.peers,
		mapped:    set.mapped,
		relay:     set.relay,
	}, set.cache, log)
	if err != nil {
		return nil, errors.Join(err, listener.Close(), gateway.close(), id.release(), closeRecorder(recorder))
	}
	s, err := serveNode(ctx, role, node, listener, gateway, recorder, set.dvr, scr, log)
	if err != nil {
		return nil, errors.Join(err, node.Close(), listener.Close(), gateway.close(), id.release(), closeRecorder(recorder))
	}
	s.release = func() error { return errors.Join(id.release(), closeRecorder(recorder)) }
	heap.Tend(s.ctx, func() int64 { return node.Store().Stats().Bytes })
	if id.file == "" {
		scr.say("All %d identities of this home are in use; this node has a fresh one.", maxIdentities)
	}
	if node.FellBack() {
		scr.say("Port %d is in use; this node listens on a free one.", p2p.DefaultPort)
	}
	return s, nil
}

func startNode(cfg nodeConfig, cache int64, log *slog.Logger) (*p2p.Node, error) {
	node, err := p2p.New(p2p.Config{
		Identity:  cfg.identity.key,
		Listen:    cfg.listen,
		Store:     stream.NewStore(cache),
		MDNS:      cfg.mdns,
		DHT:       cfg.dht,
		Memory:    cfg.memory,
		Directory: cfg.directory,
		Peers:     cfg.peers,
		Relay:     cfg.relay,

		PortMapping: cfg.mapped,

		MaxUpload: cfg.upload,
		History:   cfg.history,
		Origins:   connectOrigin,
		Logger:    log,
	})
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

// serveNode runs an HLS server for a started node, which the session owns from then on.
func serveNode(ctx context.Context, role string, node *p2p.Node, l net.Listener, gateway *gatewayDoor, recorder *record.Recorder, dvr time.Duration, scr *screen, log *slog.Logger) (*session, error) {
	s := &session{role: role, screen: scr, node: node, recorder: recorder, base: baseURL(l.Addr()), started: time.Now(), parent: ctx, toldEnds: make(map[stream.ID]uint64)}
	shown := &hlsNode{node: node, role: role, recorder: recorder}
	server, err := hls.NewServer(hls.Config{Node: shown, DVR: dvr, Directory: listingsOf(node), Logger: log})
	if err != nil {
		return nil, err
	}
	s.server = server
	s.release = func() error { return nil }
	s.ctx, s.fail = context.WithCancelCause(ctx)
	services, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	if err := s.startGateway(services, gateway); err != nil {
		stop()
		return nil, err
	}
	for _, service := range []func() error{
		func() error { return server.Run(services) },
		func() error { return server.Serve(services, l) },
		func() error { return recordNode(services, recorder, shown) },
	} {
		s.running.Go(func() {
			if err := service(); err != nil && services.Err() == nil {
				s.fail(err)
			}
		})
	}
	return s, nil
}

// close ends the services and waits for them. Server and node end side by side: each
// has its own grace for those that it serves.
func (s *session) close() error {
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

// showUpload says what the node was told to send at most.
func (s *session) showUpload(set settings) {
	if set.upload > 0 {
		s.screen.field("upload", "at most "+formatRate(float64(set.upload)))
	}
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

		Encoders: s.encoders,
	}
	if s.gateway != nil {
		e.Gateway = s.gatewayBase + "/"
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
}

// follow tells figures every few seconds, and the ends of streams, until the session's
// context ends.
func (s *session) follow(line func() string, input func() *inputStats) {
	ticker := time.NewTicker(statsEvery)
	defer ticker.Stop()
	defer s.tellEnds() // what came with the last moment
	for {
		s.tellEnds()
		s.screen.show(line(), false)
		s.screen.event(s.stats(input))
		select {
		case <-s.ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// tellEnds tells each end of a stream once.
func (s *session) tellEnds() {
	for _, sw := range s.node.Swarms() {
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

func (s *session) stats(input func() *inputStats) statsEvent {
	n := s.node.Stats()
	e := statsEvent{
		Event:       "stats",
		Role:        s.role,
		Uptime:      time.Since(s.started).Seconds(),
		Connections: n.Connections,
		BytesIn:     n.BytesIn,
		BytesOut:    n.BytesOut,
		RateIn:      n.RateIn,
		RateOut:     n.RateOut,
		Upload:      uploadStats{Bound: n.UploadBound, Known: n.UploadKnown},
		Fetches:     fetchStats{Bytes: n.BytesFetched, Refused: n.FetchesRefused, Again: n.FetchesAgain},
		DHTPeers:    n.DHTPeers,
		StoreBytes:  s.node.Store().Stats().Bytes,
		Streams:     []streamStats{},
	}
	if s.recorder != nil {
		e.Recordings = s.recorder.Status()
	}
	if s.gateway != nil {
		st := s.gateway.Status()
		e.Gateway = &st
	}
	if input != nil {
		e.Input = input()
	}
	for _, sw := range s.node.Swarms() {
		st := newStreamStats(sw.ID(), sw.Stats())
		st.Buffer = s.server.Buffer(sw.ID()).Seconds()
		_, st.Ended = endedEpoch(sw)
		e.Streams = append(e.Streams, st)
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
	options := &slog.HandlerOptions{Level: slog.LevelInfo}
	if f, ok := scr.err.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		options.Level = slog.LevelWarn
	}
	if level != nil {
		options.Level = *level
	}
	log := slog.New(slog.NewTextHandler(scr, options))
	// Libraries that use package log, such as quic-go, go the same way.
	slog.SetDefault(log)
	return log
}
