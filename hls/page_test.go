package hls

import (
	"context"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// own calls f with each of the page's files that is our own.
func own(t *testing.T, f func(file, text string)) {
	t.Helper()
	err := fs.WalkDir(pageFiles, "page", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), "hls.") {
			return err
		}
		text, err := fs.ReadFile(pageFiles, file)
		f(file, string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestPageIsWhole checks that all that the page names is served by the node itself,
// that it names no other host, and that it has no file that nothing names.
func TestPageIsWhole(t *testing.T) {
	running(t, 0, func(t *testing.T, _ *broadcast, s *Server, h http.Handler, _ context.CancelFunc) {
		reference := regexp.MustCompile(`(?:src|href)="([^"#$]+)"|from "\./([^"]+)"`)
		foreign := regexp.MustCompile(`(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}`)
		named := map[string]bool{pageRoot: true}
		own(t, func(file, text string) {
			for _, m := range reference.FindAllStringSubmatch(text, -1) {
				// The player alone is served one level below.
				name := "/" + strings.TrimPrefix(m[1]+m[2], "../")
				if path.Base(file) == "embed.html" != strings.HasPrefix(m[1], "../") {
					t.Errorf("%s names %q, which is elsewhere", file, m[1])
				}
				named[name] = true
				if s.page[name] == nil {
					t.Errorf("%s names %q, which the page does not have", file, name)
				} else if code := do(h, "GET", name).Code; code != 200 {
					t.Errorf("%s names %q: %d", file, name, code)
				}
			}
			if found := foreign.FindString(strings.ReplaceAll(text, "http://www.w3.org/2000/svg", "")); found != "" {
				t.Errorf("%s names another host: %s", file, found)
			}
		})
		for name := range s.page {
			if !named[name] {
				t.Errorf("nothing names %s", name)
			}
		}
	})
}

// TestModulesAreFetchedTogether checks that each document names all that its script
// imports, so that the browser need not find them one after the other.
func TestModulesAreFetchedTogether(t *testing.T) {
	imports := regexp.MustCompile(`from "\./([^"]+)"`)
	preloads := regexp.MustCompile(`<link rel="modulepreload" href="(?:\.\./)?([^"]+)">`)
	for document, script := range map[string]string{indexFile: "page.js", embedFile: "embed.js"} {
		want := []string{script}
		for i := 0; i < len(want); i++ {
			for _, m := range imports.FindAllStringSubmatch(read(t, "page/"+want[i]), -1) {
				if !slices.Contains(want, m[1]) {
					want = append(want, m[1])
				}
			}
		}
		got := []string{script}
		for _, m := range preloads.FindAllStringSubmatch(read(t, document), -1) {
			got = append(got, m[1])
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s has the browser fetch %v, and %s needs %v", document, got, script, want)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := fs.ReadFile(pageFiles, file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestPageWaitsForTheArchive checks that the page waits for the first answer as long as the
// node may ask its peers.
func TestPageWaitsForTheArchive(t *testing.T) {
	m := regexp.MustCompile(`const patience = (\d+);`).FindStringSubmatch(read(t, "page/archive.js"))
	if m == nil {
		t.Fatal("archive.js does not say how long it waits")
	}
	if patience, err := strconv.Atoi(m[1]); err != nil || time.Duration(patience)*time.Millisecond <= learnFor {
		t.Errorf("it waits %d ms, and the first answer takes up to %v (%v)", patience, learnFor, err)
	}
}

// TestPageIsStrict checks that nothing of the page needs what its policy forbids.
func TestPageIsStrict(t *testing.T) {
	inline := regexp.MustCompile(`<style|\sstyle="|\son[a-z]+="|<script>|javascript:|setAttribute\("style"|\beval\(|new Function`)
	own(t, func(file, text string) {
		if found := inline.FindString(text); found != "" {
			t.Errorf("%s has %q, which its policy forbids", file, found)
		}
	})
}

func TestEmbed(t *testing.T) {
	running(t, 0, func(t *testing.T, b *broadcast, s *Server, h http.Handler, _ context.CancelFunc) {
		for _, test := range []struct {
			name, method, path string
			code               int
		}{
			{"a stream", "GET", "/embed/" + b.key.ID().String(), 200},
			{"its head", "HEAD", "/embed/" + b.key.ID().String(), 200},
			{"a stream that may come", "GET", "/embed/" + stream.NewKey().ID().String(), 200},
			{"no stream", "GET", "/embed/nonsense", 404},
			{"a playlist's name", "GET", "/embed/index.m3u8", 404},
			{"nothing", "GET", "/embed/", 404},
			{"more", "GET", "/embed/" + b.key.ID().String() + "/", 404},
			{"post", "POST", "/embed/" + b.key.ID().String(), 405},
		} {
			if w := do(h, test.method, test.path); w.Code != test.code {
				t.Errorf("%s: %d, want %d", test.name, w.Code, test.code)
			}
		}
		if n := s.counts.unknown.Load(); n != 4 {
			t.Errorf("%d were counted as unknown, want 4", n)
		}
		// The sites that may frame the player may not frame the page.
		for path, framed := range map[string]bool{"/": false, "/embed/" + b.key.ID().String(): true} {
			w := do(h, "GET", path)
			policy := w.Header().Get("Content-Security-Policy")
			if strings.Contains(policy, "frame-ancestors") == framed || !strings.Contains(policy, "script-src 'self'; style-src 'self';") {
				t.Errorf("%s has the policy %q", path, policy)
			}
			if got := w.Header().Get("Content-Type"); got != "text/html; charset=utf-8" {
				t.Errorf("%s is of type %q", path, got)
			}
			if got := w.Header().Get("X-Frame-Options"); framed && got != "" {
				t.Errorf("%s has X-Frame-Options %q", path, got)
			}
		}
	})
}
