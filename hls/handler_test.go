package hls

import (
	"bytes"
	"compress/gzip"
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
)

// newRequest is a request of this machine's.
func newRequest(method, path string) *http.Request {
	r := httptest.NewRequest(method, path, nil)
	r.Host, r.RemoteAddr = "127.0.0.1:8787", "127.0.0.1:50000"
	return r
}

// do serves one request, with headers as name and value in turn.
func do(h http.Handler, method, path string, headers ...string) *httptest.ResponseRecorder {
	r := newRequest(method, path)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// running runs f against a server with n segments on air.
func running(t *testing.T, n int, f func(t *testing.T, b *broadcast, s *Server, h http.Handler, stop context.CancelFunc)) {
	bubble(t, func(t *testing.T) {
		b := newBroadcast(t, 0)
		for range n {
			b.air(2 * time.Second)
		}
		s, h, stop := serve(t, b)
		synctest.Wait()
		f(t, b, s, h, stop)
		stop()
		synctest.Wait()
	})
}

func TestHTTP(t *testing.T) {
	running(t, 8, func(t *testing.T, b *broadcast, s *Server, h http.Handler, _ context.CancelFunc) {
		shot := b.order[5]
		segment, media, multivariant := b.path(shot.name), b.path("index.m3u8"), b.multivariantPath()
		size := fmt.Sprint(len(shot.data))
		for _, test := range []struct {
			name, method, path string
			send               []string
			code               int
			want               []string // header and value in turn
			body               string   // "" for any, "-" for none
		}{
			{"multivariant", "GET", multivariant, nil, 200, []string{"Content-Type", "application/vnd.apple.mpegurl", "Cache-Control", "no-cache", "Access-Control-Allow-Origin", "*", "Vary", "Accept-Encoding"}, ""},
			{"media", "GET", media, nil, 200, []string{"Content-Type", "application/vnd.apple.mpegurl", "Cache-Control", "no-cache", "Access-Control-Allow-Origin", "*"}, ""},
			{"playlist's head", "HEAD", media, nil, 200, []string{"Content-Type", "application/vnd.apple.mpegurl"}, "-"},
			{"segment", "GET", segment, nil, 200, []string{"Content-Type", "video/mp2t", "Cache-Control", "public, max-age=31536000, immutable", "Content-Length", size, "Accept-Ranges", "bytes", "Access-Control-Allow-Origin", "*"}, string(shot.data)},
			{"segment's head", "HEAD", segment, nil, 200, []string{"Content-Length", size}, "-"},
			{"range", "GET", segment, []string{"Range", "bytes=32760-32775"}, 206, []string{"Content-Range", "bytes 32760-32775/" + size}, string(shot.data[32760:32776])},
			{"range from the end", "GET", segment, []string{"Range", "bytes=-10"}, 206, []string{"Content-Length", "10"}, string(shot.data[len(shot.data)-10:])},
			{"range beyond", "GET", segment, []string{"Range", "bytes=99999999-"}, 416, nil, ""},
			{"two ranges", "GET", segment, []string{"Range", "bytes=0-1,5-6"}, 206, nil, ""},
			{"segments are not zipped", "GET", segment, []string{"Accept-Encoding", "gzip"}, 200, []string{"Content-Encoding", ""}, string(shot.data)},
			{"preflight", "OPTIONS", segment, []string{"Origin", "http://localhost", "Access-Control-Request-Method", "GET"}, 204, []string{"Access-Control-Allow-Origin", "*", "Access-Control-Allow-Methods", "GET, HEAD, OPTIONS"}, "-"},
			{"preflight of a playlist", "OPTIONS", multivariant, nil, 204, []string{"Access-Control-Allow-Origin", "*"}, "-"},
			{"post", "POST", media, nil, 405, nil, ""},
			{"unknown segment", "GET", b.path("1-99.ts"), nil, 404, []string{"Cache-Control", "no-store", "Access-Control-Allow-Origin", "*"}, ""},
			{"unknown epoch", "GET", b.path("2-0.ts"), nil, 404, nil, ""},
			{"before the list, in the store", "GET", b.path("1-0.ts"), nil, 200, nil, string(b.order[0].data)},
			{"another name for a segment", "GET", b.path("01-5.ts"), nil, 404, nil, ""},
			{"not a segment", "GET", b.path("x.ts"), nil, 404, nil, ""},
			{"unknown rendition", "GET", "/" + b.key.ID().String() + "/other/index.m3u8", nil, 404, nil, ""},
			{"unknown stream", "GET", "/" + stream.NewKey().ID().String() + "/index.m3u8", nil, 404, nil, ""},
			{"not a stream", "GET", "/nonsense/index.m3u8", nil, 404, nil, ""},
			{"page", "GET", "/", nil, 200, []string{"Content-Type", "text/html; charset=utf-8", "X-Content-Type-Options", "nosniff", "Access-Control-Allow-Origin", ""}, ""},
			{"page's script", "GET", "/page.js", nil, 200, []string{"Content-Type", "text/javascript; charset=utf-8"}, ""},
			{"hls.js", "GET", "/hls.min.js", []string{"Accept-Encoding", "gzip"}, 200, []string{"Content-Encoding", "gzip"}, ""},
			{"status", "GET", "/api/v1/status", nil, 200, []string{"Content-Type", "application/json", "Cache-Control", "no-store", "Access-Control-Allow-Origin", ""}, ""},
			{"directory", "GET", "/api/v1/directory", nil, 200, []string{"Content-Type", "application/json", "Cache-Control", "no-store", "Access-Control-Allow-Origin", ""}, `{"entries":[]}`},
			{"nothing", "GET", "/favicon.ico", nil, 404, nil, ""},
		} {
			w := do(h, test.method, test.path, test.send...)
			if w.Code != test.code {
				t.Errorf("%s: %d, want %d", test.name, w.Code, test.code)
			}
			for i := 0; i+1 < len(test.want); i += 2 {
				if got := w.Header().Get(test.want[i]); got != test.want[i+1] {
					t.Errorf("%s: %s is %q, want %q", test.name, test.want[i], got, test.want[i+1])
				}
			}
			switch body := w.Body.String(); {
			case test.body == "-" && body != "", test.body != "" && test.body != "-" && body != test.body:
				t.Errorf("%s: other body, of %d bytes", test.name, len(body))
			}
		}
		if policy := do(h, "GET", "/").Header().Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") {
			t.Errorf("the page's policy is %q", policy)
		}
		if n := s.counts.held.Load(); n != 0 {
			t.Errorf("%d requests were held, want none", n)
		}
	})
}

func TestConditionalRequests(t *testing.T) {
	running(t, 8, func(t *testing.T, b *broadcast, _ *Server, h http.Handler, _ context.CancelFunc) {
		for _, path := range []string{b.path("index.m3u8"), b.multivariantPath(), b.path("1-5.ts"), "/"} {
			etag := do(h, "GET", path).Header().Get("ETag")
			if etag == "" {
				t.Errorf("%s: no ETag", path)
			}
			if w := do(h, "GET", path, "If-None-Match", etag); w.Code != http.StatusNotModified || w.Body.Len() > 0 {
				t.Errorf("%s: %d with %d bytes when nothing changed", path, w.Code, w.Body.Len())
			}
		}
		before := do(h, "GET", b.path("index.m3u8")).Header().Get("ETag")
		b.air(2 * time.Second)
		synctest.Wait()
		if w := do(h, "GET", b.path("index.m3u8"), "If-None-Match", before); w.Code != http.StatusOK {
			t.Errorf("%d after the playlist changed", w.Code)
		}
	})
}

func TestGzip(t *testing.T) {
	running(t, 8, func(t *testing.T, b *broadcast, _ *Server, h http.Handler, _ context.CancelFunc) {
		plain := do(h, "GET", b.path("index.m3u8"))
		zipped := do(h, "GET", b.path("index.m3u8"), "Accept-Encoding", "br, gzip;q=0.8")
		if zipped.Header().Get("Content-Encoding") != "gzip" || zipped.Header().Get("ETag") == plain.Header().Get("ETag") {
			t.Fatalf("headers %v", zipped.Header())
		}
		z, err := gzip.NewReader(zipped.Body)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(z); err != nil || !bytes.Equal(text, plain.Body.Bytes()) {
			t.Errorf("unzipped to %q, %v", text, err)
		}
	})
	for value, want := range map[string]bool{"gzip": true, "br, GZIP": true, "gzip;q=0": false, "gzip; q=0.00": false, "gzip;q=0.1": true, "identity": false, "": false} {
		if got := acceptsGzip(http.Header{"Accept-Encoding": {value}}); got != want {
			t.Errorf("Accept-Encoding %q: %t, want %t", value, got, want)
		}
	}
}

// heldRequest starts a request and returns a function that reports its status code, 0
// while it is held.
func heldRequest(ctx context.Context, h http.Handler, path string) func() int {
	w := httptest.NewRecorder()
	done := make(chan struct{})
	go func() {
		h.ServeHTTP(w, newRequest("GET", path).WithContext(ctx))
		close(done)
	}()
	return func() int {
		synctest.Wait()
		select {
		case <-done:
			return w.Code
		default:
			return 0
		}
	}
}

func expect(t *testing.T, what string, code func() int, want int) {
	t.Helper()
	if got := code(); got != want {
		t.Errorf("%s: %d, want %d", what, got, want)
	}
}

func TestHeldSegment(t *testing.T) {
	running(t, 6, func(t *testing.T, b *broadcast, s *Server, h http.Handler, stop context.CancelFunc) {
		ctx, leave := context.WithCancel(t.Context())
		next := heldRequest(t.Context(), h, b.path("1-6.ts"))
		left := heldRequest(ctx, h, b.path("1-6.ts"))
		expect(t, "unknown next segment", next, 0)
		leave()
		expect(t, "client gone", left, 200) // the recorder's default: nothing was written
		shot := b.shoot(2*time.Second, false)
		b.announce(shot)
		b.deliver(shot, 3)
		expect(t, "segment without its last part", next, 0)
		b.deliver(shot, -1)
		expect(t, "whole segment", next, 200)

		// Known and never coming.
		late := b.shoot(2*time.Second, false)
		b.announce(late)
		timeout := heldRequest(t.Context(), h, b.path(late.name))
		time.Sleep(holdTargets*2*time.Second - 1)
		expect(t, "segment within its bound", timeout, 0)
		time.Sleep(time.Nanosecond)
		expect(t, "segment past its bound", timeout, 503)

		// Left out while somebody waits.
		skipped := heldRequest(t.Context(), h, b.path(late.name))
		b.air(2 * time.Second)
		expect(t, "late segment", skipped, 0)
		time.Sleep(skipTargets * 2 * time.Second)
		expect(t, "left out segment", skipped, 404)

		stopped := heldRequest(t.Context(), h, b.path("1-9.ts"))
		expect(t, "next segment", stopped, 0)
		stop()
		expect(t, "server stopped", stopped, 503)
		if s.counts.heldNow.Load() != 0 || s.counts.held.Load() != 5 || s.counts.left.Load() != 1 || s.counts.timedOut.Load() != 1 {
			t.Errorf("counted %d held, %d left, %d timed out", s.counts.held.Load(), s.counts.left.Load(), s.counts.timedOut.Load())
		}
	})
}

func TestFirstPlaylistIsHeld(t *testing.T) {
	for _, path := range []func(*broadcast) string{(*broadcast).multivariantPath, func(b *broadcast) string { return b.path("index.m3u8") }} {
		running(t, 0, func(t *testing.T, b *broadcast, s *Server, h http.Handler, _ context.CancelFunc) {
			first := heldRequest(t.Context(), h, path(b))
			playable := make(chan error, 1)
			go func() { playable <- s.WaitPlayable(t.Context(), b.key.ID()) }()
			for range startSegments {
				expect(t, "too few segments", first, 0)
				if s.Buffer(b.key.ID()) != 0 {
					t.Error("a buffer before anything is listed")
				}
				time.Sleep(2 * time.Second)
				b.air(2 * time.Second)
			}
			expect(t, "enough segments", first, 200)
			if err := <-playable; err != nil {
				t.Error(err)
			}
			if d := s.Buffer(b.key.ID()); d != 6*time.Second {
				t.Errorf("buffer of %v, want 6s", d)
			}
		})
		running(t, 0, func(t *testing.T, b *broadcast, _ *Server, h http.Handler, _ context.CancelFunc) {
			never := heldRequest(t.Context(), h, path(b))
			time.Sleep(holdPlaylist)
			expect(t, "no stream", never, 503)
		})
	}
}

// TestPlaylistOfWhatIsDue checks that a playlist waits for a segment that is due, and for
// no other.
func TestPlaylistOfWhatIsDue(t *testing.T) {
	running(t, 6, func(t *testing.T, b *broadcast, s *Server, h http.Handler, _ context.CancelFunc) {
		ask := func() func() int { return heldRequest(t.Context(), h, b.path("index.m3u8")) }
		time.Sleep(2 * time.Second)
		expect(t, "after segments that came in one go", ask(), 200)
		b.air(2 * time.Second)
		expect(t, "right after a segment", ask(), 200)
		time.Sleep(1500*time.Millisecond - time.Nanosecond)
		expect(t, "before the next is due", ask(), 200)
		time.Sleep(time.Nanosecond)
		due := ask()
		time.Sleep(999 * time.Millisecond)
		expect(t, "when it is due", due, 0)
		b.air(2 * time.Second)
		expect(t, "when it is there", due, 200)

		time.Sleep(1900 * time.Millisecond)
		late := ask()
		time.Sleep(600*time.Millisecond - time.Nanosecond)
		expect(t, "when it is late", late, 0)
		time.Sleep(time.Nanosecond)
		expect(t, "when it stays away", late, 200)
		expect(t, "long after", ask(), 200)
		if held, timedOut := s.counts.held.Load(), s.counts.timedOut.Load(); held != 2 || timedOut != 0 {
			t.Errorf("%d requests were held and %d timed out, want 2 and none", held, timedOut)
		}
	})
}

func TestHeldRequestsAreBounded(t *testing.T) {
	running(t, 0, func(t *testing.T, b *broadcast, s *Server, h http.Handler, _ context.CancelFunc) {
		for range maxHeld {
			heldRequest(t.Context(), h, b.multivariantPath())
		}
		synctest.Wait()
		w := do(h, "GET", b.multivariantPath())
		if w.Code != 503 || w.Header().Get("Retry-After") == "" || s.counts.refused.Load() != 1 {
			t.Errorf("one too many: %d, %d refused", w.Code, s.counts.refused.Load())
		}
	})
}

func TestWaitPlayable(t *testing.T) {
	running(t, 0, func(t *testing.T, b *broadcast, s *Server, _ http.Handler, stop context.CancelFunc) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.WaitPlayable(ctx, b.key.ID()); err == nil {
			t.Error("playable without a segment")
		}
		stop()
		if err := s.WaitPlayable(t.Context(), b.key.ID()); err == nil {
			t.Error("playable after the server stopped")
		}
	})
}

func TestStatus(t *testing.T) {
	running(t, 8, func(t *testing.T, b *broadcast, _ *Server, h http.Handler, _ context.CancelFunc) {
		do(h, "GET", b.path("1-99.ts"))
		var got struct {
			PeerID  string `json:"peer_id"`
			Store   struct{ Limit int64 }
			Streams []struct {
				ID         string
				HLS, LL    string
				Peers      []any
				Playable   bool
				Renditions []map[string]any
			}
			HTTP map[string]int64
		}
		if err := json.Unmarshal(do(h, "GET", "/api/v1/status").Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if got.PeerID != "peer" || got.Store.Limit != stream.DefaultStoreSize || len(got.Streams) != 1 || got.HTTP["unknown"] != 1 || got.HTTP["requests"] != 2 {
			t.Fatalf("status %+v", got)
		}
		s := got.Streams[0]
		if s.ID != b.key.ID().String() || s.HLS != b.multivariantPath() || s.LL != "/"+s.ID+"/ll.m3u8" || !s.Playable || s.Peers == nil || len(s.Renditions) != 1 {
			t.Fatalf("stream %+v", s)
		}
		r := s.Renditions[0]
		// All was published in an instant, so the newest segment ends in the future.
		if r["buffer_seconds"] != 10.0 || r["latency_seconds"] != -16.0 || r["segments"] != 5.0 || r["segments_listed"] != 5.0 || r["segments_skipped"] != 0.0 {
			t.Errorf("rendition %v", r)
		}
	})
}

func TestNewServer(t *testing.T) {
	for _, cfg := range []Config{{}, {Node: &broadcast{}, Window: 2}, {Node: &broadcast{}, Window: 65}, {Node: &broadcast{}, Window: -1}} {
		if _, err := NewServer(cfg); err == nil {
			t.Errorf("%+v is accepted", cfg)
		}
	}
}
