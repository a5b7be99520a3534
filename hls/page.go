package hls

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/grapevine-live/grapevine/stream"
)

// The page and hls.js. Nothing of it is fetched from anywhere else.
//
//go:embed page/*
var pageFiles embed.FS

// pageTypes are the content types of the page's files. The system's own table may have
// others.
var pageTypes = map[string]string{
	".css":  "text/css; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
	".txt":  "text/plain; charset=utf-8",
}

const (
	// pageRoot is the address of the page itself.
	pageRoot = "/{$}"
	// embedPrefix is before a stream's ID in the address of its player alone.
	embedPrefix = "/embed/"

	indexFile = "page/index.html"
	embedFile = "page/embed.html"
)

// pagePolicy lets the page use what comes from this node and nothing else. hls.js
// feeds the player from blobs, runs its worker from one, and begins subtitles with an
// empty track in a data URL.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"media-src 'self' blob: data:; worker-src 'self' blob:; base-uri 'none'; form-action 'none'"

// Nobody may frame the page, which names peers and has links to copy.
const unframed = "; frame-ancestors 'none'"

// pagePermissions are what the page leaves alone, and what it frames or is made to run could
// not ask for: camera and microphone are the business of a WHIP input's own page.
const pagePermissions = "camera=(), microphone=(), display-capture=(), geolocation=(), midi=(), payment=(), usb=()"

// loadPage returns the page's files by the path that they have on the server, and the
// player alone.
func loadPage() (page map[string]*document, player *document, err error) {
	page = make(map[string]*document)
	files, err := fs.Glob(pageFiles, "page/*")
	if err != nil {
		return nil, nil, fmt.Errorf("list the page's files: %w", err)
	}
	for _, file := range files {
		text, err := pageFiles.ReadFile(file)
		if err != nil {
			return nil, nil, fmt.Errorf("read %s: %w", file, err)
		}
		contentType, ok := pageTypes[path.Ext(file)]
		if !ok {
			return nil, nil, fmt.Errorf("%s is of no type that the page has", file)
		}
		switch d := newDocument(contentType, text); file {
		case indexFile:
			page[pageRoot] = d
		case embedFile:
			player = d
		default:
			page[strings.TrimPrefix(file, "page")] = d
		}
	}
	return page, player, nil
}

// zipPage compresses the page's files, so that whoever opens it first need not wait for
// that: hls.js takes 30 ms of a core that is idle.
func (s *Server) zipPage(ctx context.Context) {
	for _, d := range s.page {
		if ctx.Err() != nil {
			return
		}
		d.gzipped()
	}
}

func (s *Server) servePage(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Path
	if name == "/" {
		name = pageRoot
	}
	w.Header().Set("Content-Security-Policy", pagePolicy+unframed)
	w.Header().Set("Cross-Origin-Opener-Policy", "same-origin")
	serveOwn(w, r, s.page[name])
}

// serveEmbed serves the player alone, for frames in other pages, of which framing is the
// policy. The stream may come later; the player waits for it.
func (s *Server) serveEmbed(w http.ResponseWriter, r *http.Request, framing string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	if _, err := stream.ParseID(strings.TrimPrefix(r.URL.Path, embedPrefix)); err != nil {
		s.counts.unknown.Add(1)
		notFound(w)
		return
	}
	w.Header().Set("Content-Security-Policy", pagePolicy+framing)
	serveOwn(w, r, s.embedded)
}

// ownHeaders are of answers that are no other site's business.
func ownHeaders(h http.Header) {
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

func serveOwn(w http.ResponseWriter, r *http.Request, d *document) {
	ownHeaders(w.Header())
	w.Header().Set("Permissions-Policy", pagePermissions)
	// The next version of the program has other files under the same names.
	w.Header().Set("Cache-Control", cacheNever)
	d.ServeHTTP(w, r)
}
