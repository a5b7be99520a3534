package hls

import (
	"context"
	"encoding/xml"
	"fmt"
	"image/color"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/boombuler/barcode/qr"

	"github.com/grapevine-live/grapevine/stream"
)

func testLink(peers int) stream.Link {
	link := stream.Link{Stream: stream.NewKey().ID()}
	for i := range peers {
		link.Peers = append(link.Peers, fmt.Sprintf("/ip4/192.0.2.%d/udp/4747/quic-v1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN", i+1))
	}
	return link
}

// TestDrawQR reads the modules back from the drawing.
func TestDrawQR(t *testing.T) {
	for _, peers := range []int{0, 1, maxQRPeers, stream.MaxLinkPeers} {
		link := testLink(peers)
		picture, err := drawQR(link.String())
		if err != nil {
			t.Fatal(err)
		}
		var svg struct {
			ViewBox string `xml:"viewBox,attr"`
			Paths   []struct {
				D string `xml:"d,attr"`
			} `xml:"path"`
		}
		if err := xml.Unmarshal(picture, &svg); err != nil || len(svg.Paths) != 2 {
			t.Fatalf("%d paths, %v", len(svg.Paths), err)
		}
		dark := map[[2]int]bool{}
		for _, m := range regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-(\d+)z`).FindAllStringSubmatch(svg.Paths[1].D, -1) {
			x, _ := strconv.Atoi(m[1])
			y, _ := strconv.Atoi(m[2])
			n, _ := strconv.Atoi(m[3])
			if m[3] != m[4] {
				t.Fatalf("a run of %s goes back %s", m[3], m[4])
			}
			for i := range n {
				dark[[2]int{x + i - qrQuiet, y - qrQuiet}] = true
			}
		}
		link.Peers = link.Peers[:min(peers, maxQRPeers)]
		code, err := qr.Encode(link.String(), qr.L, qr.Auto)
		if err != nil {
			t.Fatal(err)
		}
		size := code.Bounds().Dx()
		if want := fmt.Sprintf("0 0 %d %d", size+2*qrQuiet, size+2*qrQuiet); svg.ViewBox != want {
			t.Errorf("drawn in %q, want %q", svg.ViewBox, want)
		}
		for y := range size {
			for x := range size {
				if dark[[2]int{x, y}] != (code.At(x, y) == color.Black) {
					t.Fatalf("with %d peers, module %d, %d is wrong", peers, x, y)
				}
				delete(dark, [2]int{x, y})
			}
		}
		for module, is := range dark {
			if is {
				t.Errorf("a dark module at %v, outside of the code", module)
			}
		}
	}
	for _, text := range []string{"", "https://192.0.2.1/", testLink(0).String() + "?peer=" + strings.Repeat("x", 3000)} {
		if _, err := drawQR(text); err == nil {
			t.Errorf("%.40q was drawn", text)
		}
	}
}

func TestServeQR(t *testing.T) {
	running(t, 0, func(t *testing.T, b *broadcast, s *Server, h http.Handler, _ context.CancelFunc) {
		w := do(h, "GET", "/api/v1/streams/"+b.key.ID().String()+"/qr.svg")
		if w.Code != 200 || w.Header().Get("Content-Type") != "image/svg+xml" || w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%d, %v", w.Code, w.Header())
		}
		if want, err := drawQR(b.Streams()[0].Link); err != nil || w.Body.String() != string(want) {
			t.Errorf("not the stream's link: %v", err)
		}
		for _, id := range []string{"nonsense", stream.NewKey().ID().String()} {
			if code := do(h, "GET", "/api/v1/streams/"+id+"/qr.svg").Code; code != 404 {
				t.Errorf("%s: %d, want 404", id, code)
			}
		}
		if n := s.counts.unknown.Load(); n != 2 {
			t.Errorf("%d were counted as unknown, want 2", n)
		}
	})
}
