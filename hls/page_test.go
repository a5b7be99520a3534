package hls

import (
	"context"
	"io/fs"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// TestPageIsWhole checks that all that the page names is served by the node itself,
// and that it names no other host.
func TestPageIsWhole(t *testing.T) {
	running(t, 0, func(t *testing.T, _ *broadcast, _ *Server, h http.Handler, _ context.CancelFunc) {
		named := regexp.MustCompile(`(?:src|href)="([^"#]+)"|from "\./([^"]+)"`)
		foreign := regexp.MustCompile(`(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}`)
		served := map[string]bool{}
		for path := range pagePaths {
			served[strings.TrimSuffix(strings.TrimPrefix(path, "/"), "{$}")] = true
		}
		err := fs.WalkDir(pageFiles, "page", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), "hls.") {
				return err
			}
			text, err := fs.ReadFile(pageFiles, path)
			if err != nil {
				return err
			}
			for _, m := range named.FindAllStringSubmatch(string(text), -1) {
				name := m[1] + m[2]
				if !served[name] {
					t.Errorf("%s names %q, which is not served", path, name)
				}
				if code := do(h, "GET", "/"+name).Code; code != 200 {
					t.Errorf("%s names %q: %d", path, name, code)
				}
			}
			if found := foreign.FindString(strings.ReplaceAll(string(text), "http://www.w3.org/2000/svg", "")); found != "" {
				t.Errorf("%s names another host: %s", path, found)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
