package transcode

import (
	"context"
	"fmt"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

const (
	// maxDeaths is how many ffmpegs may die one after the other, each within steadyAfter.
	maxDeaths   = 5
	steadyAfter = time.Minute
	// restartPause is before the second of them in a row is replaced, and grows with each.
	restartPause = 500 * time.Millisecond
)

// DiedError says that ffmpeg died again and again.
type DiedError struct {
	Times int
	Err   error // what it said last
}

func (e *DiedError) Error() string { return fmt.Sprintf("ffmpeg died %d times: %v", e.Times, e.Err) }
func (e *DiedError) Unwrap() error { return e.Err }

// feeder takes the input from the queue to one ffmpeg after the other.
type feeder struct {
	ladder *Ladder
	open   func(stream.Media) error

	process *process // nil between two
	media   stream.Media
	deaths  int // in a row
}

// run returns when the queue is at its end, ctx is done or nothing can be done.
func (f *feeder) run(ctx context.Context) error {
	defer func() {
		if f.process != nil {
			_ = f.process.abandon(nil)
		}
	}()
	for {
		part, ok := f.ladder.queue.take(ctx)
		if !ok {
			break
		}
		if err := f.part(ctx, part); err != nil {
			return err
		}
	}
	if ctx.Err() == nil && f.process != nil {
		f.finish()
	}
	return nil
}

func (f *feeder) part(ctx context.Context, part stream.Part) error {
	if part.StartsSegment {
		if f.ladder.renditions == nil {
			if err := f.open(part.Media); err != nil {
				return err
			}
		}
		f.media = part.Media
	}
	if part.Discontinuity && f.process != nil {
		f.finish()
	}
	if f.process == nil {
		if !part.StartsSegment {
			f.ladder.lose(part.Duration)
			return nil
		}
		if err := f.start(ctx); err != nil {
			return err
		}
	}
	if err := f.process.write(part.Data); err != nil && ctx.Err() == nil {
		f.ladder.lose(part.Duration)
		return f.died(ctx, err)
	}
	return nil
}

// start begins an ffmpeg, and has the renditions read from it.
func (f *feeder) start(ctx context.Context) error {
	p, err := start(ctx, f.ladder.ffmpeg, f.ladder.command(f.media), f.ladder.log)
	if err != nil {
		return err
	}
	f.process = p
	for n, r := range f.ladder.renditions {
		select {
		case r.joint.next <- p.outputs[n]:
		case <-ctx.Done():
			p.outputs[n].Close()
		}
	}
	return nil
}

// finish lets ffmpeg end.
func (f *feeder) finish() {
	if err := f.process.finish(); err != nil {
		f.ladder.log.Warn("ffmpeg did not end well", "err", err, "said", f.process.said.last())
	}
	f.process = nil
}

// died prepares for another ffmpeg after one that died.
func (f *feeder) died(ctx context.Context, err error) error {
	err = f.process.abandon(err)
	if time.Since(f.process.started) >= steadyAfter {
		f.deaths = 0
	}
	f.process = nil
	f.deaths++
	f.ladder.restart()
	if f.deaths == maxDeaths {
		return &DiedError{f.deaths, err}
	}
	f.ladder.log.Warn("ffmpeg died, another is started with the next keyframe", "err", err)
	t := time.NewTimer(time.Duration(f.deaths-1) * restartPause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	return nil
}
