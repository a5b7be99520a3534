package hls

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// viewerIdle is how long who asks for nothing is still taken as a viewer: longer than any
// player waits between two requests.
const viewerIdle = 30 * time.Second

// viewerKey tells viewers apart as far as that goes without asking them: those behind one
// address with the same player are one.
type viewerKey struct {
	addr  netip.Addr // of IPv6, the network that one subscriber has
	agent string
}

// maxAgent bounds what is kept of a User-Agent, in bytes.
const maxAgent = 200

func viewerOf(r *http.Request) viewerKey {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	addr, _ := netip.ParseAddr(host) // those that have none are one
	agent := r.UserAgent()
	return viewerKey{subscriber(addr), agent[:min(len(agent), maxAgent)]}
}

// mostPlayers bounds the players of a stream that the server itself tells apart: those of this
// machine, or of a household.
const mostPlayers = 1024

// audience is who watches, by way of a gateway or a stream by the server itself. It is safe for
// concurrent use.
type audience struct {
	mu   sync.Mutex // guards all following
	last map[viewerKey]time.Time
}

func newAudience() *audience { return &audience{last: make(map[viewerKey]time.Time)} }

// played notes who plays streams by the server itself.
func (s *Server) played(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if id, err := stream.ParseID(r.PathValue("stream")); err == nil {
			if st, _, _ := s.find(id); st != nil {
				st.players.enter(viewerOf(r), mostPlayers, time.Now())
			}
		}
		h(w, r)
	}
}

// enter notes a request of a viewer, and reports whether there is room for it among most.
func (a *audience) enter(v viewerKey, most int, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.last[v]; !ok {
		if len(a.last) >= most {
			a.leaveLocked(now)
		}
		if len(a.last) >= most {
			return false
		}
	}
	a.last[v] = now
	return true
}

// knows reports whether a viewer watches.
func (a *audience) knows(v viewerKey, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	last, ok := a.last[v]
	return ok && now.Sub(last) < viewerIdle
}

// count returns how many watch.
func (a *audience) count(now time.Time) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.leaveLocked(now)
	return len(a.last)
}

// leaveLocked forgets those who asked for nothing lately.
func (a *audience) leaveLocked(now time.Time) {
	for v, last := range a.last {
		if now.Sub(last) >= viewerIdle {
			delete(a.last, v)
		}
	}
}
