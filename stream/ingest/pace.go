package ingest

import (
	"context"
	"time"
)

// pacer holds a file back to the speed of its timestamps.
type pacer struct {
	started bool
	wall    time.Time
	media   int64
	breaks  uint64
	last    int64
}

// wait returns when it is time for media, in ticks. breaks counts the jumps of media
// so far: each starts the clock anew.
func (p *pacer) wait(ctx context.Context, media int64, breaks uint64) error {
	if !p.started || breaks != p.breaks {
		p.started, p.wall, p.media, p.breaks = true, time.Now(), media, breaks
		return nil
	}
	if media == p.last {
		return nil
	}
	p.last = media
	d := time.Until(p.wall.Add(micros(media - p.media)))
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
