package record

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"github.com/grapevine-live/grapevine/hls"
	"github.com/grapevine-live/grapevine/stream"
)

// rescanEvery is how soon a stream that the node joined, or a rendition that a stream
// got, is noticed.
const rescanEvery = 250 * time.Millisecond

// lockName is the file that keeps other nodes out of a directory.
const lockName = ".lock"

// ErrBusy says that another node records into a directory.
var ErrBusy = errors.New("another node records into this directory")

// Config configures a [Recorder].
type Config struct {
	// Dir is where recordings go, each into <stream-id>/<rendition>. It is made if it
	// is not there.
	Dir string
	// Changed is called when the state of a recording is another, one call at a time
	// for each rendition; nil if nobody wants to know.
	Changed func(hls.RecordingStatus)
	// Logger gets what an operator wants to know; nil means none.
	Logger *slog.Logger

	// Tests have their own.
	files  files // nil means the machine's
	queued int64 // bytes that may wait for the disk; 0 means maxQueued
}

// Recorder writes the streams that a node carries. It is safe for concurrent use.
type Recorder struct {
	cfg  Config
	lock *flock.Flock

	mu         sync.Mutex // guards all following
	renditions []*rendition
	writers    map[string]<-chan struct{} // by directory: closed when nobody writes into it
}

// Open makes the directory and keeps other nodes out of it until Close. It starts nothing.
// Errors wrap [ErrBusy] or those of package os.
func Open(cfg Config) (*Recorder, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Changed == nil {
		cfg.Changed = func(hls.RecordingStatus) {}
	}
	if cfg.files == nil {
		cfg.files = disk{}
	}
	if cfg.queued == 0 {
		cfg.queued = maxQueued
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, err
	}
	cfg.Dir = dir
	if err := cfg.files.MkdirAll(dir); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(dir, lockName), flock.SetPermissions(fileMode))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrBusy, dir)
	}
	return &Recorder{cfg: cfg, lock: lock, writers: make(map[string]<-chan struct{})}, nil
}

// Close lets other nodes into the directory. It is to be called after Run has returned.
func (r *Recorder) Close() error { return r.lock.Close() }

// Node is what a recorder needs of the node whose streams it records.
type Node interface {
	// Streams returns the streams in the order in which they were joined.
	Streams() []hls.Stream
}

// Run records the node's streams until ctx ends, and returns when all is written, a
// second after that at the latest if the disk answers. It is to be called once.
func (r *Recorder) Run(ctx context.Context, node Node) error {
	var running sync.WaitGroup
	defer running.Wait()
	ticker := time.NewTicker(rescanEvery)
	defer ticker.Stop()
	for {
		r.scan(ctx, node, &running)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// scan starts recordings of what is new and stops those of what is gone.
func (r *Recorder) scan(ctx context.Context, node Node, running *sync.WaitGroup) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var now []*rendition
	for _, st := range node.Streams() {
		if st.Sealed() {
			continue // there is nothing to be played
		}
		for _, t := range st.Timelines {
			old := r.findLocked(t)
			if old == nil {
				rctx, stop := context.WithCancel(ctx)
				old = r.newRenditionLocked(t, st.Shown(), stop)
				running.Go(func() { old.run(rctx) })
			}
			now = append(now, old)
		}
	}
	for _, old := range r.renditions {
		if !slices.Contains(now, old) {
			old.stop()
		}
	}
	r.renditions = now
}

// findLocked returns the rendition that is recorded from t, or nil.
func (r *Recorder) findLocked(t *stream.Timeline) *rendition {
	for _, o := range r.renditions {
		if o.timeline == t {
			return o
		}
	}
	return nil
}

// newRenditionLocked returns a recording that begins when the one before in its directory
// has ended.
func (r *Recorder) newRenditionLocked(t *stream.Timeline, store hls.Store, stop context.CancelFunc) *rendition {
	dir := filepath.Join(r.cfg.Dir, t.Stream().String(), t.Rendition())
	done := make(chan struct{})
	before := r.writers[dir]
	if before == nil {
		nobody := make(chan struct{})
		close(nobody)
		before = nobody
	}
	r.writers[dir] = done
	return &rendition{
		timeline: t,
		store:    store,
		files:    r.cfg.files,
		log:      r.cfg.Logger.With("stream", t.Stream().Short(), "rendition", t.Rendition()),
		changed:  r.cfg.Changed,
		queue:    newQueue(r.cfg.queued),
		stop:     stop,
		before:   before,
		done:     done,
		status: hls.RecordingStatus{
			Stream:    t.Stream(),
			Rendition: t.Rendition(),
			Dir:       dir,
			State:     StateWaiting,
		},
	}
}

// Status returns the figures of all recordings.
func (r *Recorder) Status() []hls.RecordingStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]hls.RecordingStatus, len(r.renditions))
	for i, rd := range r.renditions {
		out[i] = rd.current()
	}
	return out
}
