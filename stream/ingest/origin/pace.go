package origin

import (
	"context"
	"time"
)

// pacer lets an ended playlist's parts out as an encoder would: each when it ends.
type pacer struct {
	start  time.Time
	passed time.Duration // of media
}

// now returns when the part that comes next is live.
func (p *pacer) now() time.Time {
	if p.start.IsZero() {
		p.start = time.Now()
	}
	return p.start.Add(p.passed)
}

// wait returns when a part that lasts d may be published.
func (p *pacer) wait(ctx context.Context, d time.Duration) error {
	end := p.now().Add(d)
	p.passed += d
	return sleep(ctx, time.Until(end))
}

// sleep returns after d, or with the cause of ctx.
func sleep(ctx context.Context, d time.Duration) error {
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
