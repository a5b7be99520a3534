//go:build linux

package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/grapevine-live/grapevine/hls"
)

func TestResultsAreMedians(t *testing.T) {
	var res result
	for _, mbs := range []float64{90, 10, 80} {
		res.Runs = append(res.Runs, run{Server: side{BytesPerCPUSecond: mbs * mb}, Nginx: side{BytesPerCPUSecond: 100 * mb}})
	}
	res.summarise()
	if res.Ratio != 0.8 || res.Server.BytesPerCPUSecond != 80*mb {
		t.Errorf("ratio %v of %v, want 0.8 of 80 MB", res.Ratio, res.Server.BytesPerCPUSecond)
	}
	var out strings.Builder
	res.print(&out)
	if !strings.Contains(out.String(), "ratio 0.80") {
		t.Errorf("no ratio:\n%s", &out)
	}
}

// TestBothServeTheSame copies what the server lists, and compares it with what it was
// made of.
func TestBothServeTheSame(t *testing.T) {
	const rate = 80_000
	n, err := newNode(rate)
	if err != nil {
		t.Fatal(err)
	}
	server, err := hls.NewServer(hls.Config{Node: n, Window: segments})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	if err := server.WaitPlayable(ctx, n.stream.ID); err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(server.Handler())
	defer h.Close()
	media, err := mediaURL(ctx, h.URL+"/"+n.stream.ID.String()+"/index.m3u8")
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	if err := mirror(ctx, media, root); err != nil {
		t.Fatal(err)
	}
	var want string
	for i := range segments * segmentParts {
		want += string(makePart(i, rate).Data)
	}
	list, err := os.ReadFile(filepath.Join(root, strings.TrimPrefix(media, h.URL)))
	if err != nil {
		t.Fatal(err)
	}
	var got string
	for _, name := range segmentsOf(string(list)) {
		data, err := os.ReadFile(filepath.Join(root, n.stream.ID.String(), "main", name))
		if err != nil {
			t.Fatal(err)
		}
		got += string(data)
	}
	if got != want {
		t.Errorf("%d bytes were copied, %d broadcast, or they differ", len(got), len(want))
	}
}

// TestAClientTakesSegmentsInTurn has one play until it has asked six times.
func TestAClientTakesSegmentsInTurn(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var asked []string
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked = append(asked, r.URL.Path); len(asked) > 6 {
			cancel()
			<-r.Context().Done() // whoever answers now may be heard all the same
			return
		}
		if strings.HasSuffix(r.URL.Path, ".m3u8") {
			_, _ = w.Write([]byte("#EXTM3U\n1.ts\n2.ts\n"))
			return
		}
		_, _ = w.Write([]byte("0123456789"))
	}))
	u, err := url.Parse(h.URL + "/x.m3u8")
	if err != nil {
		t.Fatal(err)
	}
	c := &clients{url: u}
	if err := c.play(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	h.Close()
	if got := strings.Join(asked[:6], " "); got != "/x.m3u8 /1.ts /x.m3u8 /2.ts /x.m3u8 /1.ts" {
		t.Errorf("it asked for %s", got)
	}
	if n := c.bytes.Load(); n != 3*10+3*int64(len("#EXTM3U\n1.ts\n2.ts\n")) {
		t.Errorf("%d bytes were counted", n)
	}
}
