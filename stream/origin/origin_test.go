package origin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// station is a node's timeline and store, with an origin in front of them.
type station struct {
	t         *testing.T
	key       stream.Key
	publisher *stream.Publisher
	timeline  *stream.Timeline
	store     *stream.Store
	handler   *Handler
}

func newStation(t *testing.T) *station {
	t.Helper()
	s := &station{t: t, key: stream.NewKey(), store: stream.NewStore(0)}
	var err error
	if s.publisher, err = stream.NewPublisher(s.key, "main", 7); err != nil {
		t.Fatal(err)
	}
	s.timeline = stream.NewTimeline(s.key.ID(), "main")
	s.handler = NewHandler(func(id stream.ID) (Stream, bool) {
		return Stream{Timelines: []*stream.Timeline{s.timeline}, Store: s.store}, id == s.key.ID()
	})
	return s
}

// publish publishes a segment of one part, of which the store gets the first chunks.
func (s *station) publish(data []byte, chunks int) *stream.SignedHeader {
	s.t.Helper()
	h, all, err := s.publisher.Publish(stream.Part{StartsSegment: true, EndsSegment: true, Duration: time.Second, ProgramTime: time.Now(), Data: data})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, c := range all[:min(chunks, len(all))] {
		s.store.Put(c)
	}
	if err := s.timeline.Add(h, time.Now()); err != nil {
		s.t.Fatal(err)
	}
	return h
}

func testData(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 / 3)
	}
	return b
}

// direct carries requests to a handler without a network.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

func newTestClient(t *testing.T, h http.Handler) *Client {
	t.Helper()
	c, err := NewClient("https://origin.example", direct{h})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClientReadsWhatTheHandlerServes(t *testing.T) {
	s := newStation(t)
	data := testData(100_000)
	first := s.publish(data, stream.MaxChunks)
	second := s.publish(testData(5000), stream.MaxChunks)
	c := newTestClient(t, s.handler)
	raw, err := c.Timeline(t.Context(), s.key.ID())
	if err != nil || len(raw) != 2 || !bytes.Equal(raw[0], first.Bytes()) || !bytes.Equal(raw[1], second.Bytes()) {
		t.Errorf("timeline: %d headers, %v", len(raw), err)
	}
	raw, err = c.After(t.Context(), s.key.ID(), "main", first.Position)
	if err != nil || len(raw) != 1 || !bytes.Equal(raw[0], second.Bytes()) {
		t.Errorf("after the first: %d headers, %v", len(raw), err)
	}
	raw, err = c.After(t.Context(), s.key.ID(), "main", stream.Position{Epoch: 6})
	if err != nil || len(raw) != 2 {
		t.Errorf("after the epoch before: %d headers, %v", len(raw), err)
	}
	for _, span := range [][2]int{{0, len(data)}, {0, 4096}, {4096, 12288}, {len(data) - 10, len(data)}} {
		body, err := c.Part(t.Context(), first.ID(), span[0], span[1], first.Size)
		if err != nil {
			t.Errorf("bytes %v: %v", span, err)
			continue
		}
		got, err := io.ReadAll(body)
		if err != nil || !bytes.Equal(got, data[span[0]:span[1]]) {
			t.Errorf("bytes %v: %d bytes, %v", span, len(got), err)
		}
		body.Close()
	}
}

func TestATimelineBeginsWithRevocations(t *testing.T) {
	s := newStation(t)
	roles := stream.NewRoles(s.key.ID())
	s.timeline.Heed(roles)
	list, err := s.key.Revoke(1, []stream.ID{stream.NewKey().ID()})
	if err != nil {
		t.Fatal(err)
	}
	h := s.publish(testData(1000), 1)
	for _, known := range []bool{false, true} {
		want := [][]byte{h.Bytes()}
		if known {
			roles.Adopt(list)
			want = [][]byte{list.Bytes(), h.Bytes()}
		}
		got, err := newTestClient(t, s.handler).Timeline(t.Context(), s.key.ID())
		if err != nil || !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("with revocations %t: %d answers, %v, want %d", known, len(got), err, len(want))
		}
	}
}

func TestAnswersAreFitForACDN(t *testing.T) {
	s := newStation(t)
	h := s.publish(testData(10_000), stream.MaxChunks)
	get := func(path string, header ...string) *http.Response {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, path, nil)
		if len(header) > 0 {
			r.Header.Set(header[0], header[1])
		}
		s.handler.ServeHTTP(w, r)
		return w.Result()
	}
	part := get(partPath(h.ID()))
	for _, c := range []struct {
		name   string
		resp   *http.Response
		status int
		cached string
	}{
		{"timeline", get(timelinePath(s.key.ID())), 200, "public, max-age=1"},
		{"after", get(afterPath(s.key.ID(), "main", stream.Position{})), 200, "public, max-age=1"},
		{"before", get(beforePath(s.key.ID(), "main", h.Position)), 200, "public, max-age=10"},
		{"held", get(heldPath(s.key.ID(), "main")), 200, "public, max-age=1"},
		{"part", part, 200, "public, max-age=31536000, immutable"},
		{"range", get(partPath(h.ID()), "Range", "bytes=10-19"), 206, "public, max-age=31536000, immutable"},
		{"known part", get(partPath(h.ID()), "If-None-Match", part.Header.Get("ETag")), 304, "public, max-age=31536000, immutable"},
		{"unknown part", get(strings.Replace(partPath(h.ID()), "7-0-0", "7-1-0", 1)), 404, "no-store"},
		{"another name of a part", get(strings.Replace(partPath(h.ID()), "7-0-0", "7-00-0", 1)), 404, "no-store"},
		{"unknown rendition", get(strings.Replace(partPath(h.ID()), "main", "high", 1)), 404, "no-store"},
		{"unknown stream", get(timelinePath(stream.NewKey().ID())), 404, "no-store"},
		{"no stream", get(Prefix + "nonsense/timeline"), 404, "no-store"},
		{"before nonsense", get(Prefix + s.key.ID().String() + "/main/before/1-2"), 404, "no-store"},
		{"held of an unknown rendition", get(heldPath(s.key.ID(), "high")), 404, "no-store"},
		{"after nonsense", get(Prefix + s.key.ID().String() + "/main/after/1-2"), 404, "no-store"},
	} {
		if got := c.resp.Header.Get("Cache-Control"); c.resp.StatusCode != c.status || got != c.cached {
			t.Errorf("%s: %d, %q; want %d, %q", c.name, c.resp.StatusCode, got, c.status, c.cached)
		}
		if got := c.resp.Header.Get("Access-Control-Allow-Origin"); got != "*" {
			t.Errorf("%s: others may read it: %q", c.name, got)
		}
	}
}

func TestRequestsAreHeldUntilThereIsSomething(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation(t)
		data := testData(10_000)
		first := s.publish(data, 1)
		c := newTestClient(t, s.handler)
		time.AfterFunc(700*time.Millisecond, func() {
			for i := range first.Chunks {
				chunk, err := stream.OpenChunk(first, i, data[i*first.ChunkSize:i*first.ChunkSize+first.ChunkLen(i)])
				if err != nil {
					t.Error(err)
				}
				s.store.Put(chunk)
			}
		})
		start := time.Now()
		body, err := c.Part(t.Context(), first.ID(), 0, first.Size, first.Size)
		if took := time.Since(start); err != nil || took != 700*time.Millisecond {
			t.Fatalf("a part came after %v, %v", took, err)
		}
		body.Close()

		time.AfterFunc(3*time.Second, func() { s.publish(data, 1) })
		start = time.Now()
		raw, err := c.After(t.Context(), s.key.ID(), "main", first.Position)
		if took := time.Since(start); err != nil || len(raw) != 1 || took != 3*time.Second {
			t.Errorf("%d headers after %v, %v", len(raw), took, err)
		}
		last := stream.Position{Epoch: 7, Segment: 1}
		start = time.Now()
		raw, err = c.After(t.Context(), s.key.ID(), "main", last)
		if took := time.Since(start); err != nil || len(raw) != 0 || took != Hold {
			t.Errorf("nothing new: %d headers after %v, %v", len(raw), took, err)
		}
		start = time.Now()
		_, err = c.Part(t.Context(), stream.PartID{Stream: s.key.ID(), Rendition: "main", Position: last}, 0, len(data), len(data))
		if took := time.Since(start); reasonOf(err) != "missing" || took != HoldPart {
			t.Errorf("a part that never comes whole: %v after %v", err, took)
		}
	})
}

func TestHeldRequestsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStation(t)
		h := s.publish(testData(10), 1)
		ctx, cancel := context.WithCancel(t.Context())
		for range maxHeld {
			go s.handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, afterPath(s.key.ID(), "main", h.Position), nil).WithContext(ctx))
		}
		synctest.Wait()
		_, err := newTestClient(t, s.handler).After(t.Context(), s.key.ID(), "main", h.Position)
		var failed *Error
		if !errors.As(err, &failed) || failed.Reason() != "busy" || failed.Wait() != time.Second {
			t.Errorf("one too many: %v", err)
		}
		cancel()
		synctest.Wait()
		if got := s.handler.Stats().Refused; got != 1 || len(s.handler.held) != 0 {
			t.Errorf("%d were refused, %d are held still", got, len(s.handler.held))
		}
	})
}

func reasonOf(err error) string {
	var failed *Error
	if errors.As(err, &failed) {
		return failed.Reason()
	}
	return fmt.Sprint(err)
}

func TestWhatNoOriginAnswers(t *testing.T) {
	h := newStation(t).publish(testData(10_000), 1)
	answers := func(f http.HandlerFunc) http.Handler { return f }
	for name, c := range map[string]struct {
		reason string
		http.Handler
	}{
		"404":                 {"missing", answers(http.NotFound)},
		"429":                 {"busy", answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) })},
		"500":                 {"status", answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })},
		"elsewhere":           {"redirect", http.RedirectHandler("https://elsewhere.example", http.StatusMovedPermanently)},
		"another length":      {"malformed", answers(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "5") })},
		"zipped":              {"malformed", answers(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Encoding", "br") })},
		"another range":       {"malformed", answers(anotherRange)},
		"204 for a part":      {"malformed", answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })},
		"fewer than promised": {"failed", answers(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "10000") })},
	} {
		t.Run(name, func(t *testing.T) {
			body, err := newTestClient(t, c.Handler).Part(t.Context(), h.ID(), 0, 4096, h.Size)
			if err == nil {
				_, err = io.ReadAll(body)
				body.Close()
			}
			if got := reasonOf(err); got != c.reason {
				t.Errorf("%q (%v), want %q", got, err, c.reason)
			}
		})
	}
}

func anotherRange(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Range", "bytes 1-4096/10000")
	w.WriteHeader(http.StatusPartialContent)
}

func TestServerWithoutRangesServesThemNonetheless(t *testing.T) {
	data := testData(10_000)
	h := newStation(t).publish(data, 1)
	c := newTestClient(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) }))
	body, err := c.Part(t.Context(), h.ID(), 4096, 8192, h.Size)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, data[4096:8192]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// TestOriginThatStallsIsGivenUp has one that never answers, and one that stops in between.
func TestOriginThatStallsIsGivenUp(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "-1-0") {
			_, _ = w.Write(make([]byte, 10))
			_ = http.NewResponseController(w).Flush()
		}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(release)
	c, err := NewClient(server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	stalls := make(chan error)
	id := stream.PartID{Stream: stream.NewKey().ID(), Rendition: "main"}
	go func() {
		_, err := c.Timeline(context.Background(), id.Stream)
		stalls <- err
	}()
	go func() {
		id.Segment = 1
		body, err := c.Part(context.Background(), id, 0, 20, 20)
		if err == nil {
			_, err = io.ReadAll(body)
			body.Close()
		}
		stalls <- err
	}()
	for range 2 {
		if err := <-stalls; reasonOf(err) != "slow" {
			t.Errorf("an origin that stalls: %v", err)
		}
	}
}

func FuzzParseHeaders(f *testing.F) {
	f.Add(marshalHeaders(nil))
	f.Add([]byte{0x0a, 0x02, 'a', 'b', 0x0a, 0x00})
	f.Add([]byte{0x0a, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		raw, err := parseHeaders(b)
		if err != nil && !errors.Is(err, errMalformed) {
			t.Errorf("error %v does not wrap errMalformed", err)
		}
		if len(raw) > maxHeaders {
			t.Errorf("%d headers", len(raw))
		}
	})
}

func FuzzParsePosition(f *testing.F) {
	f.Add("7-12-3")
	f.Add("18446744073709551615-0-4294967295")
	f.Add("7-012-3")
	f.Fuzz(func(t *testing.T, s string) {
		if p, ok := parsePosition(s); ok && positionName(p) != s {
			t.Errorf("%q is read as %v", s, p)
		}
	})
}
