package hls

import (
	"context"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// maxHeld bounds the requests that wait at a time; further ones get 503 at once.
	// A player holds one or two.
	maxHeld = 256
	// holdPlaylist bounds the wait for a stream's first playlist: a new stream of
	// ten second segments has three of them after thirty.
	holdPlaylist = 35 * time.Second
	// holdTargets is the bound of the wait for a segment, in target durations
	// (draft-pantos-hls-rfc8216bis, section 6.2.5.2).
	holdTargets = 3
	// holdSegment is the same before the target duration is known.
	holdSegment = 10 * time.Second
	// retryAfter is told to who waited in vain.
	retryAfter = 2 * time.Second
)

// Handler returns the server's routes, which the package documentation lists. They
// answer while [Server.Run] runs.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	s.streamRoutes(mux, func(h http.HandlerFunc) http.Handler { return s.door.share(s.played(h)) })
	for _, r := range s.apiRoutes() {
		mux.Handle("GET "+r.path, unshared(r.handle))
	}
	s.pageRoutes(mux)
	guarded := s.door.guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, embedPrefix) {
			// As a pattern it would be in conflict with /{stream}/index.m3u8.
			s.serveEmbed(w, r, s.door.framing())
			return
		}
		mux.ServeHTTP(w, r)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.counts.requests.Add(1)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		guarded.ServeHTTP(w, r)
	})
}

// streamRoutes has a mux serve the streams, and share them with pages of other sites.
func (s *Server) streamRoutes(mux *http.ServeMux, share func(http.HandlerFunc) http.Handler) {
	stream := func(pattern string, h http.HandlerFunc) {
		mux.Handle("GET "+pattern, share(s.unsealed(h)))
		mux.Handle("OPTIONS "+pattern, share(preflight))
	}
	stream("/{stream}/index.m3u8", s.serveMultivariant)
	stream("/{stream}/ll.m3u8", s.serveMultivariant)
	stream("/{stream}/dvr.m3u8", s.serveDVRMultivariant)
	stream("/{stream}/{rendition}/index.m3u8", s.serveMedia)
	stream("/{stream}/{rendition}/dvr.m3u8", s.serveDVR)
	stream("/{stream}/{rendition}/ll.m3u8", s.serveLL)
	stream("/{stream}/{rendition}/{segment}", s.serveFile)
}

// pageRoutes has a mux serve the page's files.
func (s *Server) pageRoutes(mux *http.ServeMux) {
	for path := range s.page {
		mux.HandleFunc("GET "+path, s.servePage)
	}
}

// shared lets pages of any origin play the stream: hls.js is dead without.
func shared(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		exposed(h)(w, r)
	})
}

// exposed tells pages that may read an answer's body of its header, too.
func exposed(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Expose-Headers", "Content-Encoding, Content-Length, Content-Range, Date, ETag, Retry-After")
		h(w, r)
	}
}

// unshared has browsers keep an answer from pages of other sites.
func unshared(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ownHeaders(w.Header())
		h(w, r)
	})
}

// preflight answers what browsers ask before requests with headers of their own.
func preflight(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "*")
	h.Set("Access-Control-Max-Age", "86400")
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) serveMultivariant(w http.ResponseWriter, r *http.Request) {
	id, err := stream.ParseID(r.PathValue("stream"))
	if err != nil {
		notFound(w)
		return
	}
	var list []variant
	s.hold(w, r, func() (verdict, time.Duration, []<-chan struct{}) {
		st, changed, _ := s.find(id)
		if st == nil && !s.joined(id) {
			return unknown, 0, nil
		}
		if list = st.variants(); len(list) == 0 {
			return pending, holdPlaylist, []<-chan struct{}{changed}
		}
		return found, 0, nil
	}, func() {
		cachePlaylist(w, r, 0, false)
		newDocument(playlistType, renderMultivariant(list, path.Base(r.URL.Path))).ServeHTTP(w, r)
	})
}

func (s *Server) serveMedia(w http.ResponseWriter, r *http.Request) {
	id, err := stream.ParseID(r.PathValue("stream"))
	name := r.PathValue("rendition")
	if err != nil {
		notFound(w)
		return
	}
	var playlist *document
	var target time.Duration
	s.hold(w, r, func() (verdict, time.Duration, []<-chan struct{}) {
		_, rendition, changed, v := s.wanted(id, name)
		if v != found {
			return v, holdPlaylist, []<-chan struct{}{changed}
		}
		view, next := rendition.current()
		target = view.window.targetDuration()
		if playlist = view.playlist; playlist == nil {
			return pending, holdPlaylist, []<-chan struct{}{changed, next}
		}
		if d := view.worthWait(time.Now()); d > 0 {
			return aging, d, []<-chan struct{}{next}
		}
		return found, 0, nil
	}, func() {
		cachePlaylist(w, r, target, false)
		playlist.ServeHTTP(w, r)
	})
}

func (s *Server) serveSegment(w http.ResponseWriter, r *http.Request) {
	id, err := stream.ParseID(r.PathValue("stream"))
	name := r.PathValue("segment")
	k, ok := parseSegmentName(name)
	if err != nil || !ok {
		notFound(w)
		return
	}
	contentType := segmentType
	if strings.HasSuffix(name, textSuffix) {
		contentType = textType
	}
	if st, _, _ := s.find(id); st != nil {
		if rendition := st.rendition(r.PathValue("rendition")); rendition != nil {
			if nameOf(k, kindOf(rendition.timeline)) != name {
				notFound(w)
				return
			}
			rendition.dvr.ahead(k, time.Now())
		}
	}
	var segment *body
	s.hold(w, r, func() (verdict, time.Duration, []<-chan struct{}) {
		st, _, _ := s.find(id)
		rendition := st.rendition(r.PathValue("rendition"))
		if rendition == nil {
			return unknown, 0, nil
		}
		s.ask(st, rendition)
		// Taken before looking, so that no change falls in between.
		headers, parts := rendition.timeline.Changed(), rendition.store.Changed()
		view, next := rendition.current()
		if segment = rendition.lookup(view, k); segment != nil {
			return found, 0, nil
		}
		if !rendition.coming(view, k) {
			var v verdict
			var changed <-chan struct{}
			segment, v, changed = rendition.dvr.want(k)
			return v, holdPast, []<-chan struct{}{changed}
		}
		bound := holdSegment
		if target := view.window.targetDuration(); target > 0 {
			bound = holdTargets * target
		}
		return pending, bound, []<-chan struct{}{next, headers, parts}
	}, func() {
		h := w.Header()
		h.Set("Content-Type", contentType)
		h.Set("Cache-Control", cacheForever)
		h.Set("ETag", segment.etag)
		s.plays(r, segment)
		http.ServeContent(w, r, "", time.Time{}, segment.reader())
	})
}

// wanted returns a rendition that a player fetches, which is carried from now on if it was
// not. If it is not found, the verdict says whether it may come when changed is closed.
func (s *Server) wanted(id stream.ID, name string) (st *served, r *rendition, changed <-chan struct{}, v verdict) {
	st, changed, _ = s.find(id)
	r = st.rendition(name)
	switch {
	case r != nil:
		s.ask(st, r)
		return st, r, changed, found
	case s.expected(id, name):
		return nil, nil, changed, pending
	default:
		return nil, nil, changed, unknown
	}
}

// ask notes that a player fetches a rendition, and has it carried if it is not.
func (s *Server) ask(st *served, r *rendition) {
	st.demand.ask(r.timeline.Rendition(), time.Now())
	if r.stop == nil {
		s.look()
	}
}

// joined reports whether the node holds a stream that Run may not have noticed yet,
// and makes it notice.
func (s *Server) joined(id stream.ID) bool {
	_, ok := s.ofNode(id)
	if ok {
		s.look()
	}
	return ok
}

// expected reports whether the node holds a rendition that Run may not have noticed yet, or a
// stream of which it knows none yet, and makes it notice.
func (s *Server) expected(id stream.ID, name string) bool {
	st, ok := s.ofNode(id)
	if !ok || st.Sealed() || len(st.Timelines) > 0 && !slices.ContainsFunc(st.Timelines, func(t *stream.Timeline) bool { return t.Rendition() == name }) {
		return false
	}
	s.look()
	return true
}

// ofNode returns a stream as the node holds it.
func (s *Server) ofNode(id stream.ID) (st Stream, ok bool) {
	streams := s.cfg.Node.Streams()
	i := slices.IndexFunc(streams, func(st Stream) bool { return st.ID == id })
	if i < 0 {
		return Stream{}, false
	}
	return streams[i], true
}

// verdict says what became of a request.
type verdict int

const (
	found   verdict = iota
	unknown         // not here, and not coming
	pending         // coming
	aging           // here, and a newer one is coming
	invalid         // what no server can have yet, or ever
)

// waits reports whether to look again is worth it.
func (v verdict) waits() bool { return v == pending || v == aging }

// hold looks, and looks again at each change while the verdict is pending or aging, for
// as long as the first look's bound says. Then it answers: with answer once found or
// aging, else with 404 or 503. The wait ends when the client goes or the server stops.
func (s *Server) hold(w http.ResponseWriter, r *http.Request, look func() (verdict, time.Duration, []<-chan struct{}), answer func()) {
	v, bound, wake := look()
	if v.waits() {
		slots := s.held
		if g := gatewayOf(r); g != nil {
			slots = g.held // so that strangers do not take this machine's own players' room
		}
		select {
		case slots <- struct{}{}:
			v = s.wait(r.Context(), v, bound, wake, look)
			<-slots
		default:
			if v == pending {
				s.counts.refused.Add(1)
			}
		}
	}
	switch v {
	case found, aging:
		answer()
	case unknown:
		s.counts.unknown.Add(1)
		notFound(w)
	case invalid:
		badRequest(w)
	case pending:
		if r.Context().Err() != nil {
			return // nobody is there to be answered
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter/time.Second)))
		http.Error(w, "not here yet", http.StatusServiceUnavailable)
	}
}

// wait is hold's. It returns v if that stays as it is.
func (s *Server) wait(ctx context.Context, v verdict, bound time.Duration, wake []<-chan struct{}, look func() (verdict, time.Duration, []<-chan struct{})) verdict {
	s.counts.held.Add(1)
	s.counts.heldNow.Add(1)
	defer s.counts.heldNow.Add(-1)
	s.mu.Lock()
	stopped := s.stopped
	s.mu.Unlock()
	timeout := time.NewTimer(bound)
	defer timeout.Stop()
	for v.waits() {
		for len(wake) < 3 {
			wake = append(wake, nil) // blocks
		}
		select {
		case <-wake[0]:
		case <-wake[1]:
		case <-wake[2]:
		case <-timeout.C:
			if v == pending {
				s.counts.timedOut.Add(1)
			}
			return v
		case <-ctx.Done():
			s.counts.left.Add(1)
			return v
		case <-stopped:
			return v
		}
		v, _, wake = look()
	}
	return v
}

// notFound answers 404. It must not be cached: what is unknown now may come.
func notFound(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, "no such stream or segment", http.StatusNotFound)
}
