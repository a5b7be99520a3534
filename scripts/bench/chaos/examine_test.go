package chaos

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
)

const (
	// examineEvery is how often a node's timelines and what is new in its store are looked at,
	// examineAll how often all that it holds.
	examineEvery = 500 * time.Millisecond
	examineAll   = 10 * time.Second
)

// examine looks at what a node knows and holds as long as it lives.
func (w *world) examine(ctx context.Context, h *host, life int, node *p2p.Node) {
	ticker := time.NewTicker(examineEvery)
	defer ticker.Stop()
	known := make(map[*program][]*stream.SignedHeader)
	held := make(map[*program]map[stream.Position]bool)
	all := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if time.Since(all) >= examineAll {
			all = time.Now()
			clear(held)
		}
		for _, s := range node.Swarms() {
			for _, p := range h.carry {
				if p.key.ID() != s.ID() {
					continue
				}
				for _, t := range s.Timelines() {
					headers := t.From(stream.Position{})
					w.compare(h, p, known[p], headers)
					known[p] = headers
					if held[p] == nil {
						held[p] = make(map[stream.Position]bool)
					}
					w.verify(h, p, node, headers, held[p])
				}
			}
		}
	}
}

// compare holds what a timeline knows against what it knew, and against what was published.
func (w *world) compare(h *host, p *program, before, now []*stream.SignedHeader) {
	old := make(map[*stream.SignedHeader]bool, len(before))
	for _, b := range before {
		old[b] = true
	}
	kept := 0
	for i, n := range now {
		if old[n] {
			kept++
		} else if err := p.header(n); err != nil {
			w.broken(h, "timelines", "%v", err)
		}
		if i > 0 && now[i-1].Position.Compare(n.Position) >= 0 {
			w.broken(h, "timelines", "part %v comes after %v", n.Position, now[i-1].Position)
		}
	}
	if kept < len(before) && len(now) < stream.MaxTimeline {
		w.broken(h, "timelines", "%d of %d headers are gone", len(before)-kept, len(before))
	}
}

// header holds a header against the one that was published.
func (p *program) header(h *stream.SignedHeader) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.index[h.Position]; !ok || h.End {
		return fmt.Errorf("the header of part %v was never published", h.Position)
	}
	if s, ok := p.headers[h.Position]; ok && s != sha256.Sum256(h.Bytes()) {
		return fmt.Errorf("the header of part %v is not as it was signed", h.Position)
	}
	return nil
}

// verify holds parts that a store gives out against what was published.
func (w *world) verify(h *host, p *program, node *p2p.Node, headers []*stream.SignedHeader, held map[stream.Position]bool) {
	for _, s := range headers {
		if held[s.Position] || !node.Store().Whole(s.ID()) {
			continue
		}
		chunks := node.Store().Part(s.ID())
		if len(chunks) == 0 {
			continue // the store let go of it meanwhile
		}
		held[s.Position] = true
		hash := sha256.New()
		for _, c := range chunks {
			hash.Write(c)
		}
		p.mu.Lock()
		i, ok := p.index[s.Position]
		same := ok && p.parts[i].data == sum(hash.Sum(nil))
		p.mu.Unlock()
		w.mu.Lock()
		w.res.Parts++
		if !same {
			w.brokenLocked(h, "served", "part %v is not what was published", s.Position)
		}
		w.mu.Unlock()
	}
}

// describeLocked says how a viewer fares, for who looks for what is wrong.
func (w *world) describeLocked(h *host) string {
	p := h.carry[0]
	var s strings.Builder
	p.mu.Lock()
	newest := p.parts[len(p.parts)-1]
	fmt.Fprintf(&s, "published %v;", newest.Position)
	for i := max(0, len(p.parts)-8); i < len(p.parts); i++ {
		if h.node.Store().Whole(p.id(i)) {
			s.WriteByte('+')
		} else {
			s.WriteByte('-')
		}
	}
	p.mu.Unlock()
	for _, sw := range h.node.Swarms() {
		for _, t := range sw.Timelines() {
			if n := t.Newest(); n != nil {
				fmt.Fprintf(&s, " knows %v;", n.Position)
			}
		}
		st := sw.Stats()
		fmt.Fprintf(&s, " wanted %d, parents %d, cut off %d, refused %v;", st.Wanted, st.Parents, st.PeersCutOff, st.HeadersRefused)
		fmt.Fprintf(&s, " %d of %d peers hold the stream;", len(st.Peers), len(w.net.Host(h.index).Network().Peers()))
		s.WriteString(" peers")
		for _, pid := range w.net.Host(h.index).Network().Peers() {
			for _, o := range w.hosts {
				if w.net.Host(o.index).ID() == pid {
					fmt.Fprintf(&s, " %d", o.index)
				}
			}
		}
	}
	return s.String()
}
