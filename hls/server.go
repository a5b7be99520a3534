package hls

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/grapevine-live/grapevine/hls/cue"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	// rescanEvery is how soon a stream that the node joined, or a rendition that a
	// stream got, is noticed without being asked for.
	rescanEvery = 250 * time.Millisecond
	// shutdownGrace is how long answers under way may take once the server stops.
	shutdownGrace = 2 * time.Second
	// maxConns bounds the connections of [Server.Serve], and maxConnsPerAddr those of each
	// other machine: some players keep several open, and a node serves its own machine or
	// a household.
	maxConns        = 1024
	maxConnsPerAddr = 128
	// writeTimeout bounds one answer, hold included: a client that stopped reading
	// must not keep its segment pinned.
	writeTimeout = 2 * time.Minute
)

// Node is what the server needs of the node that it serves.
type Node interface {
	// Streams returns the streams in the order in which they were joined.
	Streams() []Stream
	// Status returns the node's figures. It is asked about once a second per viewer
	// of the page.
	Status() Status
}

// Stream is a stream that the node holds.
type Stream struct {
	ID        stream.ID
	Link      string             // to share
	Timelines []*stream.Timeline // one per rendition
	Store     *stream.Store
	// Private says that the stream is sealed: it is shown on this machine only, and on no
	// gateway. Opened is what is shown then; without it nothing is.
	Private bool
	Opened  Store
	// Keys are timelines of what is not for players, for nodes that ask the gateway.
	Keys []*stream.Timeline
	Past Past // nil if there is nothing but the store
	// Carry has the node hold these renditions and no others: those that players fetch.
	// It is called by one goroutine at a time. Nil means that it holds all.
	Carry func(names []string) error
}

// Config configures a [Server].
type Config struct {
	// Node is required.
	Node Node
	// Window is how many segments a live playlist lists, from [MinWindow] to
	// [MaxWindow]; 0 means five, or six with a target duration of 1 s.
	Window int
	// DVR is how long the playlist is that rewinds, up to [MaxDVR]; 0 means as many
	// segments as the store could hold.
	DVR time.Duration
	// Directory returns the public streams that the page lists as on air; nil means none.
	Directory func() []Listing
	// Door says whom the server answers, besides who is on this machine.
	Door Door
	// Metrics is what /metrics answers. The server adds its own, of all its figures; nil means
	// those alone.
	Metrics *prometheus.Registry
	// Logger gets what an operator wants to know; nil means none.
	Logger *slog.Logger
}

// Server serves a node's streams over HTTP. It is safe for concurrent use.
type Server struct {
	cfg    Config
	log    *slog.Logger
	page   map[string]*document
	rescan chan struct{} // asks Run to look for new streams at once
	held   chan struct{} // a slot per held request
	counts counters
	door   *door

	embedded *document // the page's player alone
	gateway  atomic.Pointer[Gateway]

	mu      sync.Mutex // guards all following
	streams map[stream.ID]*served
	changed chan struct{}   // closed when streams changes, or a rendition becomes playable
	stopped <-chan struct{} // closed when Run ends; nil, which blocks, before it runs
}

// served is a stream with its followers. It is immutable but for the demand, the players and the
// clock.
type served struct {
	private    bool         // no gateway shows it
	sealed     bool         // nor does this node
	renditions []*rendition // in the stream's order
	demand     *demand
	players    *audience
	plays      *playbacks
	clock      *llClock
	counted    counted
	ranges     *cue.Ranges
	progress   *progress // scan's
}

// counted is how far playlists came of renditions that do not run any more, or are gone:
// numbers never fall, and are never used again (RFC 8216, section 6.2.2).
type counted struct {
	live, ll, dvr uint64            // discontinuity sequence numbers
	sequences     map[string]uint64 // where the playlist that rewinds goes on, by rendition
}

// note notes how far a rendition has come.
func (c *counted) note(r *rendition) {
	live, _ := r.current()
	list := r.dvr.current().list
	c.live = max(c.live, live.window.marks())
	c.ll = max(c.ll, r.ll.current().window.marks())
	c.dvr = max(c.dvr, list.marks())
	next := maps.Clone(c.sequences)
	if next == nil {
		next = make(map[string]uint64)
	}
	name := r.timeline.Rendition()
	next[name] = max(next[name], list.sequence)
	c.sequences = next
}

// rendition is a rendition's followers, which run while it is carried.
type rendition struct {
	*follower
	ll   *llFollower
	dvr  *dvr
	stop context.CancelFunc // nil if they do not run
	gone atomic.Bool        // others go on without it
}

func (s *served) rendition(name string) *rendition {
	if s == nil {
		return nil
	}
	for _, r := range s.renditions {
		if r.timeline.Rendition() == name {
			return r
		}
	}
	return nil
}

// NewServer checks cfg and returns a server. It starts nothing.
func NewServer(cfg Config) (*Server, error) {
	if cfg.Node == nil {
		return nil, errors.New("hls: no node to serve")
	}
	if cfg.Window != 0 && cfg.Window < MinWindow || cfg.Window > MaxWindow {
		return nil, fmt.Errorf("hls: window of %d segments, want %d to %d", cfg.Window, MinWindow, MaxWindow)
	}
	if cfg.DVR < 0 || cfg.DVR > MaxDVR {
		return nil, fmt.Errorf("hls: rewinding by %v, want at most %v", cfg.DVR, MaxDVR)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	door, err := newDoor(cfg.Door)
	if err != nil {
		return nil, fmt.Errorf("hls: door: %w", err)
	}
	page, embedded, err := loadPage()
	if err != nil {
		return nil, fmt.Errorf("hls: load page: %w", err)
	}
	if cfg.Metrics == nil {
		cfg.Metrics = prometheus.NewRegistry()
	}
	s := &Server{
		cfg:     cfg,
		log:     cfg.Logger,
		page:    page,
		door:    door,
		rescan:  make(chan struct{}, 1),
		held:    make(chan struct{}, maxHeld),
		streams: make(map[stream.ID]*served),
		changed: make(chan struct{}),

		embedded: embedded,
	}
	if err := cfg.Metrics.Register(collector{func() Figures { return s.Figures(time.Now()) }}); err != nil {
		return nil, fmt.Errorf("hls: register metrics: %w", err)
	}
	return s, nil
}

// Run follows the node's streams until ctx ends, and returns when all that it
// started has ended. Requests that are held then end. It is to be called once.
func (s *Server) Run(ctx context.Context) error {
	s.mu.Lock()
	s.stopped = ctx.Done()
	s.mu.Unlock()

	var running sync.WaitGroup
	defer running.Wait()
	ticker := time.NewTicker(rescanEvery)
	defer ticker.Stop()
	for {
		s.scan(ctx, &running)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-s.rescan:
		}
	}
}

// scan starts followers for what is new, or carried now, and stops those of what is
// gone, or carried no more.
func (s *Server) scan(ctx context.Context, running *sync.WaitGroup) {
	s.mu.Lock()
	defer s.mu.Unlock()
	streams := make(map[stream.ID]*served)
	changed := false
	for _, st := range s.cfg.Node.Streams() {
		old := s.streams[st.ID]
		next := &served{private: st.Private, sealed: st.Sealed()}
		if next.sealed {
			st.Timelines = nil // nothing follows what cannot be read
		}
		store := st.Shown()
		if old == nil {
			next.demand, next.clock, next.ranges = newDemand(st.Carry, s.log.With("stream", st.ID.Short())), new(llClock), &cue.Ranges{}
			next.progress, next.players, next.plays = new(progress), newAudience(), newPlaybacks()
		} else {
			next.demand, next.clock, next.counted, next.ranges = old.demand, old.clock, old.counted, old.ranges
			next.progress, next.players, next.plays = old.progress, old.players, old.plays
		}
		next.clock.share(slices.ContainsFunc(st.Timelines, func(t *stream.Timeline) bool { return kindOf(t) != stream.KindMain }))
		now := time.Now()
		next.progress.look(st.Timelines, now)
		gone := next.progress.gone(st.Timelines, now)
		carried := next.demand.wanted(st.Timelines, gone, now)
		for _, t := range st.Timelines {
			r := old.rendition(t.Rendition())
			runs := slices.Contains(carried, t.Rendition())
			if r == nil || r.timeline != t || r.store != store || runs != (r.stop != nil) {
				r = s.newRendition(st, t, next.ranges)
				r.ll.clock = next.clock
				if runs {
					r.start(ctx, running)
				}
				changed = true
			}
			changed = r.leave(slices.Contains(gone, t.Rendition())) || changed
			next.renditions = append(next.renditions, r)
		}
		if next.demand.changed(carried) {
			running.Go(next.demand.tell)
		}
		streams[st.ID] = next
		changed = changed || old == nil
	}
	for id, old := range s.streams {
		for _, r := range old.renditions {
			if kept := streams[id]; kept == nil || !slices.Contains(kept.renditions, r) {
				if kept != nil {
					kept.counted.note(r)
				}
				if r.stop != nil {
					r.stop()
				}
				changed = true
			}
		}
	}
	s.streams = streams
	if changed {
		s.notifyLocked()
	}
}

func (s *Server) newRendition(st Stream, t *stream.Timeline, ranges *cue.Ranges) *rendition {
	log := s.log.With("stream", st.ID.Short())
	live := newFollower(t, st.Shown(), s.cfg.Window, log, s.notify)
	r := &rendition{
		follower: live,
		ll:       newLLFollower(t, st.Shown(), s.cfg.Window, log),
		dvr:      newDVR(live, st.Past, s.cfg.DVR, log),
	}
	live.cues.ranges, r.ll.cues.ranges = ranges, ranges
	r.ll.over = live.over
	r.align = func(first key) (uint64, int) {
		served, _, _ := s.find(st.ID)
		return served.align(t, first, served.before().live, func(r *rendition) window { v, _ := r.current(); return v.window })
	}
	r.ll.align = func(first key) (uint64, int) {
		served, _, _ := s.find(st.ID)
		return served.align(t, first, served.before().ll, func(r *rendition) window { return r.ll.current().window })
	}
	r.ll.parts = func() time.Duration {
		served, _, _ := s.find(st.ID)
		return served.partTarget(t)
	}
	// Holes of the past are each rendition's own: there is nothing to be aligned with.
	r.dvr.goOn = func() (sequence, discontinuity uint64) {
		served, _, _ := s.find(st.ID)
		before := served.before()
		return before.sequences[t.Rendition()], before.dvr
	}
	return r
}

// start runs a rendition's followers until ctx ends or it is stopped.
func (r *rendition) start(ctx context.Context, running *sync.WaitGroup) {
	ctx, r.stop = context.WithCancel(ctx)
	running.Go(func() { r.run(ctx) })
	running.Go(func() { r.ll.run(ctx) })
	running.Go(func() { r.dvr.run(ctx) })
}

// align returns the discontinuity sequence with which a playlist that begins with a
// segment continues those of the other renditions, and their target duration, so that
// players find their way from one to the other (RFC 8216, section 6.2.4). If nobody plays
// those, the sequence is no less than where they will go on, and the target what is known of
// all calls for: several may begin at once. The sequence is no less than before, how far
// those came that do not run any more.
func (s *served) align(t *stream.Timeline, first key, before uint64, of func(*rendition) window) (discontinuity uint64, target int) {
	if s == nil {
		return before, 0
	}
	idle := before
	for _, r := range s.renditions {
		if kindOf(r.timeline) != stream.KindSubtitles { // they may have their own
			target = max(target, targetFor(longest(lastEpoch(r.timeline))))
		}
		if r.timeline == t {
			continue
		}
		w := of(r)
		n, ok := w.discontinuityAt(first)
		if ok {
			return max(n, before), w.target
		}
		idle = max(idle, n)
	}
	return idle, target
}

// partTarget returns the part target of the other renditions that somebody plays, and if
// nobody does, what is known of all calls for: players stay as far behind in each. A playlist
// raises it if it lists a longer part.
func (s *served) partTarget(t *stream.Timeline) time.Duration {
	if s == nil {
		return 0
	}
	var played, known time.Duration
	for _, r := range s.renditions {
		if kindOf(r.timeline) == stream.KindSubtitles {
			continue // they are not cut into parts
		}
		known = max(known, longestPart(lastEpoch(r.timeline)))
		if r.timeline != t {
			played = max(played, r.ll.current().partTarget)
		}
	}
	return cmp.Or(played, partTargetOf(known))
}

// before is how far renditions came that do not run any more.
func (s *served) before() counted {
	if s == nil {
		return counted{}
	}
	return s.counted
}

// notify wakes those who wait for a stream, or for it to become playable.
func (s *Server) notify() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notifyLocked()
}

func (s *Server) notifyLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// find returns a stream, nil if the node does not hold it, a channel that is closed
// when the streams change or one becomes playable, and one that is closed when the
// server stops.
func (s *Server) find(id stream.ID) (st *served, changed, stopped <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.streams[id], s.changed, s.stopped
}

// look makes Run look for new streams soon.
func (s *Server) look() {
	select {
	case s.rescan <- struct{}{}:
	default: // it will
	}
}

// WaitPlayable waits until the stream's playlist can be answered, or until ctx
// ends or the server stops. The node may join the stream later.
func (s *Server) WaitPlayable(ctx context.Context, id stream.ID) error {
	s.look()
	for {
		st, streams, stopped := s.find(id)
		if len(st.variants()) > 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for a playlist of %s: %w", id.Short(), context.Cause(ctx))
		case <-stopped:
			return fmt.Errorf("wait for a playlist of %s: %w", id.Short(), errStopped)
		case <-streams:
		}
	}
}

var errStopped = errors.New("the server has stopped")

// Buffer returns how much of the stream is listed: the least of its renditions that
// list any, 0 if none does.
func (s *Server) Buffer(id stream.ID) time.Duration {
	st, _, _ := s.find(id)
	if st == nil {
		return 0
	}
	var least time.Duration
	for _, r := range st.renditions {
		v, _ := r.current()
		if d := v.window.duration(); d > 0 && !r.gone.Load() && (least == 0 || d < least) {
			least = d
		}
	}
	return least
}

// variants describes the renditions that can be played and go on, which is none until a main
// one is carried and can be.
func (s *served) variants() []variant {
	if s == nil {
		return nil
	}
	var list []variant
	playable := false
	for _, r := range s.renditions {
		v, _ := r.current()
		switch {
		case r.gone.Load():
		case v.playable():
			entries := v.window.entries
			playable = playable || entries[len(entries)-1].media.Kind == stream.KindMain
			list = append(list, variant{
				rendition: r.timeline.Rendition(),
				media:     entries[len(entries)-1].media,
				peak:      v.window.peak,
				average:   v.window.average(),
			})
		default: // it is when somebody asks, or in a moment, as when a stream begins
			if v := describe(r.timeline); v.average > 0 {
				list = append(list, v)
			}
		}
	}
	if !playable {
		return nil
	}
	return list
}

// Serve answers requests on l until ctx ends, and returns within two seconds of
// that with nil, or at once with the error that stopped it. It closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	return s.serve(ctx, limitListener(l, newRoom(maxConns, maxConnsPerAddr, &s.counts.room)), s.Handler(), nil)
}

// serve answers requests with a handler, by HTTPS if secure is not nil.
func (s *Server) serve(ctx context.Context, l net.Listener, h http.Handler, secure *tls.Config) error {
	server := &http.Server{
		Handler:           h,
		TLSConfig:         secure,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		WriteTimeout:      writeTimeout,
		MaxHeaderBytes:    32 << 10,
		ConnState:         connState,
		// Requests that are held end with ctx.
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	var zipping sync.WaitGroup
	defer zipping.Wait()
	zipping.Go(func() { s.zipPage(ctx) })
	failed := make(chan error, 1)
	go func() {
		if secure != nil {
			failed <- server.ServeTLS(l, "", "") // the configuration has the certificate
		} else {
			failed <- server.Serve(l)
		}
	}()
	select {
	case err := <-failed:
		return fmt.Errorf("serve HTTP on %v: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		s.log.Debug("answers cut off", "err", err)
		_ = server.Close() // a player that is slower than the grace
	}
	<-failed
	return nil
}
