package hls

import (
	"net/http"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

func (s *Server) serveDVRMultivariant(w http.ResponseWriter, r *http.Request) {
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
		var wait <-chan struct{}
		list, wait = st.dvrVariants(time.Now())
		if wait != nil || len(list) == 0 {
			return pending, holdPlaylist, []<-chan struct{}{changed, wait}
		}
		return found, 0, nil
	}, func() {
		cachePlaylist(w, r, 0, false)
		newDocument(playlistType, renderMultivariant(list, "dvr.m3u8")).ServeHTTP(w, r)
	})
}

// dvrVariants describes the renditions that can be played, once each of their playlists
// that rewind has begun; until then it returns a channel to wait for.
func (s *served) dvrVariants(now time.Time) (list []variant, wait <-chan struct{}) {
	if s == nil {
		return nil, nil
	}
	var idle []variant
	for _, r := range s.renditions {
		v, changed := r.dvr.ask(now)
		live, _ := r.current()
		switch {
		case r.gone.Load():
		case v.playable():
			l := &v.list
			list = append(list, variant{
				rendition: r.timeline.Rendition(),
				media:     l.entries[len(l.entries)-1].media,
				peak:      l.peak,
				average:   bitrate(l.size, l.duration()),
			})
		case live.playable():
			wait = changed
		default: // not carried, or not for long
			if v := describe(r.timeline); v.average > 0 {
				idle = append(idle, v)
			}
		}
	}
	if len(list) == 0 {
		return nil, wait
	}
	return append(list, idle...), wait
}

func (s *Server) serveDVR(w http.ResponseWriter, r *http.Request) {
	id, err := stream.ParseID(r.PathValue("stream"))
	name := r.PathValue("rendition")
	if err != nil {
		notFound(w)
		return
	}
	var view *dvrView
	s.hold(w, r, func() (verdict, time.Duration, []<-chan struct{}) {
		_, rendition, changed, v := s.wanted(id, name)
		if v != found {
			return v, holdPlaylist, []<-chan struct{}{changed}
		}
		var next <-chan struct{}
		view, next = rendition.dvr.ask(time.Now())
		if !view.playable() {
			return pending, holdPlaylist, []<-chan struct{}{changed, next}
		}
		return found, 0, nil
	}, func() {
		playlist, err := view.playlist()
		if err != nil {
			s.log.Error("render playlist that rewinds", "rendition", name, "err", err)
			http.Error(w, "playlist unavailable", http.StatusInternalServerError)
			return
		}
		cachePlaylist(w, r, 0, false)
		playlist.ServeHTTP(w, r)
	})
}
