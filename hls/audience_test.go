package hls

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestPlayersAreCounted has three players come by the server's own address, two of them alike, and
// leave again.
func TestPlayersAreCounted(t *testing.T) {
	running(t, 3, func(t *testing.T, b *broadcast, s *Server, h http.Handler, _ context.CancelFunc) {
		play := func(path, agent string) {
			r := newRequest("GET", path)
			r.Header.Set("User-Agent", agent)
			h.ServeHTTP(httptest.NewRecorder(), r)
		}
		players := func() int { return s.Figures(time.Now()).Streams[0].Players }
		play("/api/v1/status", "a page that plays nothing")
		if n := players(); n != 0 {
			t.Errorf("%d players before anybody plays", n)
		}
		play(b.multivariantPath(), "VLC")
		play(b.path("index.m3u8"), "VLC")
		play(b.path("index.m3u8"), "mpv")
		if n := players(); n != 2 {
			t.Errorf("%d players, want 2", n)
		}
		time.Sleep(viewerIdle / 2)
		play(b.path("index.m3u8"), "mpv")
		time.Sleep(viewerIdle / 2)
		if n := players(); n != 1 {
			t.Errorf("%d players after VLC went, want 1", n)
		}
	})
}
