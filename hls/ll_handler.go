package hls

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// fragmentType is the media type of fragmented MP4 (RFC 8216, section 3.3).
const fragmentType = "video/mp4"

// directives are what a player asks of a playlist (draft-pantos-hls-rfc8216bis, section
// 6.2.5).
type directives struct {
	block bool // until at is there
	at    llPosition
	skip  bool // a delta will do
}

// parseDirectives reads a query. Others' parameters are left alone.
func parseDirectives(q url.Values) (d directives, ok bool) {
	msn, part := q.Get("_HLS_msn"), q.Get("_HLS_part")
	d.at.part = -1
	if msn != "" {
		n, err := strconv.ParseUint(msn, 10, 63)
		if err != nil {
			return d, false
		}
		d.block, d.at.sequence = true, n
	}
	if part != "" {
		n, err := strconv.ParseUint(part, 10, 31)
		if err != nil || !d.block {
			return d, false // a part of no segment
		}
		d.at.part = int(n)
	}
	switch q.Get("_HLS_skip") {
	case "":
	case "YES", "v2": // v2 would leave out date ranges too, of which there are none
		d.skip = true
	default:
		return d, false
	}
	return d, true
}

func (s *Server) serveLL(w http.ResponseWriter, r *http.Request) {
	id, err := stream.ParseID(r.PathValue("stream"))
	name := r.PathValue("rendition")
	if err != nil {
		notFound(w)
		return
	}
	ask, ok := parseDirectives(r.URL.Query())
	if !ok {
		badRequest(w)
		return
	}
	var st *served
	var view *llView
	var text *document // of subtitles
	s.hold(w, r, func() (verdict, time.Duration, []<-chan struct{}) {
		var wake []<-chan struct{}
		var rendition *rendition
		var changed <-chan struct{}
		var v verdict
		if st, rendition, changed, v = s.wanted(id, name); v != found {
			return v, holdPlaylist, []<-chan struct{}{changed}
		}
		var next <-chan struct{}
		if kindOf(rendition.timeline) == stream.KindSubtitles {
			var bound time.Duration
			text, v, bound, wake = st.llText(rendition, ask)
			return v, bound, append(wake, changed)
		}
		view, next = rendition.ll.ask(time.Now())
		if !view.playable() {
			return pending, holdPlaylist, []<-chan struct{}{changed, next}
		}
		if !ask.block {
			return found, 0, nil
		}
		return view.judge(ask.at), holdTargets * view.target, []<-chan struct{}{next}
	}, func() {
		if text != nil {
			cachePlaylist(w, r, 0, false)
			text.ServeHTTP(w, r)
			return
		}
		cachePlaylist(w, r, view.target, ask.block)
		list := view.full
		if ask.skip {
			list = view.delta
		}
		if !view.ended {
			list = slices.Concat(list, renderReports(st.reports(name)))
		}
		newDocument(playlistType, list).ServeHTTP(w, r)
	})
}

// reports says of the other renditions that somebody plays how far they are.
func (s *served) reports(but string) []report {
	var list []report
	for _, r := range s.renditions {
		if r.timeline.Rendition() == but {
			continue
		}
		if v := r.ll.current(); v.playable() {
			list = append(list, report{r.timeline.Rendition(), v.last()})
		}
	}
	return list
}

// serveFile answers for all files of a rendition: MPEG-TS segments, and what a
// low-latency playlist lists.
func (s *Server) serveFile(w http.ResponseWriter, r *http.Request) {
	switch name := r.PathValue("segment"); {
	case strings.HasSuffix(name, llTextSuffix):
		s.serveLLText(w, r)
		return
	case strings.HasSuffix(name, ".ts"), strings.HasSuffix(name, textSuffix):
		s.serveSegment(w, r)
		return
	}
	id, err := stream.ParseID(r.PathValue("stream"))
	if err != nil {
		notFound(w)
		return
	}
	name := r.PathValue("segment")
	var b *body
	s.hold(w, r, func() (verdict, time.Duration, []<-chan struct{}) {
		st, _, _ := s.find(id)
		rendition := st.rendition(r.PathValue("rendition"))
		if rendition == nil || !rendition.ll.current().playable() {
			return unknown, 0, nil // names live as long as their playlist
		}
		s.ask(st, rendition)
		view, next := rendition.ll.ask(time.Now())
		if b = view.pieces[name]; b != nil {
			return found, 0, nil
		}
		return view.judgeName(name), holdTargets * view.target, []<-chan struct{}{next}
	}, func() {
		h := w.Header()
		h.Set("Content-Type", fragmentType)
		h.Set("Cache-Control", cacheForever)
		h.Set("ETag", b.etag)
		s.plays(r, b)
		http.ServeContent(w, r, "", time.Time{}, b.reader())
	})
}

// badRequest answers 400: the player asked for what a playlist cannot have.
func badRequest(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, "no such media sequence number or part", http.StatusBadRequest)
}
