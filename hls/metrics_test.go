package hls

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// fill gives each field within v another value, and calls told with each number's path and value:
// primes times 8000, which stay apart as bytes of bits and as seconds of milliseconds.
func fill(v reflect.Value, path string, next *int, told func(path string, value float64)) {
	number := func() int64 {
		for *next++; !prime(*next); *next++ {
		}
		return 8000 * int64(*next)
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), path, next, told)
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.Tag.Get("json") == "-" || !f.IsExported() || path == "Status" && f.Name == "Streams" {
				continue // the figures have it elsewhere
			}
			inner := f.Name
			if path != "" {
				inner = path + "." + f.Name
			}
			fill(v.Field(i), inner, next, told)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), path, next, told)
	case reflect.Map:
		n := number()
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("reason"), reflect.ValueOf(n))
		told(path, float64(n))
	case reflect.String:
		v.SetString(path)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		n := number()
		v.SetInt(n)
		told(path, float64(n))
	case reflect.Uint64:
		n := number()
		v.SetUint(uint64(n))
		told(path, float64(n))
	case reflect.Float64:
		n := number()
		v.SetFloat(float64(n))
		told(path, float64(n))
	case reflect.Array: // IDs
	default:
		panic("figures have a " + v.Kind().String() + " at " + path)
	}
}

func prime(n int) bool {
	for i := 2; i*i <= n; i++ {
		if n%i == 0 {
			return false
		}
	}
	return true
}

// filledFigures returns figures in which each field has a value of its own, and the numbers by their paths.
func filledFigures() (Figures, map[string]float64) {
	var f Figures
	numbers := make(map[string]float64)
	next := 1000
	fill(reflect.ValueOf(&f).Elem(), "", &next, func(path string, value float64) { numbers[path] = value })
	return f, numbers
}

// gather returns the values of all metrics of some figures, and their names.
func gather(t *testing.T, f Figures) (names map[string]bool, values map[float64]string) {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(collector{func() Figures { return f }})
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	names, values = make(map[string]bool), make(map[float64]string)
	for _, family := range families {
		names[family.GetName()] = true
		for _, m := range family.GetMetric() {
			values[m.GetCounter().GetValue()] = family.GetName()
			values[m.GetGauge().GetValue()] = family.GetName()
		}
	}
	return names, values
}

// unmeasured are the figures that no metric has, each with the reason.
var unmeasured = map[string]string{
	"Now":                                         "Prometheus has a clock",
	"Status.RateIn":                               "rate() of the bytes",
	"Status.RateOut":                              "rate() of the bytes",
	"Status.Input.Rate":                           "rate() of the bytes",
	"Status.Input.Inputs.Bytes":                   "those of all inputs are told",
	"Status.Input.Inputs.Misaligned":              "likewise",
	"Status.Input.Encoding.Renditions.Width":      "the renditions' metrics have it",
	"Status.Input.Encoding.Renditions.Height":     "likewise",
	"Status.Input.Encoding.Renditions.Bits":       "a setting",
	"Status.Input.Encoding.Renditions.Bytes":      "the stream's metrics have those of all",
	"Status.Input.Encoding.Renditions.Misaligned": "those of all are told",
	"Streams.StreamStatus.HeadersRefused":         "the sum of those by reason",
	"Streams.StreamStatus.Peers.BytesIn":          "peers come and go, and would be series without end",
	"Streams.StreamStatus.Peers.BytesOut":         "likewise",
	"Streams.StreamStatus.Peers.Refused":          "likewise",
}

// TestMetricsHaveAllFigures checks that what the status has, metrics have.
func TestMetricsHaveAllFigures(t *testing.T) {
	f, numbers := filledFigures()
	_, values := gather(t, f)
	for path, n := range numbers {
		told := values[n] + values[n/8] + values[n/1000]
		if why := unmeasured[path]; (told == "") == (why == "") {
			t.Errorf("%s is told as %q, the reason not to is %q", path, told, why)
		}
	}
	for path := range unmeasured {
		if _, ok := numbers[path]; !ok {
			t.Errorf("there is no figure %s", path)
		}
	}
}

func TestMetricsAreNamedWell(t *testing.T) {
	f, _ := filledFigures()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(collector{func() Figures { return f }})
	problems, err := testutil.GatherAndLint(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestMetricsOfAnEmptyNode checks that a node without streams tells what it has.
func TestMetricsOfAnEmptyNode(t *testing.T) {
	if names, _ := gather(t, Figures{}); !names["grapevine_uptime_seconds"] || names["grapevine_gateway_viewers"] || names["grapevine_stream_playable"] {
		t.Errorf("an empty node tells %v", names)
	}
}

func TestMetricsAreServed(t *testing.T) {
	running(t, 3, func(t *testing.T, b *broadcast, s *Server, h http.Handler, _ context.CancelFunc) {
		w := do(h, "GET", "/metrics")
		for _, want := range []string{
			"grapevine_stream_playable{stream=\"" + b.key.ID().String() + "\"} 1\n",
			"grapevine_http_requests_total 1\n",
			fmt.Sprintf("grapevine_store_bytes %d\n", b.store.Stats().Bytes),
		} {
			if !strings.Contains(w.Body.String(), want) {
				t.Errorf("the answer lacks %q:\n%s", want, w.Body)
			}
		}
		g, err := s.NewGateway(GatewayConfig{})
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
			if w := do(g.Handler(), "GET", path); w.Code != http.StatusNotFound {
				t.Errorf("a gateway answers %s with %d", path, w.Code)
			}
		}
	})
}

// TestDashboard checks that all that the dashboard draws is there to be drawn.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile("../scripts/grafana/grapevine.json")
	if err != nil {
		t.Fatal(err)
	}
	type target struct{ Expr, LegendFormat string }
	var dashboard struct {
		Panels []struct {
			ID                       int
			Type, Title, Description string
			FieldConfig              struct{ Defaults struct{ Unit string } }
			Targets                  []target
		}
		Templating struct {
			List []struct {
				Name  string
				Query any
			}
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	f, _ := filledFigures()
	names, _ := gather(t, f)
	for _, name := range processMetrics(t) {
		names[name] = true
	}
	metric := regexp.MustCompile(`\b(?:grapevine|go|process|libp2p)_[a-z0-9_]+`)
	ids, drawn := make(map[int]bool), 0
	for _, p := range dashboard.Panels {
		if ids[p.ID] || p.Title == "" {
			t.Errorf("panel %d %q has the number of another, or no title", p.ID, p.Title)
		}
		ids[p.ID] = true
		if p.Type == "row" {
			continue
		}
		if p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
			t.Errorf("panel %q has no description, no unit, or nothing to draw", p.Title)
		}
		for _, target := range p.Targets {
			found := metric.FindAllString(target.Expr, -1)
			if len(found) == 0 || strings.Count(target.Expr, "(") != strings.Count(target.Expr, ")") {
				t.Errorf("panel %q draws %q", p.Title, target.Expr)
			}
			for _, name := range found {
				drawn++
				if !names[name] {
					t.Errorf("panel %q draws %s, which nobody measures", p.Title, name)
				}
				if strings.HasSuffix(name, "_total") && !strings.Contains(target.Expr, "rate("+name) && !strings.Contains(target.Expr, "increase("+name) {
					t.Errorf("panel %q draws %s, which only grows, without rate or increase", p.Title, name)
				}
			}
		}
	}
	if drawn < 30 || !slices.Contains(metric.FindAllString(fmt.Sprint(dashboard.Templating.List), -1), "grapevine_build_info") {
		t.Errorf("the dashboard draws %d metrics, and chooses of %v", drawn, dashboard.Templating.List)
	}
}

// processMetrics returns what the program registers beside the server.
func processMetrics(t *testing.T) (names []string) {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		names = append(names, f.GetName())
	}
	return names
}
