package chaos

import (
	"context"
	"slices"
	"time"
)

const (
	// resumeWithin is how soon after a heal a viewer must play.
	resumeWithin = 5 * time.Second
	// behindMost is how long ago the last part may have been published that a player could show. Those
	// of HLS begin no nearer to the end than three target durations (RFC 8216, section 6.3.3), six
	// seconds here, and so have two more in hand.
	behindMost = 4 * time.Second
	// lookEvery is how often to look.
	lookEvery = 100 * time.Millisecond
)

// healing is how a viewer fares.
type healing struct {
	reached bool      // from its broadcaster
	healed  time.Time // since when
	excused time.Time // when it was last excused
	plays   bool      // since then
	failed  bool      // told already, since then
	spoiled bool      // something else began to go wrong before it played
}

// watchPlayback looks whether all viewers play, until ctx ends.
func (w *world) watchPlayback(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			w.mu.Lock()
			for _, h := range w.hosts {
				if h.viewer {
					w.lookLocked(h, now)
				}
			}
			w.mu.Unlock()
		}
	}
}

func (w *world) lookLocked(h *host, now time.Time) {
	p, v := h.carry[0], &h.heal
	reached := w.reachesLocked(p, h)
	since := h.since
	if b := w.hosts[p.by]; b.since.After(since) {
		since = b.since
	}
	if !reached {
		v.reached = false
		return
	}
	if !v.reached || since.After(v.healed) {
		*v = healing{reached: true, healed: now, excused: now}
		if since.Equal(w.began) {
			v.spoiled = true // everybody starts at once
		}
	}
	if w.disrupted.After(v.excused) {
		v.excused, v.failed = w.disrupted, false
		v.spoiled = v.spoiled || !v.plays
	}
	last := p.plays(h.node)
	behind := now.Sub(last)
	plays := !last.IsZero() && behind <= behindMost
	if plays && !v.plays && !last.Before(v.healed) {
		v.plays = true
		w.res.resumed(now.Sub(v.healed), v.spoiled)
	}
	if now.Sub(v.excused) <= resumeWithin {
		return
	}
	if !last.IsZero() {
		w.res.Behind = max(w.res.Behind, behind)
	}
	if plays || v.failed {
		return
	}
	v.failed = true
	w.brokenLocked(h, "playback", "%v behind, %v after the heal, %v after something began to go wrong: %s",
		behind.Round(time.Millisecond), now.Sub(v.healed).Round(time.Millisecond), now.Sub(w.disrupted).Round(time.Millisecond), w.describeLocked(h))
}

// reachesLocked reports whether a stream can come to a host.
func (w *world) reachesLocked(p *program, to *host) bool {
	whole := func(h *host) bool { return h.node != nil && !h.still && !h.cut && !h.deaf }
	from := w.hosts[p.by]
	if !whole(from) || !whole(to) {
		return false
	}
	reached, next := map[int]bool{from.index: true}, []*host{from}
	for len(next) > 0 {
		a := next[0]
		next = next[1:]
		for _, b := range w.hosts {
			if reached[b.index] || !whole(b) || !slices.Contains(b.carry, p) || a.half != b.half || w.muted[[2]int{a.index, b.index}] || w.muted[[2]int{b.index, a.index}] {
				continue
			}
			reached[b.index] = true
			next = append(next, b)
		}
	}
	return reached[to.index]
}
