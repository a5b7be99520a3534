package ingest

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"strings"
	"time"
)

// The page that publishes from a browser. Nothing of it is fetched from anywhere else.
//
//go:embed page/*
var whipPageFiles embed.FS

// whipPageTypes are the content types of the page's files. The system's own table may have
// others.
var whipPageTypes = map[string]string{
	".css":  "text/css; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// whipPage serves the page by its files' names, and itself at the root.
type whipPage map[string][]byte

// newWHIPPage returns the page that publishes to an endpoint.
func newWHIPPage(endpoint string) (whipPage, error) {
	page := make(whipPage)
	files, err := whipPageFiles.ReadDir("page")
	if err != nil {
		return nil, fmt.Errorf("list the page's files: %w", err)
	}
	for _, f := range files {
		if page["/"+f.Name()], err = whipPageFiles.ReadFile("page/" + f.Name()); err != nil {
			return nil, fmt.Errorf("read %s: %w", f.Name(), err)
		}
	}
	const index = "/index.html"
	t, err := template.New(index).Parse(string(page[index]))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", index, err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, endpoint); err != nil {
		return nil, fmt.Errorf("fill in %s: %w", index, err)
	}
	page[index] = b.Bytes()
	return page, nil
}

func (p whipPage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Path
	if strings.HasSuffix(name, "/") {
		name += "index.html"
	}
	text, ok := p[name]
	switch {
	case !ok:
		http.NotFound(w, r)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	h := w.Header()
	h.Set("Content-Type", whipPageTypes[path.Ext(name)])
	h.Set("Content-Security-Policy", "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(self), microphone=(self), display-capture=(self)")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store") // the next version has other files under the same names
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
}
