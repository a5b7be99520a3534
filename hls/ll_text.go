package hls

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/webvtt"
)

// llText returns the playlist of subtitles that are shown with low-latency playlists: that
// of whole segments, with the others' discontinuity sequence numbers, which say how its
// cues' times are to be read. Until one of the others is played it is pending.
func (s *served) llText(r *rendition) (playlist *document, v verdict, wake []<-chan struct{}) {
	view, next := r.current()
	wake = append(wake, next)
	if !view.playable() {
		return nil, pending, wake
	}
	entries := view.window.entries
	for _, o := range s.renditions {
		if kindOf(o.timeline) != stream.KindMain {
			continue
		}
		ll, changed := o.ll.watch()
		discontinuity, ok := ll.window.discontinuityAt(entries[0].key)
		if !ok {
			if o.stop != nil && len(wake) == 1 { // one of them is played soon
				wake = append(wake, changed)
			}
			continue
		}
		m := view.window.media(nil)
		m.Discontinuity = discontinuity
		if entries[0].discontinuity && discontinuity > 0 {
			m.Discontinuity-- // it is before its own mark
		}
		for i, e := range entries {
			m.Segments[i].Name = strings.TrimSuffix(textName(e.key), textSuffix) + llTextSuffix
		}
		text, err := m.Render()
		if err != nil {
			return nil, unknown, nil
		}
		return newDocument(playlistType, text), found, nil
	}
	return nil, pending, wake
}

// serveLLText answers for a segment of subtitles that llText lists: its cues are moved to
// where the pictures of fragmented MP4 are.
func (s *Server) serveLLText(w http.ResponseWriter, r *http.Request) {
	id, err := stream.ParseID(r.PathValue("stream"))
	name := r.PathValue("segment")
	k, ok := parseSegmentName(strings.TrimSuffix(name, llTextSuffix) + textSuffix)
	st, _, _ := s.find(id)
	rendition := st.rendition(r.PathValue("rendition"))
	if err != nil || !ok || rendition == nil || kindOf(rendition.timeline) != stream.KindSubtitles {
		notFound(w)
		return
	}
	s.ask(st, rendition)
	view, _ := rendition.current()
	segment := rendition.lookup(view, k)
	if segment == nil {
		s.counts.unknown.Add(1)
		notFound(w) // only what is whole is listed
		return
	}
	shifted := newPiece(name, webvtt.Shift(slices.Concat(segment.chunks...), st.clock.at(k)))
	h := w.Header()
	h.Set("Content-Type", textType)
	h.Set("Cache-Control", cacheForever)
	h.Set("ETag", shifted.etag)
	http.ServeContent(w, r, "", time.Time{}, shifted.reader())
}
