package hls

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/hls/apitest"
	"github.com/grapevine-live/grapevine/stream"
)

var writeAPI = flag.Bool("write-api", false, "write openapi.json anew")

// TestAPIIsDescribed checks that openapi.json is what the types of the answers make it.
func TestAPIIsDescribed(t *testing.T) {
	s, err := NewServer(Config{Node: &changing{}})
	if err != nil {
		t.Fatal(err)
	}
	want, err := json.MarshalIndent(newDescriber(t).describe(s.apiRoutes()), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *writeAPI {
		if err := os.WriteFile("openapi.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(apiDescription, want) {
		t.Error("openapi.json is not what the API is; write it anew: go test ./hls -run TestAPIIsDescribed -write-api")
	}
}

// TestAPISaysWhatFieldsMean checks that fields whose names do not say it have a comment.
func TestAPISaysWhatFieldsMean(t *testing.T) {
	var described struct {
		Components struct {
			Schemas map[string]struct {
				Description string
				Properties  map[string]struct{ Description string }
			}
		}
	}
	if err := json.Unmarshal(apiDescription, &described); err != nil {
		t.Fatal(err)
	}
	if len(described.Components.Schemas) < 12 {
		t.Errorf("only %d schemas", len(described.Components.Schemas))
	}
	for name, s := range described.Components.Schemas {
		said := 0
		for _, p := range s.Properties {
			if p.Description != "" {
				said++
			}
		}
		if s.Description == "" || 2*said < len(s.Properties) {
			t.Errorf("%s says %q, and what %d of its %d fields mean", name, s.Description, said, len(s.Properties))
		}
	}
}

func parseAPI(t *testing.T) *apitest.API {
	t.Helper()
	api, err := apitest.Parse(apiDescription)
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// TestAnswersConform holds what a server answers, in several states, to the description.
func TestAnswersConform(t *testing.T) {
	api := parseAPI(t)
	conform := func(t *testing.T, h http.Handler, path, address string) {
		t.Helper()
		w := do(h, "GET", address)
		if err := api.Conforms(path, w.Code, w.Body.Bytes()); err != nil {
			t.Errorf("%s: %v\n%s", address, err, w.Body)
		}
	}
	all := func(t *testing.T, h http.Handler, id stream.ID) {
		t.Helper()
		for _, path := range api.Paths() {
			switch path {
			case "/metrics", "/api/v1/openapi.json", "/api/v1/streams/{stream}/qr.svg": // no JSON
			default:
				conform(t, h, path, strings.Replace(path, "{stream}", id.String(), 1))
			}
		}
	}
	t.Run("nothing", func(t *testing.T) {
		at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
		s, err := NewServer(Config{Node: &changing{}, Directory: func() []Listing {
			return []Listing{{stream.NewKey().ID(), "a title", "", "grapevine://", at, at}}
		}})
		if err != nil {
			t.Fatal(err)
		}
		all(t, s.Handler(), stream.NewKey().ID())
		conform(t, s.Handler(), "/api/v1/streams/{stream}", "/api/v1/streams/nonsense")
	})
	t.Run("a stream", func(t *testing.T) {
		running(t, 0, func(t *testing.T, b *broadcast, s *Server, h http.Handler, _ context.CancelFunc) {
			all(t, h, b.key.ID())
			for range 3 {
				b.air(2 * time.Second)
				time.Sleep(2 * time.Second)
			}
			if code := do(h, "GET", b.path("dvr.m3u8")).Code; code != 200 {
				t.Errorf("dvr.m3u8: %d", code)
			}
			if _, err := s.NewGateway(GatewayConfig{}); err != nil {
				t.Fatal(err)
			}
			all(t, h, b.key.ID())
		})
	})
	t.Run("all there is", func(t *testing.T) {
		f, _ := filledFigures()
		text, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := api.Conforms("/api/v1/status", 200, text); err != nil {
			t.Error(err)
		}
	})
}

// TestConformanceIsStrict breaks answers, and sees that noticed.
func TestConformanceIsStrict(t *testing.T) {
	api := parseAPI(t)
	f, _ := filledFigures()
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	for name, breaks := range map[string]func(map[string]any){
		"a field that is not described": func(m map[string]any) { m["further"] = 1 },
		"a field that is missing":       func(m map[string]any) { delete(m, "peer_id") },
		"text for a number":             func(m map[string]any) { m["bytes_in"] = "1" },
		"a negative count":              func(m map[string]any) { m["bytes_in"] = -1 },
		"null for a list":               func(m map[string]any) { m["streams"] = nil },
		"a field within that is unlike": func(m map[string]any) { m["limits"].(map[string]any)["wire_in"] = 0.5 },
		"a stream's ID that is none":    func(m map[string]any) { m["streams"].([]any)[0].(map[string]any)["id"] = "x" },
		"a peer's field that is missing": func(m map[string]any) {
			delete(m["streams"].([]any)[0].(map[string]any)["peers"].([]any)[0].(map[string]any), "direct")
		},
		"a reason whose count is no count": func(m map[string]any) {
			m["streams"].([]any)[0].(map[string]any)["found"].(map[string]any)["link"] = "x"
		},
	} {
		var value map[string]any
		if err := json.Unmarshal(text, &value); err != nil {
			t.Fatal(err)
		}
		breaks(value)
		broken, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		if api.Conforms("/api/v1/status", 200, broken) == nil {
			t.Errorf("%s went unnoticed", name)
		}
	}
	if api.Conforms("/api/v1/status", 500, text) == nil || api.Conforms("/api/v1/nonsense", 200, text) == nil {
		t.Error("what is not described conforms")
	}
}

func TestAPIDescriptionIsServed(t *testing.T) {
	s, err := NewServer(Config{Node: &changing{}})
	if err != nil {
		t.Fatal(err)
	}
	w := do(s.Handler(), "GET", "/api/v1/openapi.json")
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/vnd.oai.openapi+json" || !bytes.Equal(w.Body.Bytes(), apiDescription) {
		t.Errorf("%d, %v, %d bytes", w.Code, w.Header(), w.Body.Len())
	}
}
