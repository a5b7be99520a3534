package hls

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// sealing has the broadcast's publisher seal what it publishes, and returns what opens it.
func (b *broadcast) sealing() *stream.OpenedStore {
	secret, ring, s := stream.NewSecret(), stream.NewKeyring(b.key.ID()), stream.NewSealer(b.key.ID(), b.epoch)
	s.Use(1, secret)
	ring.Add(b.epoch, 1, secret)
	b.publisher.Seal(s)
	b.private = true
	return stream.NewOpenedStore(b.store, ring)
}

// private runs f against a server, with a gateway, to a node that holds a private stream and
// has its keys or not.
func private(t *testing.T, keys bool, f func(b *broadcast, s *Server, g *Gateway)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBroadcast(t, 0)
		if opened := b.sealing(); keys {
			b.opened = opened
		}
		for range 6 {
			b.air(2 * time.Second)
		}
		s, err := NewServer(Config{Node: b})
		if err != nil {
			t.Fatal(err)
		}
		g, err := s.NewGateway(GatewayConfig{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ran := make(chan error)
		go func() { ran <- s.Run(ctx) }()
		defer func() { cancel(); <-ran }()
		synctest.Wait()
		f(b, s, g)
	})
}

func asked(h http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, newRequest(http.MethodGet, path))
	return w
}

func TestAPrivateStreamPlaysWhereItsKeysAre(t *testing.T) {
	private(t, true, func(b *broadcast, s *Server, g *Gateway) {
		shot := b.order[4]
		if w := asked(s.Handler(), b.path(shot.name)); w.Code != http.StatusOK || !slices.Equal(w.Body.Bytes(), shot.data) {
			t.Errorf("a segment: %d, %d bytes, want the %d that were published", w.Code, w.Body.Len(), len(shot.data))
		}
		if w := asked(s.Handler(), b.path("index.m3u8")); w.Code != http.StatusOK {
			t.Errorf("the playlist: %d", w.Code)
		}
		for _, path := range []string{b.multivariantPath(), b.path("index.m3u8"), b.path("ll.m3u8"), b.path("dvr.m3u8"), b.path(shot.name)} {
			if w := asked(g.Handler(), path); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), privateSentence) {
				t.Errorf("the gateway's %s: %d %s", path, w.Code, w.Body)
			}
		}
		if w := asked(g.Handler(), "/api/v1/status"); strings.Contains(w.Body.String(), b.key.ID().String()) {
			t.Error("the gateway tells of the private stream")
		}
		// Nodes get there what they get of peers: what is sealed.
		w := asked(g.Handler(), "/origin/v1/"+b.key.ID().String()+"/timeline")
		if w.Code != http.StatusOK || strings.Contains(w.Body.String(), string(shot.data[:32])) {
			t.Errorf("the gateway as an origin: %d", w.Code)
		}
	})
}

func TestAPrivateStreamPlaysNowhereElse(t *testing.T) {
	private(t, false, func(b *broadcast, s *Server, g *Gateway) {
		for _, path := range []string{b.multivariantPath(), b.path("index.m3u8"), b.path("ll.m3u8"), b.path("dvr.m3u8"), b.path(b.order[4].name)} {
			for name, h := range map[string]http.Handler{"the server": s.Handler(), "the gateway": g.Handler()} {
				if w := asked(h, path); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), sealedSentence) {
					t.Errorf("%s's %s: %d %s", name, path, w.Code, w.Body)
				}
			}
		}
		if w := asked(s.Handler(), "/api/v1/status"); !strings.Contains(w.Body.String(), `"sealed":true`) {
			t.Errorf("the status does not say so: %s", w.Body)
		}
	})
}
