package chaos

import (
	"context"
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"

	"github.com/grapevine-live/grapevine/hls"
	"github.com/grapevine-live/grapevine/p2p"
)

// served shows a node to an HLS server.
type served struct{ node *p2p.Node }

func (s served) Streams() (out []hls.Stream) {
	for _, sw := range s.node.Swarms() {
		out = append(out, hls.Stream{ID: sw.ID(), Timelines: sw.Timelines(), Store: s.node.Store()})
	}
	return out
}

func (s served) Status() hls.Status { return hls.Status{} }

const (
	// reloadEvery is how often a player asks for the playlist, and reloadPatience how long it
	// waits for the answer.
	reloadEvery    = time.Second
	reloadPatience = 10 * time.Second
)

// play has a player at a viewer's node as long as it lives.
func (w *world) play(ctx context.Context, h *host, node *p2p.Node) {
	server, err := hls.NewServer(hls.Config{Node: served{node}})
	if err != nil {
		w.t.Errorf("serve HLS: %v", err)
		return
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := server.Run(ctx); err != nil {
			w.t.Errorf("serve HLS: %v", err)
		}
	}()
	defer func() { <-ended }()
	p := &player{w: w, h: h, handler: server.Handler(), base: "/" + h.carry[0].key.ID().String() + "/" + rendition + "/", numbers: make(map[uint64]string)}
	for ctx.Err() == nil {
		p.reload(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(reloadEvery):
		}
	}
}

// player reads a media playlist again and again, and fetches each segment once.
type player struct {
	w       *world
	h       *host
	handler http.Handler
	base    string

	sequence, discontinuities uint64
	numbers                   map[uint64]string // names of segments
	next                      uint64            // the number of the first segment that was not fetched yet
}

// get asks for a file.
func (p *player) get(ctx context.Context, name string) (code int, body []byte) {
	ctx, cancel := context.WithTimeout(ctx, reloadPatience)
	defer cancel()
	r := httptest.NewRequest("GET", "http://127.0.0.1"+p.base+name, nil).WithContext(ctx)
	r.RemoteAddr = "127.0.0.1:1"
	a := httptest.NewRecorder()
	p.handler.ServeHTTP(a, r)
	return a.Code, a.Body.Bytes()
}

func (p *player) reload(ctx context.Context) {
	code, body := p.get(ctx, "index.m3u8")
	if code != http.StatusOK {
		return // not playable yet
	}
	var sequence, discontinuities uint64
	var names []string
	for line := range strings.Lines(string(body)) {
		line = strings.TrimSpace(line)
		if v, ok := strings.CutPrefix(line, "#EXT-X-MEDIA-SEQUENCE:"); ok {
			sequence, _ = strconv.ParseUint(v, 10, 64)
		} else if v, ok := strings.CutPrefix(line, "#EXT-X-DISCONTINUITY-SEQUENCE:"); ok {
			discontinuities, _ = strconv.ParseUint(v, 10, 64)
		} else if line != "" && line[0] != '#' {
			names = append(names, line)
		}
	}
	if sequence < p.sequence || discontinuities < p.discontinuities {
		p.w.broken(p.h, "numbers", "media sequence %d after %d, discontinuity sequence %d after %d", sequence, p.sequence, discontinuities, p.discontinuities)
	}
	p.sequence, p.discontinuities = sequence, discontinuities
	for i, name := range names {
		n := sequence + uint64(i)
		if was, ok := p.numbers[n]; ok && was != name {
			p.w.broken(p.h, "numbers", "number %d was %s and is %s", n, was, name)
		}
		p.numbers[n] = name
		if n >= p.next {
			p.next = n + 1
			p.fetch(ctx, name)
		}
	}
}

// fetch holds a segment against what was published.
func (p *player) fetch(ctx context.Context, name string) {
	code, body := p.get(ctx, name)
	if ctx.Err() != nil {
		return
	}
	program := p.h.carry[0]
	program.mu.Lock()
	_, known := program.segments[sha256.Sum256(body)]
	program.mu.Unlock()
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.w.res.Segments++
	if code != http.StatusOK || !known {
		p.w.brokenLocked(p.h, "served", "segment %s is answered with %d, %d bytes that were not published so", name, code, len(body))
	}
}
