package hls

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"sync"
	"time"
)

// document is a text that is served whole: a playlist, or a file of the page.
type document struct {
	contentType string
	text        []byte
	gzipped     func() []byte // made when first asked for
	etag        string        // without quotes
}

func newDocument(contentType string, text []byte) *document {
	sum := sha256.Sum256(text)
	return &document{
		contentType: contentType,
		text:        text,
		gzipped: sync.OnceValue(func() []byte {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			_, _ = z.Write(text) // a bytes.Buffer takes everything
			_ = z.Close()
			return b.Bytes()
		}),
		etag: hex.EncodeToString(sum[:12]),
	}
}

// ServeHTTP answers GET and HEAD, conditional and range requests, gzipped where the
// client takes that. The caller sets Cache-Control.
func (d *document) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", d.contentType)
	h.Add("Vary", "Accept-Encoding")
	text, etag := d.text, d.etag
	if acceptsGzip(r.Header) {
		h.Set("Content-Encoding", "gzip")
		text, etag = d.gzipped(), d.etag+"-gzip" // another representation (RFC 9110, section 8.8.3.3)
	}
	h.Set("ETag", `"`+etag+`"`)
	// Without the writer's ReadFrom, which would send the header by itself.
	http.ServeContent(struct{ http.ResponseWriter }{w}, r, "", time.Time{}, bytes.NewReader(text))
}

// acceptsGzip reads Accept-Encoding (RFC 9110, section 12.5.3). A range is of the
// plain text: that is what whoever asks for one means.
func acceptsGzip(h http.Header) bool {
	if h.Get("Range") != "" {
		return false
	}
	for _, field := range h.Values("Accept-Encoding") {
		for _, coding := range strings.Split(field, ",") {
			name, weight, _ := strings.Cut(strings.TrimSpace(coding), ";")
			if strings.EqualFold(strings.TrimSpace(name), "gzip") {
				q := strings.ReplaceAll(weight, " ", "")
				return q != "q=0" && strings.TrimRight(q, "0") != "q=0."
			}
		}
	}
	return false
}
