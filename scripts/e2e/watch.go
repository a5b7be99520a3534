//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// watch asks players again and again how many pictures they have shown.
type watch struct{ players []*player }

func newWatch(players []*player) *watch { return &watch{players} }

// until looks until a time, or until done is true; nil means never.
func (w *watch) until(ctx context.Context, end time.Time, done func() bool) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for time.Now().Before(end) {
		w.look(ctx)
		if done != nil && done() {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
	return w.missing(done)
}

// missing says which players show nothing, if that is what was waited for.
func (w *watch) missing(done func() bool) error {
	if done == nil || len(w.silent()) == 0 {
		return nil
	}
	return fmt.Errorf("no picture in %s", strings.Join(w.silent(), ", "))
}

func (w *watch) look(ctx context.Context) {
	for _, p := range w.players {
		if n, err := p.frames(ctx); err == nil {
			p.seen = append(p.seen, sighting{time.Now(), n})
		}
	}
}

// silent returns the players that have shown nothing, and should have.
func (w *watch) silent() (names []string) {
	for _, p := range w.players {
		if n := len(p.seen); p.cannot == "" && (n == 0 || p.seen[n-1].frames == 0) {
			names = append(names, p.name)
		}
	}
	return names
}

func (w *watch) allShow() bool { return len(w.silent()) == 0 }
