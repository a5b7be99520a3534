package ingest

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// slatePause is for how long a slate stays before another is made: an encoder may change its
// picture's size every few seconds as its network does.
const slatePause = 10 * time.Second

// slateMaker has slates made while encoders send, beside that: one is there when it is
// needed.
type slateMaker struct {
	make  func(context.Context, SlateFormat) ([]byte, error)
	log   *slog.Logger
	asked SlateFormat      // last; of the runner's goroutine
	next  chan SlateFormat // at most one

	ready chan struct{} // closed once there is one
	mu    sync.Mutex
	made  *slate // the latest; guarded by mu
}

func newSlateMaker(cfg Config) *slateMaker {
	if cfg.Slate == nil {
		return nil
	}
	return &slateMaker{make: cfg.Slate, log: cfg.Logger, next: make(chan SlateFormat, 1), ready: make(chan struct{})}
}

// want asks for a slate that fits the input as it is now.
func (m *slateMaker) want(f SlateFormat) {
	if f.same(m.asked) {
		return
	}
	m.asked = f
	if f.Video == "" || f.Width == 0 || f.Height == 0 {
		m.log.Warn("there will be no slate for this input: it has no picture, or none of a known size")
		return
	}
	select {
	case <-m.next: // it is outdated
	default:
	}
	m.next <- f // there is room: nobody else sends
}

// run makes slates until ctx is done.
func (m *slateMaker) run(ctx context.Context) {
	for {
		select {
		case f := <-m.next:
			m.one(ctx, f)
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(slatePause):
		case <-ctx.Done():
			return
		}
	}
}

// one makes a slate. If that fails, the one before stays.
func (m *slateMaker) one(ctx context.Context, f SlateFormat) {
	began := time.Now()
	var s *slate
	ts, err := m.make(ctx, f)
	if err == nil {
		s, err = readSlate(ts, f)
	}
	if err == nil {
		err = s.rehearse()
	}
	if err != nil {
		if ctx.Err() == nil {
			m.log.Warn("the slate cannot be made", "err", err)
		}
		return
	}
	m.log.Info("slate made", "width", f.Width, "height", f.Height, "lasts", micros(s.length), "bytes", len(ts), "took", time.Since(began))
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.made == nil {
		close(m.ready)
	}
	m.made = s
}

// latest returns the slate to show, once ready is closed.
func (m *slateMaker) latest() *slate {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.made
}
