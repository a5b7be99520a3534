package hls

import (
	"fmt"
	"image/color"
	"net/http"
	"strings"

	"github.com/boombuler/barcode/qr"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	qrType = "image/svg+xml"
	// qrQuiet is the empty border that scanners need, in modules (ISO/IEC 18004, section
	// 9.1).
	qrQuiet = 4
	// maxQRPeers is how many peers' addresses a QR code holds. With two a phone reads it
	// from a screen across a table; with all, hardly at all.
	maxQRPeers = 2
)

// serveQR draws a stream's link. Like the status it is not shared with other origins: it
// names peers.
func (s *Server) serveQR(w http.ResponseWriter, r *http.Request) {
	id, err := stream.ParseID(r.PathValue("stream"))
	if err != nil {
		s.counts.unknown.Add(1)
		notFound(w)
		return
	}
	for _, st := range s.cfg.Node.Streams() {
		if st.ID != id {
			continue
		}
		picture, err := drawQR(st.Link)
		if err != nil {
			s.log.Error("draw a QR code", "stream", id.Short(), "err", err)
			http.Error(w, "the link cannot be drawn", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Cache-Control", cacheNever) // the node's addresses change
		newDocument(qrType, picture).ServeHTTP(w, r)
		return
	}
	s.counts.unknown.Add(1)
	notFound(w)
}

// drawQR draws a link with its first peers as an SVG, dark on light as scanners like it.
func drawQR(text string) ([]byte, error) {
	link, err := stream.ParseLink(text)
	if err != nil {
		return nil, fmt.Errorf("read the link: %w", err)
	}
	link.Peers = link.Peers[:min(len(link.Peers), maxQRPeers)]
	// The lowest level of correction: a screen has no dirt, and a link is long.
	code, err := qr.Encode(link.String(), qr.L, qr.Auto)
	if err != nil {
		return nil, fmt.Errorf("encode the link as a QR code: %w", err)
	}
	size := code.Bounds().Dx()
	whole := size + 2*qrQuiet
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" shape-rendering="crispEdges">`, whole, whole)
	fmt.Fprintf(&b, `<path fill="#fff" d="M0 0h%dv%dH0z"/><path d="`, whole, whole)
	for y := range size {
		for x := 0; x < size; x++ {
			run := 0
			for x+run < size && code.At(x+run, y) == color.Black {
				run++
			}
			if run > 0 {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", x+qrQuiet, y+qrQuiet, run, run)
				x += run
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return []byte(b.String()), nil
}
