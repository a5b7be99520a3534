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
// of whole segments, with the others' discontinuities, which say how its cues' times are to
// be read. Until one of the others is played it is pending, and until it has what a player
// asks for.
func (s *served) llText(r *rendition, ask directives) (playlist *document, v verdict, bound time.Duration, wake []<-chan struct{}) {
	view, next := r.current()
	wake = append(wake, next)
	if !view.playable() {
		return nil, pending, holdPlaylist, wake
	}
	pictures, changed := s.playedLL()
	if changed != nil {
		wake = append(wake, changed)
	}
	if pictures == nil {
		return nil, pending, holdPlaylist, wake
	}
	m := view.window.llText(pictures)
	if len(m.Segments) == 0 {
		return nil, pending, holdPlaylist, wake // they are of an epoch before
	}
	if ask.block {
		if v := m.judge(ask.at); v != found {
			return nil, v, holdTargets * view.window.targetDuration(), wake
		}
	}
	text, err := m.Render()
	if err != nil {
		return nil, unknown, 0, nil
	}
	return newDocument(playlistType, text), found, 0, nil
}

// playedLL returns what the low-latency playlist of a main rendition lists that somebody
// plays, nil if nobody does, and a channel that is closed when that, or the first that may
// soon be played, changes.
func (s *served) playedLL() (pictures *window, changed <-chan struct{}) {
	for _, o := range s.renditions {
		if kindOf(o.timeline) != stream.KindMain {
			continue
		}
		view, news := o.ll.watch()
		if len(view.window.entries) > 0 {
			return &view.window, news
		}
		if o.stop != nil && changed == nil {
			changed = news
		}
	}
	return nil, changed
}

// judge says of a blocking reload whether a playlist of subtitles has what it asks for. They
// have no parts: a segment of them is there as a whole.
func (m *MediaPlaylist) judge(at llPosition) verdict {
	next := m.Sequence + uint64(len(m.Segments))
	switch {
	case m.Ended || at.sequence < next:
		return found
	case at.sequence > next+1:
		return invalid // see llView.judge
	}
	return pending
}

// llText returns the playlist of subtitles for who plays the low-latency playlist of
// pictures. It has the discontinuities of those and no others: players read cues' times by
// the pictures' of the same discontinuity sequence number, and wait for ever if there are
// none, as after a hole that the subtitles alone have. What is before all pictures, or after
// them, is left out.
func (w *window) llText(pictures *window) *MediaPlaylist {
	m := w.media(nil)
	m.Blocks = true
	var marks uint64 // so far
	first, last := 0, len(w.entries)
	for first < last && w.entries[first].less(pictures.entries[0].key) {
		first++
	}
	for newest := pictures.entries[len(pictures.entries)-1]; first < last && newest.less(w.entries[last-1].key); m.Ended = false {
		last--
	}
	m.Segments = m.Segments[first:last]
	m.Sequence += uint64(first)
	for i, e := range w.entries[first:last] {
		if i == 0 {
			m.Discontinuity = pictures.discontinuityBefore(e.key)
			marks = m.Discontinuity
		}
		at, _ := pictures.discontinuityAt(e.key)
		m.Segments[i].Name = strings.TrimSuffix(textName(e.key), textSuffix) + llTextSuffix
		if m.Segments[i].Discontinuity = at > marks; at > marks {
			marks++
		}
	}
	return m
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
