package hls

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// FuzzRequest has a running server answer what a client may send. STREAM in it stands for the
// stream's ID. No answer is a failure of the server's; who is on another machine, and shows no
// token, gets nothing; neither does who knows the node by a name that it has not.
func FuzzRequest(f *testing.F) {
	for _, lines := range []string{
		"GET / HTTP/1.1|Host: localhost",
		"GET /STREAM/index.m3u8 HTTP/1.1|Host: 127.0.0.1:8787|Accept-Encoding: gzip",
		"GET /STREAM/main/ll.m3u8?_HLS_msn=7&_HLS_part=1 HTTP/1.1|Host: 127.0.0.1",
		"GET /STREAM/main/ll.m3u8?_HLS_skip=YES HTTP/1.1|Host: [::1]:80|If-None-Match: \"1\"",
		"GET /STREAM/main/dvr.m3u8 HTTP/1.1|Host: 127.0.0.1|Origin: https://example.org",
		"HEAD /STREAM/main/1-4.ts HTTP/1.1|Host: 127.0.0.1|Range: bytes=0-99,200-",
		"GET /STREAM/main/1-4.ts HTTP/1.0|Host: node.example",
		"GET /STREAM/main/1-4.1.mp4 HTTP/1.1|Host: 127.0.0.1|If-Modified-Since: Mon, 02 Jan 2006 15:04:05 GMT",
		"OPTIONS /STREAM/index.m3u8 HTTP/1.1|Host: 127.0.0.1|Origin: null|Access-Control-Request-Method: GET",
		"POST /api/v1/status HTTP/1.1|Host: 127.0.0.1|Content-Length: 2||{}",
		"GET /t/0123456789abcdef/embed/STREAM?start=1e9 HTTP/1.1|Host: 10.0.0.1|Cookie: token=0123456789abcdef",
		"GET /api/v1/streams/STREAM HTTP/1.1|Host: 127.0.0.1|Authorization: Bearer 0123456789abcdef",
		"GET http://127.0.0.1/metrics HTTP/1.1|Host: 127.0.0.1|Sec-Fetch-Site: cross-site|Sec-Fetch-Mode: navigate|Sec-Fetch-Dest: iframe",
		"GET //STREAM/../%2e%2e/main/%00 HTTP/1.1|Host: 127.0.0.1.",
	} {
		for _, stranger := range []bool{false, true} {
			f.Add([]byte(strings.ReplaceAll(lines, "|", "\r\n")+"\r\n\r\n"), stranger)
		}
	}
	b := newBroadcast(f, 0)
	for range 8 {
		b.air(2 * time.Second)
	}
	s, err := NewServer(Config{Node: b, Door: Door{Token: rand.Text()}})
	if err != nil {
		f.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	f.Cleanup(stop)
	go func() {
		if err := s.Run(ctx); err != nil {
			f.Error(err)
		}
	}()
	h, local := s.Handler(), &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8787}
	f.Fuzz(func(t *testing.T, raw []byte, stranger bool) {
		raw = bytes.ReplaceAll(raw, []byte("STREAM"), []byte(b.key.ID().String()))
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
		if err != nil {
			return // net/http answers it
		}
		if r.RemoteAddr = "127.0.0.1:50000"; stranger {
			r.RemoteAddr = "192.0.2.1:50000"
		}
		// Who waits for a part that is not there yet goes soon.
		ctx, cancel := context.WithTimeout(context.WithValue(ctx, http.LocalAddrContextKey, net.Addr(local)), 10*time.Millisecond)
		defer cancel()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r.WithContext(ctx))
		_, noAddr := netip.ParseAddr(hostName(r.Host))
		switch named := r.Host != "" && noAddr != nil && hostName(r.Host) != "localhost"; {
		case w.Code >= 500 && w.Code != http.StatusServiceUnavailable:
			t.Errorf("the answer is %d: %.200s", w.Code, w.Body)
		case w.Code < 300 && (stranger || named):
			t.Errorf("let in with %d: %.200s", w.Code, w.Body)
		}
	})
}
