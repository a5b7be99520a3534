package hls

import (
	"embed"
	"fmt"
	"net/http"
)

// The page and hls.js. Nothing of it is fetched from anywhere else.
//
//go:embed page/*
var pageFiles embed.FS

// pagePaths maps what is asked for to the page's files.
var pagePaths = map[string]struct{ file, contentType string }{
	"/{$}":             {"page/index.html", "text/html; charset=utf-8"},
	"/page.css":        {"page/page.css", "text/css; charset=utf-8"},
	"/icon.svg":        {"page/icon.svg", "image/svg+xml"},
	"/page.js":         {"page/page.js", "text/javascript; charset=utf-8"},
	"/player.js":       {"page/player.js", "text/javascript; charset=utf-8"},
	"/format.js":       {"page/format.js", "text/javascript; charset=utf-8"},
	"/hls.min.js":      {"page/hls.min.js", "text/javascript; charset=utf-8"},
	"/hls.LICENSE.txt": {"page/hls.LICENSE.txt", "text/plain; charset=utf-8"},
}

// pagePolicy lets the page use what comes from this node and nothing else. hls.js
// feeds the player from blobs and runs its worker from one.
const pagePolicy = "default-src 'self'; media-src 'self' blob:; worker-src 'self' blob:; " +
	"object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func loadPage() (map[string]*document, error) {
	page := make(map[string]*document)
	for path, p := range pagePaths {
		text, err := pageFiles.ReadFile(p.file)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", p.file, err)
		}
		page[path] = newDocument(p.contentType, text)
	}
	return page, nil
}

func (s *Server) servePage(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	// The next version of the program has other files under the same names.
	h.Set("Cache-Control", cacheNever)
	path := r.URL.Path
	if path == "/" {
		path = "/{$}"
	}
	s.page[path].ServeHTTP(w, r)
}
