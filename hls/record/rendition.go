package record

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/hls"
	"github.com/grapevine-live/grapevine/stream"
)

// States of a recording, as its status says.
const (
	StateWaiting   = "waiting"   // nothing came yet
	StateRecording = "recording" // what comes is written
	StateEnded     = "ended"     // the stream has ended and all of it is written; it may come back
	StateStopped   = "stopped"   // the disk refuses, which the status's Error explains; it is tried again
)

const (
	// retryEvery is how often a disk that refused is tried again.
	retryEvery = 10 * time.Second
	// drainLimit bounds how long a node that ends goes on writing what waits. A
	// command has 3 s to end in all.
	drainLimit = time.Second
)

// rendition records one rendition.
type rendition struct {
	timeline *stream.Timeline
	store    hls.Store
	files    files
	log      *slog.Logger
	changed  func(hls.RecordingStatus)
	queue    *queue
	stop     context.CancelFunc
	before   <-chan struct{} // closed when who wrote into the directory before has ended
	done     chan struct{}   // closed when run has ended

	// Only run uses these.
	directory *directory
	broken    bool      // the next segment does not continue what was written
	retryAt   time.Time // while the disk refuses; else zero
	unended   bool      // the disk refused the end, and nothing came since

	mu     sync.Mutex // guards all following
	status hls.RecordingStatus
}

// run records until ctx ends, and then what is whole still.
func (r *rendition) run(ctx context.Context) {
	defer close(r.done)
	<-r.before
	if !r.open(ctx) {
		return
	}
	last, resume := r.directory.last()
	tail := hls.NewTail(hls.TailConfig{
		Timeline: r.timeline,
		Store:    r.store,
		Sink:     r,
		Resume:   resume,
		After:    last,
		Target:   r.directory.list.Target,
		Logger:   r.log,
	})
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() {
		tail.Run(ctx)
		r.queue.close()
	})
	r.write(ctx)
	if err := r.directory.close(); err != nil {
		r.refused(err)
	}
}

// open opens the directory, and tries until ctx ends.
func (r *rendition) open(ctx context.Context) bool {
	for {
		d, gone, err := openDirectory(r.status.Dir, r.files)
		if err == nil {
			if gone > 0 {
				r.log.Warn("segments of the recording are gone", "dir", r.status.Dir, "count", gone)
			}
			r.directory = d
			r.retryAt = time.Time{}
			r.update(func(s *hls.RecordingStatus) {
				s.State, s.Error = StateWaiting, ""
				s.Segments, s.Seconds = len(d.list.Segments), d.total.Seconds()
			})
			return true
		}
		r.refused(err)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(retryEvery):
		}
	}
}

// Segment implements hls.TailSink.
func (r *rendition) Segment(s hls.Segment) {
	if r.queue.put(item{segment: s}) {
		return
	}
	r.log.Warn("segment left out of the recording: the disk is too slow", "segment", s.Name)
	r.update(func(s *hls.RecordingStatus) { s.Slow++ })
}

// LeftOut implements hls.TailSink.
func (r *rendition) LeftOut(n uint64) {
	r.update(func(s *hls.RecordingStatus) { s.Missing += n })
}

// Ended implements hls.TailSink.
func (r *rendition) Ended() { r.queue.put(item{end: true}) }

// write writes what the queue has until it is closed and empty, or until drainLimit
// after ctx has ended.
func (r *rendition) write(ctx context.Context) {
	var deadline time.Time
	for {
		i, ok := r.queue.take()
		if !ok {
			return
		}
		if ctx.Err() != nil {
			if now := time.Now(); deadline.IsZero() {
				deadline = now.Add(drainLimit)
			} else if now.After(deadline) && !i.end {
				r.update(func(s *hls.RecordingStatus) { s.Slow++ })
				r.log.Warn("segment left out of the recording: the node ends", "segment", i.segment.Name)
				continue
			}
		}
		switch {
		case !i.end:
			r.segment(i.segment)
		case !i.again || r.unended:
			r.end()
		}
	}
}

// segment writes a segment, unless the disk refused a moment ago.
func (r *rendition) segment(s hls.Segment) {
	r.unended = false
	if time.Now().Before(r.retryAt) {
		r.broken = true
		r.update(func(s *hls.RecordingStatus) { s.Failed++ })
		return
	}
	s.Discontinuity = s.Discontinuity || r.broken
	err := r.directory.add(s)
	remux := errors.Is(err, errRemux)
	if err != nil && !remux {
		r.broken = true
		r.update(func(s *hls.RecordingStatus) { s.Failed++ })
		r.refused(err)
		return
	}
	if remux {
		r.log.Warn("segment left out of the MP4 file", "segment", s.Name, "err", err)
	}
	r.broken = false
	r.taken()
	r.update(func(st *hls.RecordingStatus) {
		st.State, st.Error = StateRecording, ""
		st.Segments, st.Seconds = len(r.directory.list.Segments), r.directory.total.Seconds()
		st.Bytes += s.Size()
		st.MP4, st.MP4Lost = r.directory.movie.name, r.directory.movie.lost
		if remux {
			st.MP4LeftOut++
		}
	})
}

// end tells players that nothing more comes, for now.
func (r *rendition) end() {
	err := r.directory.end()
	if r.unended = err != nil; r.unended {
		r.refused(err)
		time.AfterFunc(retryEvery, func() { r.queue.put(item{end: true, again: true}) })
		return
	}
	if len(r.directory.list.Segments) == 0 {
		return // nothing was written
	}
	r.taken()
	r.update(func(s *hls.RecordingStatus) {
		if s.State != StateWaiting {
			s.State, s.Error = StateEnded, ""
		}
	})
}

// taken notes that the disk took something.
func (r *rendition) taken() {
	if !r.retryAt.IsZero() {
		r.retryAt = time.Time{}
		r.log.Warn("recording goes on", "dir", r.status.Dir)
	}
}

// refused notes that the disk refused to take something.
func (r *rendition) refused(err error) {
	if r.retryAt.IsZero() { // else it was said
		r.log.Error("recording stopped; the stream goes on, and writing is tried again", "dir", r.status.Dir, "every", retryEvery, "err", err)
	}
	r.retryAt = time.Now().Add(retryEvery)
	r.update(func(s *hls.RecordingStatus) { s.State, s.Error = StateStopped, err.Error() })
}

// update changes the status, and tells when the state is another.
func (r *rendition) update(change func(*hls.RecordingStatus)) {
	r.mu.Lock()
	before := r.status.State
	change(&r.status)
	now := r.status
	r.mu.Unlock()
	if now.State != before {
		r.changed(now)
	}
}

func (r *rendition) current() hls.RecordingStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}
