//go:build linux

package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/hls"
	"github.com/grapevine-live/grapevine/p2p"
	"github.com/grapevine-live/grapevine/stream"
)

// lossy copies what a swarm gives, as far as it is not told to lose it. It implements
// hls.Node with the copies.
type lossy struct {
	swarm *p2p.Swarm
	from  *stream.Store
	to    *stream.Store
	log   *slog.Logger

	mu     sync.Mutex // guards all following
	copies map[string]*stream.Timeline
	order  []*stream.Timeline
	until  time.Time // nothing is copied before
	lose   bool      // the next segment that begins
	lost   *stream.Position
}

func newLossy(swarm *p2p.Swarm, from *stream.Store, log *slog.Logger) *lossy {
	return &lossy{
		swarm:  swarm,
		from:   from,
		to:     stream.NewStore(0),
		log:    log,
		copies: make(map[string]*stream.Timeline),
	}
}

// Streams implements hls.Node.
func (l *lossy) Streams() []hls.Stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	return []hls.Stream{{ID: l.swarm.ID(), Link: l.swarm.Link().String(), Timelines: l.order[:len(l.order):len(l.order)], Store: l.to}}
}

// Status implements hls.Node.
func (l *lossy) Status() hls.Status {
	return hls.Status{Role: "watch", Streams: []hls.StreamStatus{{ID: l.swarm.ID(), Link: l.swarm.Link().String()}}}
}

// late holds back all that comes for d.
func (l *lossy) late(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = time.Now().Add(d)
	l.log.Info("all is held back", "for", d)
}

// hole leaves out the next segment that begins: its headers come, its bytes do not.
func (l *lossy) hole() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lose = true
}

// lookAgain is how soon a new rendition, or the end of a wait, is noticed.
const lookAgain = 20 * time.Millisecond

// run copies until ctx ends.
func (l *lossy) run(ctx context.Context) error {
	ticker := time.NewTicker(lookAgain)
	defer ticker.Stop()
	for {
		for _, t := range l.swarm.Timelines() {
			if err := l.copy(t); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// copy takes over what is new in a rendition.
func (l *lossy) copy(from *stream.Timeline) error {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Before(l.until) {
		return nil
	}
	to := l.copies[from.Rendition()]
	if to == nil {
		to = stream.NewTimeline(from.Stream(), from.Rendition())
		l.copies[from.Rendition()] = to
		l.order = append(l.order, to)
	}
	for _, h := range from.From(stream.Position{}) {
		if to.Header(h.Position) == nil {
			if err := to.Add(h, now); err != nil {
				return fmt.Errorf("copy header %v: %w", h.Position, err)
			}
			if l.lose && h.Part == 0 && !h.End {
				l.lose, l.lost = false, &h.Position
				l.log.Info("a segment is left out", "segment", h.Position)
			}
		}
		if l.lost != nil && h.Epoch == l.lost.Epoch && h.Segment == l.lost.Segment || l.to.Whole(h.ID()) {
			continue
		}
		for i, data := range l.from.Part(h.ID()) {
			c, err := stream.OpenChunk(h, i, data)
			if err != nil {
				return fmt.Errorf("copy part %v: %w", h.Position, err)
			}
			l.to.Put(c)
		}
	}
	return nil
}
