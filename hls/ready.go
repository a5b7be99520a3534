package hls

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// clockAhead is how far a segment may end in this node's future: a broadcaster signs a part
// once it has all of it, so that beyond what the two clocks differ by there is no such time.
const clockAhead = 5 * time.Second

// Readiness is what /readyz answers: whether who asks this node for a stream gets it, and if
// not, why.
type Readiness struct {
	Ready  bool             `json:"ready"` // all checks passed
	Checks []ReadinessCheck `json:"checks"`
}

// ReadinessCheck is one thing that a node needs.
type ReadinessCheck struct {
	Name string `json:"name"` // open, listening, clock or streams
	OK   bool   `json:"ok"`
	Says string `json:"says"` // a sentence
}

// health is what /healthz answers: the process runs, and its server has a request's time for it.
type health struct {
	Status string  `json:"status"` // always ok
	Uptime float64 `json:"uptime_seconds"`
}

func (s *Server) serveHealth(w http.ResponseWriter, _ *http.Request) {
	s.serveJSON(w, http.StatusOK, health{"ok", s.cfg.Node.Status().Uptime})
}

func (s *Server) serveReadiness(w http.ResponseWriter, _ *http.Request) {
	f := s.Figures(time.Now())
	r, code := f.Readiness(), http.StatusOK
	if !r.Ready {
		code = http.StatusServiceUnavailable
	}
	s.serveJSON(w, code, r)
}

// Readiness says whether the node is ready.
func (f *Figures) Readiness() Readiness {
	r := Readiness{Ready: true, Checks: []ReadinessCheck{f.open(), f.listening(), f.clock(), f.playable()}}
	for _, c := range r.Checks {
		r.Ready = r.Ready && c.OK
	}
	return r
}

func (f *Figures) open() ReadinessCheck {
	c := ReadinessCheck{Name: "open"}
	until := ""
	if f.Limits.Until != "" {
		until = ", until " + f.Limits.Until
	}
	switch f.Limits.Closed {
	case "":
		c.OK, c.Says = true, "The node takes part."
	case "budget":
		c.Says = "The month's budget is spent" + until + "."
	default:
		c.Says = "The node is closed by its " + f.Limits.Closed + until + "."
	}
	return c
}

func (f *Figures) listening() ReadinessCheck {
	if len(f.Addrs) == 0 {
		return ReadinessCheck{"listening", false, "The node has no address at which peers could reach it."}
	}
	return ReadinessCheck{"listening", true, "Peers can connect to " + f.Addrs[0] + "."}
}

// clock tells whether streams' times and this node's go together. A node that never saw a
// stream has nothing to compare with.
func (f *Figures) clock() ReadinessCheck {
	for _, st := range f.Streams {
		if st.HeadersReceived == 0 && st.HeadersRefusedBy["clock"] > 0 {
			return ReadinessCheck{"clock", false, fmt.Sprintf("This machine's clock and that of the broadcaster of %s differ by more than a day.", st.ID.Short())}
		}
		for _, r := range st.Renditions {
			if ahead := -r.Latency; ahead > clockAhead.Seconds() {
				return ReadinessCheck{"clock", false, fmt.Sprintf("The newest segment of %s ends %.0f s from now: this machine's clock is slow, or the broadcaster's fast.", st.ID.Short(), ahead)}
			}
		}
	}
	return ReadinessCheck{"clock", true, "No stream speaks against this machine's clock."}
}

func (f *Figures) playable() ReadinessCheck {
	var waiting []string
	for _, st := range f.Streams {
		if st.Playable {
			return ReadinessCheck{"streams", true, "The stream " + st.ID.Short() + " can be played."}
		}
		waiting = append(waiting, st.ID.Short())
	}
	if len(waiting) == 0 {
		return ReadinessCheck{"streams", true, "The node has joined no stream."}
	}
	return ReadinessCheck{"streams", false, "Nothing can be played yet of " + strings.Join(waiting, ", ") + "."}
}
