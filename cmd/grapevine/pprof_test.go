package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestProfiler(t *testing.T) {
	for _, test := range []struct {
		path string
		code int
		has  string
	}{
		{"/debug/pprof/", 200, "goroutine"},
		{"/debug/pprof/goroutine?debug=1", 200, "goroutine profile: total"},
		{"/debug/pprof/heap", 200, "\x1f\x8b"}, // gzip
		{"/debug/pprof/profile?seconds=0.01", 200, "\x1f\x8b"},
		{"/debug/pprof/trace?seconds=0.01", 200, "go 1."},
		{"/debug/pprof/profile?seconds=0", 400, "seconds must be"},
		{"/debug/pprof/trace?seconds=x", 400, "seconds must be"},
		{"/debug/pprof/profile?seconds=301", 400, "seconds must be"},
		{"/debug/pprof/nonsense", 404, "no profile of that name"},
		{"/", 404, ""},
	} {
		w := httptest.NewRecorder()
		profiler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, test.path, nil))
		if w.Code != test.code || !strings.Contains(w.Body.String(), test.has) {
			t.Errorf("%s: %d %.80q", test.path, w.Code, w.Body)
		}
	}
}
