package hls

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

func TestReadiness(t *testing.T) {
	id := stream.NewKey().ID()
	well := func() Figures {
		f := Figures{Streams: []StreamFigures{{StreamStatus: StreamStatus{ID: id, HeadersReceived: 1}, Playable: true, Renditions: []RenditionFigures{{Latency: 2}}}}}
		f.Addrs = []string{"/ip4/192.0.2.1/tcp/4747"}
		return f
	}
	for _, test := range []struct {
		name   string
		change func(*Figures)
		fails  string // the check; "" if the node is ready
		says   string
	}{
		{"all is well", func(*Figures) {}, "", ""},
		{"nothing joined", func(f *Figures) { f.Streams = nil }, "", ""},
		{"one of two plays", func(f *Figures) {
			f.Streams = append([]StreamFigures{{StreamStatus: StreamStatus{ID: stream.NewKey().ID()}}}, f.Streams...)
		}, "", ""},
		{"a clock that is a little behind", func(f *Figures) { f.Streams[0].Renditions[0].Latency = -4.9 }, "", ""},
		{"a late stream", func(f *Figures) { f.Streams[0].Renditions[0].Latency = 900 }, "", ""},
		{"a header of another time, and others", func(f *Figures) { f.Streams[0].HeadersRefusedBy = map[string]int64{"clock": 1} }, "", ""},
		{"no address", func(f *Figures) { f.Addrs = nil }, "listening", "The node has no address at which peers could reach it."},
		{"nothing plays", func(f *Figures) { f.Streams[0].Playable = false }, "streams", "Nothing can be played yet of " + id.Short() + "."},
		{"budget", func(f *Figures) { f.Limits.Closed, f.Limits.Until = "budget", "2030-01-01T00:00:00Z" }, "open", "The month's budget is spent, until 2030-01-01T00:00:00Z."},
		{"schedule", func(f *Figures) { f.Limits.Closed = "schedule" }, "open", "The node is closed by its schedule."},
		{"a slow clock", func(f *Figures) { f.Streams[0].Renditions[0].Latency = -60 }, "clock",
			"The newest segment of " + id.Short() + " ends 60 s from now: this machine's clock is slow, or the broadcaster's fast."},
		{"a clock of another day", func(f *Figures) {
			f.Streams[0].HeadersReceived, f.Streams[0].HeadersRefusedBy = 0, map[string]int64{"clock": 3}
		}, "clock", "This machine's clock and that of the broadcaster of " + id.Short() + " differ by more than a day."},
	} {
		f := well()
		test.change(&f)
		r := f.Readiness()
		if r.Ready != (test.fails == "") {
			t.Errorf("%s: ready %v", test.name, r.Ready)
		}
		for _, c := range r.Checks {
			if c.OK == (c.Name == test.fails) || !c.OK && c.Says != test.says || c.Says == "" {
				t.Errorf("%s: %+v", test.name, c)
			}
		}
	}
}

func TestReadinessIsServed(t *testing.T) {
	running(t, 3, func(t *testing.T, _ *broadcast, _ *Server, h http.Handler, _ context.CancelFunc) {
		time.Sleep(6 * time.Second) // which is what they last
		if w := do(h, "GET", "/healthz"); w.Code != 200 {
			t.Errorf("/healthz: %d", w.Code)
		}
		// It plays, but the test's node listens nowhere.
		w := do(h, "GET", "/readyz")
		var r Readiness
		if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil || w.Code != http.StatusServiceUnavailable || r.Ready {
			t.Errorf("/readyz: %d %s, %v", w.Code, w.Body, err)
		}
		for _, c := range r.Checks {
			if c.OK == (c.Name == "listening") {
				t.Errorf("%+v", c)
			}
		}
	})
}
