package hls

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/origin"
)

// gated runs f against a gateway to a server with n segments on air.
func gated(t *testing.T, n int, cfg GatewayConfig, f func(t *testing.T, b *broadcast, s *Server, g *Gateway)) {
	t.Helper()
	running(t, n, func(t *testing.T, b *broadcast, s *Server, _ http.Handler, _ context.CancelFunc) {
		g, err := s.NewGateway(cfg)
		if err != nil {
			t.Fatal(err)
		}
		f(t, b, s, g)
	})
}

// ask makes a request of a viewer at an address of its own.
func ask(g *Gateway, from int, path string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.RemoteAddr = fmt.Sprintf("198.51.100.%d:4000", from)
	w := httptest.NewRecorder()
	g.Handler().ServeHTTP(w, r)
	return w
}

func TestGatewayIsFitForACDN(t *testing.T) {
	gated(t, 8, GatewayConfig{}, func(t *testing.T, b *broadcast, _ *Server, g *Gateway) {
		for path, want := range map[string]string{
			b.multivariantPath():            "public, max-age=1",
			b.path("index.m3u8"):            "public, max-age=1",
			b.path("dvr.m3u8"):              "public, max-age=1",
			b.path(b.order[5].name):         "public, max-age=31536000, immutable",
			"/api/v1/status":                "public, max-age=1",
			"/page.js":                      "no-cache",
			"/embed/" + b.key.ID().String(): "no-cache",
			"/origin/v1/" + b.key.ID().String() + "/timeline": "public, max-age=1",
		} {
			w := ask(g, 1, path)
			if got := w.Header().Get("Cache-Control"); w.Code != 200 || got != want {
				t.Errorf("%s: %d, %q; want %q", path, w.Code, got, want)
			}
			if strings.HasPrefix(path, b.multivariantPath()[:20]) && w.Header().Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%s is not for pages of others", path)
			}
		}
		if w := ask(g, 1, b.path("1-99.ts")); w.Code != 404 || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("an unknown segment: %d, %q", w.Code, w.Header().Get("Cache-Control"))
		}
	})
}

func TestPlaylistsAreCachedByGatewaysOnly(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	public := r.WithContext(context.WithValue(r.Context(), gatewayKey{}, &Gateway{}))
	for _, c := range []struct {
		r       *http.Request
		target  time.Duration
		blocked bool
		want    string
	}{
		{r, 4 * time.Second, false, "no-cache"},
		{r, 4 * time.Second, true, "no-cache"},
		{public, 0, false, "public, max-age=1"},
		{public, time.Second, false, "public, max-age=1"},
		{public, 4 * time.Second, false, "public, max-age=2"},
		{public, 4 * time.Second, true, "public, max-age=24"},
	} {
		w := httptest.NewRecorder()
		if cachePlaylist(w, c.r, c.target, c.blocked); w.Header().Get("Cache-Control") != c.want {
			t.Errorf("target %v, blocked %t: %q, want %q", c.target, c.blocked, w.Header().Get("Cache-Control"), c.want)
		}
	}
}

// TestGatewayTellsNothingOfTheNode has the node know what is nobody's business.
func TestGatewayTellsNothingOfTheNode(t *testing.T) {
	gated(t, 4, GatewayConfig{}, func(t *testing.T, b *broadcast, s *Server, g *Gateway) {
		local := do(s.Handler(), "GET", "/api/v1/status").Body.String()
		public := ask(g, 1, "/api/v1/status").Body.String()
		for _, secret := range []string{`"peers"`, `"addrs"`, `"link"`, `"peer_id"`, `"role"`, `"recordings"`, `"store"`, `"bytes_in"`, `"gateway"`} {
			if secret != `"recordings"` && !strings.Contains(local, secret) {
				t.Errorf("the local status has no %s: the test proves nothing", secret)
			}
			if strings.Contains(public, secret) {
				t.Errorf("the gateway's status has %s", secret)
			}
		}
		var status publicStatus
		if err := json.Unmarshal([]byte(public), &status); err != nil || !status.Public || len(status.Streams) != 1 || !status.Streams[0].Playable || status.Streams[0].HLS != b.multivariantPath() {
			t.Errorf("status %s, %v", public, err)
		}
		for _, path := range []string{"/api/v1/streams/" + b.key.ID().String() + "/qr.svg", "/api/v1/anything", "/api/v1/status/", "/debug/pprof/"} {
			if w := ask(g, 1, path); w.Code != 404 {
				t.Errorf("%s: %d, want 404", path, w.Code)
			}
		}
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
			if w := do(g.Handler(), method, "/api/v1/status"); w.Code != 405 {
				t.Errorf("%s: %d, want 405", method, w.Code)
			}
		}
	})
}

func TestGatewayHasRoomForSoManyViewers(t *testing.T) {
	gated(t, 8, GatewayConfig{Viewers: 2}, func(t *testing.T, b *broadcast, _ *Server, g *Gateway) {
		for _, c := range []struct{ from, code int }{{1, 200}, {2, 200}, {1, 200}, {3, 503}, {2, 200}} {
			w := ask(g, c.from, b.path("index.m3u8"))
			if w.Code != c.code || (w.Code == 503) != (w.Header().Get("Retry-After") == "30") {
				t.Errorf("viewer %d: %d, Retry-After %q; want %d", c.from, w.Code, w.Header().Get("Retry-After"), c.code)
			}
		}
		if w := ask(g, 3, "/"); w.Code != 200 {
			t.Errorf("the page, which says why nothing plays: %d", w.Code)
		}
		if st := g.Status(); st.Viewers != 2 || st.RefusedViewers != 1 {
			t.Errorf("%d viewers, %d refused", st.Viewers, st.RefusedViewers)
		}
		time.Sleep(20 * time.Second)
		ask(g, 2, b.path("index.m3u8"))
		time.Sleep(15 * time.Second) // the first one is gone
		if w := ask(g, 3, b.path("index.m3u8")); w.Code != 200 {
			t.Errorf("who comes when another has left: %d", w.Code)
		}
	})
}

func TestViewersAreToldApart(t *testing.T) {
	key := func(addr, agent string) viewerKey {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = addr
		r.Header.Set("User-Agent", agent)
		return viewerOf(r)
	}
	for _, c := range []struct {
		name string
		a, b viewerKey
		same bool
	}{
		{"two connections", key("192.0.2.1:1", "VLC"), key("192.0.2.1:2", "VLC"), true},
		{"two players", key("192.0.2.1:1", "VLC"), key("192.0.2.1:1", "mpv"), false},
		{"two machines", key("192.0.2.1:1", "VLC"), key("192.0.2.2:1", "VLC"), false},
		{"one IPv6 network", key("[2001:db8::1]:1", "VLC"), key("[2001:db8::ffff:2]:1", "VLC"), true},
		{"two IPv6 networks", key("[2001:db8::1]:1", "VLC"), key("[2001:db8:0:1::1]:1", "VLC"), false},
		{"IPv4 in IPv6", key("[::ffff:192.0.2.1]:1", "VLC"), key("192.0.2.1:1", "VLC"), true},
		{"endless names", key("192.0.2.1:1", strings.Repeat("a", 300)), key("192.0.2.1:1", strings.Repeat("a", 400)), true},
	} {
		if (c.a == c.b) != c.same {
			t.Errorf("%s: %v and %v", c.name, c.a, c.b)
		}
	}
}

func TestGatewayHoldsToItsBandwidth(t *testing.T) {
	const rate = 8_000_000 // a MB a second
	gated(t, 8, GatewayConfig{Bandwidth: rate}, func(t *testing.T, b *broadcast, _ *Server, g *Gateway) {
		if w := ask(g, 1, b.path("index.m3u8")); w.Code != 200 {
			t.Fatalf("playlist: %d", w.Code)
		}
		start := time.Now()
		w := &metered{ResponseWriter: httptest.NewRecorder(), gateway: g, ctx: t.Context()}
		if n, err := io.Copy(w, bytes.NewReader(make([]byte, 3_000_000))); n != 3_000_000 || err != nil {
			t.Fatalf("%d bytes, %v", n, err)
		}
		if took := time.Since(start); took < 2800*time.Millisecond || took > 3200*time.Millisecond {
			t.Errorf("3 MB took %v at a MB a second", took)
		}
		// Two further answers at a time put all 0.6 s behind, forty 3 s.
		for i, c := range []struct {
			behind        time.Duration
			watching, new int
		}{{0, 200, 200}, {600 * time.Millisecond, 200, 429}, {3 * time.Second, 429, 429}} {
			time.Sleep(10 * time.Second)
			g.budget.Load().take(int(c.behind.Seconds()*rate/8), time.Now())
			newcomer := 100 + i
			if w := ask(g, newcomer, b.path("index.m3u8")); w.Code != c.new {
				t.Errorf("%v behind, who comes: %d, want %d", c.behind, w.Code, c.new)
			}
			w := ask(g, 1, b.path("index.m3u8"))
			if w.Code != c.watching || (w.Code == 429) != (w.Header().Get("Retry-After") == "2") {
				t.Errorf("%v behind, who watches: %d, Retry-After %q; want %d", c.behind, w.Code, w.Header().Get("Retry-After"), c.watching)
			}
		}
		if st := g.Status(); st.RefusedBandwidth != 3 || st.Bytes < 3_000_000 {
			t.Errorf("%d refused, %d bytes", st.RefusedBandwidth, st.Bytes)
		}
	})
}

func TestGatewaysLimitsChange(t *testing.T) {
	gated(t, 8, GatewayConfig{Viewers: 1}, func(t *testing.T, b *broadcast, _ *Server, g *Gateway) {
		expect := func(from, code int) {
			t.Helper()
			if w := ask(g, from, b.path("index.m3u8")); w.Code != code {
				t.Errorf("viewer %d: %d, want %d", from, w.Code, code)
			}
		}
		limit := func(viewers, bandwidth int) {
			t.Helper()
			if err := g.SetLimits(viewers, bandwidth); err != nil {
				t.Fatal(err)
			}
		}
		expect(1, 200)
		expect(2, 503)
		limit(2, 0)
		expect(2, 200)
		limit(1, 8_000_000)
		expect(2, 200) // is not sent away
		expect(3, 503)
		w := &metered{ResponseWriter: httptest.NewRecorder(), gateway: g, ctx: t.Context()}
		start := time.Now()
		if _, err := w.Write(make([]byte, 2_000_000)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 1800*time.Millisecond || took > 2200*time.Millisecond {
			t.Errorf("2 MB took %v at a MB a second", took)
		}
		g.budget.Load().take(3_000_000, time.Now())
		limit(0, 4_000_000) // what is owed stays
		expect(1, 429)
		limit(0, 0)
		expect(1, 200)
		expect(3, 200)
		for _, bad := range [][2]int{{-1, 0}, {0, -1}, {maxGatewayViewers + 1, 0}} {
			if err := g.SetLimits(bad[0], bad[1]); err == nil {
				t.Errorf("%v was taken", bad)
			}
		}
	})
}

func TestViewerWhoGoesWaitsForNoBandwidth(t *testing.T) {
	gated(t, 1, GatewayConfig{Bandwidth: 80_000}, func(t *testing.T, _ *broadcast, _ *Server, g *Gateway) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		w := &metered{ResponseWriter: httptest.NewRecorder(), gateway: g, ctx: ctx}
		if _, err := w.Write(make([]byte, 1_000_000)); err == nil || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// TestStrangersTakeNoRoomOfOwnPlayers has a gateway's requests fill all its slots.
func TestStrangersTakeNoRoomOfOwnPlayers(t *testing.T) {
	gated(t, 4, GatewayConfig{}, func(t *testing.T, b *broadcast, s *Server, g *Gateway) {
		ctx, cancel := context.WithCancel(t.Context())
		for range maxHeld + 1 {
			go g.Handler().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, b.path("1-4.ts"), nil).WithContext(ctx))
		}
		synctest.Wait()
		if own, theirs := len(s.held), len(g.held); own != 0 || theirs != maxHeld+1 {
			t.Errorf("%d requests of this machine are held and %d of others, want none and %d", own, theirs, maxHeld+1)
		}
		cancel()
		synctest.Wait()
	})
}

func TestGatewayIsAnOrigin(t *testing.T) {
	gated(t, 4, GatewayConfig{}, func(t *testing.T, b *broadcast, _ *Server, g *Gateway) {
		c, err := origin.NewClient("https://gateway.example", viaHandler{g.Handler()})
		if err != nil {
			t.Fatal(err)
		}
		raw, err := c.Timeline(t.Context(), b.key.ID())
		if err != nil || len(raw) == 0 {
			t.Fatalf("%d headers, %v", len(raw), err)
		}
		h, err := stream.OpenHeader(b.key.ID(), raw[0])
		if err != nil {
			t.Fatal(err)
		}
		body, err := c.Part(t.Context(), h.ID(), 0, h.Size, h.Size)
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		data, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		for i := range h.Chunks {
			if _, err := stream.OpenChunk(h, i, data[i*h.ChunkSize:i*h.ChunkSize+h.ChunkLen(i)]); err != nil {
				t.Error(err)
			}
		}
		if st := g.Status(); st.OriginParts != 1 {
			t.Errorf("%d parts served", st.OriginParts)
		}
	})
}

// viaHandler carries requests to a handler without a network.
type viaHandler struct{ http.Handler }

func (v viaHandler) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	v.ServeHTTP(w, r)
	return w.Result(), nil
}

func TestServerHasOneGateway(t *testing.T) {
	s, err := NewServer(Config{Node: newBroadcast(t, 0)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.NewGateway(GatewayConfig{Viewers: -1}); err == nil {
		t.Error("less than no viewers")
	}
	if _, err := s.NewGateway(GatewayConfig{}); err != nil {
		t.Error(err)
	}
	if _, err := s.NewGateway(GatewayConfig{}); err == nil {
		t.Error("a second gateway")
	}
}
