package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"
	"github.com/grafov/m3u8"

	"github.com/grapevine-live/grapevine/hls"
	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/ingest/origin"
)

const originSegment = 2 * time.Second

// faultyOrigin has a segment every two seconds. Some are missing, and some break off.
type faultyOrigin struct {
	began time.Time
	ends  int
}

func (o *faultyOrigin) fault(n int) (missing, cut bool) {
	return n == 14, n == 11 || n == 17 || n == 18
}

func (o *faultyOrigin) segment(n int) []byte {
	var buf bytes.Buffer
	track := &mpegts.Track{Codec: &codecs.H264{}}
	w := &mpegts.Writer{W: &buf, Tracks: []*mpegts.Track{track}}
	check := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	check(w.Initialize())
	_, err := w.WriteTables()
	check(err)
	for i := range 50 {
		ts := int64(n*50+i) * 3600
		au := [][]byte{append([]byte{0x41}, fmt.Sprintf("picture %d of %d %s", i, n, strings.Repeat(".", 400))...)}
		if i == 0 {
			au[0][0] = 0x65
			au = append([][]byte{{0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x2f, 0xf9, 0x70, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00, 0x03, 0x00, 0x32, 0x8f, 0x16, 0x2d, 0x96}, {0x68, 0xee, 0x3c, 0xb0}}, au...)
		}
		check(w.WriteH264(track, ts, ts, au))
	}
	return buf.Bytes()
}

// RoundTrip answers without a network.
func (o *faultyOrigin) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := httptest.NewRecorder()
	var cut bool
	if strings.HasSuffix(r.URL.Path, ".m3u8") {
		count := min(int(time.Since(o.began)/originSegment), o.ends)
		fmt.Fprintf(answer, "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:%d\n", max(0, count-8))
		for n := max(0, count-8); n < count; n++ {
			fmt.Fprintf(answer, "#EXTINF:2,\n%d.ts\n", n)
		}
		if count == o.ends {
			io.WriteString(answer, "#EXT-X-ENDLIST\n")
		}
	} else {
		var n int
		if _, err := fmt.Sscanf(r.URL.Path, "/%d.ts", &n); err != nil {
			return nil, err
		}
		var missing bool
		if missing, cut = o.fault(n); missing {
			answer.WriteHeader(http.StatusNotFound)
		} else {
			answer.Write(o.segment(n))
		}
	}
	resp := answer.Result()
	if cut {
		b := answer.Body.Bytes()
		resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(b[:len(b)*3/4]), brokenReader{}))
	}
	resp.Request = r
	return resp, nil
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// lone is a node that nobody is connected to.
type lone struct {
	id       stream.ID
	timeline *stream.Timeline
	store    *stream.Store
}

func (l *lone) Streams() []hls.Stream {
	return []hls.Stream{{ID: l.id, Link: "grapevine://" + l.id.String(), Timelines: []*stream.Timeline{l.timeline}, Store: l.store}}
}

func (l *lone) Status() hls.Status { return hls.Status{Role: roleBroadcast} }

// TestOriginListsWholeSegments: whatever breaks off at an origin, players are shown its
// segments only, each byte for byte, and none twice or in another order.
func TestOriginListsWholeSegments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := &faultyOrigin{began: time.Now().Add(-20 * time.Second), ends: 40}
		o, err := origin.New(origin.Config{URL: "http://origin.test/index.m3u8", Transport: from})
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		key := stream.NewKey()
		node := &lone{key.ID(), stream.NewTimeline(key.ID(), rendition), stream.NewStore(64 << 20)}
		publisher, err := stream.NewPublisher(key, rendition, 1)
		if err != nil {
			t.Fatal(err)
		}
		server, err := hls.NewServer(hls.Config{Node: node})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { server.Run(ctx) })
		running.Go(func() {
			err := o.Run(ctx, func(string) (func(stream.Part) error, error) {
				return func(p stream.Part) error { return node.publish(publisher, p) }, nil
			})
			if err != nil {
				t.Error(err)
			}
		})
		listed := watchPlaylist(t, server.Handler(), node.id, from, 70*time.Second)
		cancel()
		running.Wait()
		if len(listed) < 25 {
			t.Errorf("%d segments were listed: %v", len(listed), listed)
		}
		for i, n := range listed {
			missing, cut := from.fault(n)
			if missing || cut || i > 0 && n <= listed[i-1] {
				t.Errorf("listed are %v", listed)
				break
			}
		}
	})
}

// TestOriginErrors: what an origin's server says becomes a sentence.
func TestOriginErrors(t *testing.T) {
	code := http.StatusOK
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", code) })
	plain, secure := httptest.NewServer(h), httptest.NewUnstartedServer(h)
	defer plain.Close()
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	for _, test := range []struct {
		address string
		code    int
		want    string
	}{
		{plain.URL, http.StatusUnauthorized, "is not for everybody: "},
		{plain.URL, http.StatusForbidden, "is not for everybody: "},
		{plain.URL, http.StatusGone, "There is no stream at "},
		{plain.URL, http.StatusBadGateway, " cannot be had: "},
		{plain.URL, http.StatusOK, " is no playlist that can be used: it does not start with #EXTM3U."},
		{secure.URL, http.StatusOK, "The certificate of "},
		{strings.Replace(plain.URL, "http", "https", 1), http.StatusOK, " does not speak https."},
		{"http://no-such-host.invalid/a.m3u8", http.StatusOK, "There is no host no-such-host.invalid"},
	} {
		code = test.code
		o, err := origin.New(origin.Config{URL: test.address})
		if err != nil {
			t.Fatal(err)
		}
		sentence, hint, _ := explain(&inputError{test.address, o.Open(t.Context())})
		if !strings.Contains(sentence, test.want) || hint == "" || !strings.HasSuffix(sentence, ".") {
			t.Errorf("%s, %d: %q, hint %q; want %q", test.address, test.code, sentence, hint, test.want)
		}
	}
	quiet := &origin.QuietError{For: time.Minute, Err: &origin.StatusError{URL: "http://a.test/", Code: 404}}
	if sentence, _, _ := explain(&inputError{"http://a.test/", quiet}); sentence != "The stream at http://a.test/ had nothing new for 1m0s; at last: http://a.test/ answers 404 Not Found." {
		t.Error(sentence)
	}
}

func (l *lone) publish(publisher *stream.Publisher, p stream.Part) error {
	h, chunks, err := publisher.Publish(p)
	if err != nil {
		return err
	}
	if err := l.timeline.Add(h, time.Now()); err != nil {
		return err
	}
	for _, c := range chunks {
		l.store.Put(c)
	}
	return nil
}

// watchPlaylist fetches what a playlist lists for so long, and returns which of the origin's
// segments that is.
func watchPlaylist(t *testing.T, h http.Handler, id stream.ID, from *faultyOrigin, long time.Duration) (listed []int) {
	t.Helper()
	get := func(name string) []byte {
		answer := httptest.NewRecorder()
		local := httptest.NewRequest(http.MethodGet, "http://127.0.0.1/"+id.String()+"/"+rendition+"/"+name, nil)
		local.RemoteAddr = "127.0.0.1:50000"
		h.ServeHTTP(answer, local)
		if answer.Code != http.StatusOK {
			t.Fatalf("%s answers %d", name, answer.Code)
		}
		return answer.Body.Bytes()
	}
	seen := make(map[string]bool)
	var last uint64 // discontinuity sequence number of the segment listed last
	for began := time.Now(); time.Since(began) < long; time.Sleep(500 * time.Millisecond) {
		list, err := m3u8.NewMediaPlaylist(0, 64)
		if err != nil {
			t.Fatal(err)
		}
		if err := list.DecodeFrom(bytes.NewReader(get("index.m3u8")), true); err != nil {
			t.Fatal(err)
		}
		breaks := list.DiscontinuitySeq
		for _, s := range list.Segments[:list.Count()] {
			if s.Discontinuity {
				breaks++
			}
			if seen[s.URI] {
				continue
			}
			seen[s.URI] = true
			b, found := get(s.URI), false
			for n := range from.ends {
				if found = bytes.Equal(b, from.segment(n)); found {
					if after := len(listed) > 0 && n != listed[len(listed)-1]+1; after != (breaks != last) {
						t.Errorf("segment %d after %v: discontinuity %d after %d", n, listed, breaks, last)
					}
					last = breaks
					listed = append(listed, n)
					break
				}
			}
			if !found {
				t.Errorf("%s has %d bytes, and is no segment of the origin's", s.URI, len(b))
			}
		}
	}
	return listed
}
