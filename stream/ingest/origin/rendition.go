package origin

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/ingest"
)

const (
	// minTarget keeps playlists from being asked for without pause.
	minTarget = 500 * time.Millisecond
	// retryFirst and retryMost are the pauses between attempts at what failed.
	retryFirst = 250 * time.Millisecond
	retryMost  = 4 * time.Second
	// leastTargets is for how many target durations a segment is tried for at least: players
	// wait for as long. segmentTime is for how long at most.
	leastTargets = 2
	segmentTime  = 30 * time.Second
	// holdTargets is for how many target durations a playlist may be held back that was
	// asked for ahead (rfc8216bis, section 6.2.5.2).
	holdTargets = 3
	// hopeless is how many segments may be no good before the first that is.
	hopeless = 3
)

// UnsupportedError says that an origin uses what is not supported.
type UnsupportedError struct{ What string }

func (e *UnsupportedError) Error() string { return "unsupported: " + e.What }

// QuietError says that an origin had nothing new for longer than Config.Patience.
type QuietError struct {
	For time.Duration
	Err error // what failed last; nil if the playlist merely did not go on
}

func (e *QuietError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("nothing new for %v", e.For)
	}
	return fmt.Sprintf("nothing new for %v: %v", e.For, e.Err)
}

func (e *QuietError) Unwrap() error { return e.Err }

// Rendition is one encoding that an origin has.
type Rendition struct {
	origin    *Origin
	name, url string

	list     *playlist // the newest
	loaded   time.Time // when it was asked for
	arrived  time.Time // when it came
	seq      sequence
	out      sink
	plays    *sound       // what its pictures have for sound; nil if that comes with them
	label    stream.Media // language and name of its sound, if the origin says
	beside   []ingest.Sidecar
	init     span              // that out has
	keys     map[string][]byte // by address
	prepared bool              // init is set
	growing  *growing          // the segment whose parts are taken one by one
	gained   bool              // the newest playlist had something to publish
	broken   bool              // what is published next does not continue what was
	pace     *pacer            // nil for what is live
	stubborn bool              // nothing new is no reason to end

	progress time.Time // when something was published last
	failed   error     // since then

	mu    sync.Mutex
	stats Stats // guarded by mu
}

// Name returns what the rendition is published as.
func (r *Rendition) Name() string { return r.name }

// check reads the first playlist, and refuses what cannot be published.
func (r *Rendition) check(text string, at *url.URL) error {
	if isMultivariant(text) {
		return &UnsupportedError{"a multivariant playlist that lists another"}
	}
	l, err := parseMedia(text, at)
	if err != nil {
		return err
	}
	r.list, r.loaded, r.arrived = l, time.Now(), time.Now()
	return r.usable()
}

// usable returns why nothing of the playlist can be published, if so.
func (r *Rendition) usable() error {
	if len(r.list.segments) == 0 && r.list.ended {
		return fmt.Errorf("%w: it has ended, and has no segments", ErrNoPlaylist)
	}
	if r.origin.cfg.Loop && !r.list.ended {
		return ErrLive
	}
	for _, s := range r.list.segments {
		if err := s.supported(); err != nil {
			return err
		}
	}
	return nil
}

func (s *segment) supported() error {
	if s.encrypted != "" {
		return &UnsupportedError{fmt.Sprintf("segments that are encrypted by %s, not AES-128", s.encrypted)}
	}
	return nil
}

// run publishes the rendition until its playlist ends, ctx is done, publishing fails, or
// nothing new came for too long: a [*QuietError].
func (r *Rendition) run(ctx context.Context, publish func(stream.Part) error) error {
	out := &output{}
	if r.plays != nil {
		out.sound = r.plays.Sound
	}
	out.beside = r.beside
	out.Splitter = r.newSplitter(ctx, publish)
	defer out.end()
	return r.follow(ctx, out)
}

// follow hands the segments to out until there are no more.
func (r *Rendition) follow(ctx context.Context, out sink) error {
	r.mu.Lock()
	r.out = out
	r.mu.Unlock()
	r.progress = time.Now()
	if r.list.ended {
		r.pace = &pacer{}
	}
	for {
		v := r.seq.take(r.list)
		r.broken = r.broken || v.broken
		if v.broken {
			r.growing = nil
		}
		r.gained = false
		if err := r.play(ctx, v.segments); err != nil {
			return r.end(ctx, err)
		}
		if r.list.ended {
			if again, err := r.over(); !again {
				return r.end(ctx, err)
			}
			continue
		}
		if err := r.reload(ctx, v.changed || r.gained); err != nil {
			return r.end(ctx, err)
		}
	}
}

// over takes the end of the playlist, and reports whether it begins again.
func (r *Rendition) over() (again bool, err error) {
	switch {
	case r.Stats().Input.Segments == 0 && r.failed != nil:
		return false, r.failed
	case r.Stats().Input.Segments == 0:
		return false, fmt.Errorf("%w: it has ended, and all of its segments are missing", ErrNoPlaylist)
	case !r.origin.cfg.Loop || r.pace == nil:
		return false, nil
	}
	r.seq, r.broken = sequence{targets: r.seq.targets}, true
	return true, nil
}

// newSplitter returns what cuts the segments and publishes them.
func (r *Rendition) newSplitter(ctx context.Context, publish func(stream.Part) error) *ingest.Splitter {
	return ingest.NewSplitter(ingest.SplitConfig{
		Part:     r.origin.cfg.Part,
		Sidecars: r.beside,
		Logger:   r.origin.log.With("rendition", r.name),
		Publish: func(p stream.Part) error {
			if r.pace != nil {
				if err := r.pace.wait(ctx, p.Duration); err != nil {
					return &publishError{err}
				}
			}
			if p.StartsSegment && r.label.Language+r.label.Name != "" {
				p.Media.Language, p.Media.Name = r.label.Language, r.label.Name
			}
			if err := publish(p); err != nil {
				return &publishError{err}
			}
			r.progress, r.failed = time.Now(), nil
			return nil
		},
	})
}

// end returns what a run ends with.
func (r *Rendition) end(ctx context.Context, err error) error {
	r.note(func(*Stats) {})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// play publishes segments. It fails only if the run cannot go on.
func (r *Rendition) play(ctx context.Context, list []segment) error {
	for i := range list {
		s := &list[i]
		if err := s.supported(); err != nil {
			return err
		}
		err := r.out.ready(ctx)
		switch {
		case err != nil:
		case s.gap:
			err = errGap
		case !s.whole || r.growing != nil && r.growing.number == s.number:
			err = r.grow(ctx, s)
		default:
			err = r.segment(ctx, s)
		}
		var failed *publishError
		var unsupported *UnsupportedError
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, &failed), errors.As(err, &unsupported):
			return err
		case err == errGrowing:
			return nil
		case err != nil:
			if err := r.leaveOut(s, err); err != nil {
				return err
			}
		}
		r.growing, r.gained = nil, true
		r.seq.done()
		r.note(func(*Stats) {})
		if err := r.patient(); err != nil {
			return err
		}
	}
	return nil
}

var errGap = errors.New("the playlist marks it as missing")

// leaveOut goes on without a segment. It fails if no other could be any better.
func (r *Rendition) leaveOut(s *segment, why error) error {
	r.broken = true
	if !errors.Is(why, errGap) {
		r.failed = why
	}
	r.note(func(st *Stats) { st.LeftOut++ })
	r.origin.log.Warn("a segment is left out", "rendition", r.name, "number", s.number, "err", why)
	var codec *ingest.UnsupportedCodecError
	var content *contentError
	switch st := r.Stats(); {
	case st.Input.Segments > 0:
	case errors.As(why, &codec):
		return why
	case errors.As(why, &content) && !errors.Is(why, ingest.ErrNoKeyframe) && st.LeftOut >= hopeless:
		return why
	}
	return nil
}

// patient fails when nothing new came for too long.
func (r *Rendition) patient() error {
	if r.stubborn || time.Since(r.progress) < r.origin.cfg.Patience {
		return nil
	}
	return r.quiet()
}

func (r *Rendition) quiet() error {
	return &QuietError{For: time.Since(r.progress).Round(time.Second), Err: r.failed}
}

// reload fetches the playlist once it is time (RFC 8216, section 6.3.4). If changed is set
// it had something new.
func (r *Rendition) reload(ctx context.Context, changed bool) error {
	pause := r.list.target
	switch {
	case !changed:
		pause /= 2
	case r.list.blocks:
		pause = 0
	}
	if err := sleep(ctx, time.Until(r.loaded.Add(pause))); err != nil {
		return err
	}
	for retry := retryFirst; ; retry = min(2*retry, retryMost) {
		if err := r.patient(); err != nil {
			return err
		}
		err := r.load(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r.failed = err
		r.note(func(st *Stats) { st.Retries++ })
		r.origin.log.Warn("the playlist is not to be had", "rendition", r.name, "err", err)
		if err := sleep(ctx, retry); err != nil {
			return err
		}
	}
}

// load fetches the playlist; with low latency the server holds it back until what comes
// next is in it.
func (r *Rendition) load(ctx context.Context) error {
	address, hold := r.url, time.Duration(0)
	if r.list.blocks {
		address, hold = r.blocking(), holdTargets*r.list.target
	}
	began := time.Now()
	text, at, err := r.origin.client.text(ctx, address, hold)
	if err != nil {
		return err
	}
	l, err := parseMedia(text, at)
	if err != nil {
		return err
	}
	r.list, r.loaded, r.arrived = l, began, time.Now()
	r.note(func(st *Stats) { st.Reloads++ })
	return nil
}

// blocking returns the address that asks for what comes next (rfc8216bis, section 6.2.5.2).
func (r *Rendition) blocking() string {
	u, err := url.Parse(r.url)
	if err != nil {
		return r.url
	}
	ask, part := fmt.Sprintf("_HLS_msn=%d", r.seq.next), 0
	if r.growing != nil {
		part = r.growing.parts
	}
	if r.list.partial {
		ask += fmt.Sprintf("&_HLS_part=%d", part)
	}
	if u.RawQuery != "" {
		ask = u.RawQuery + "&" + ask
	}
	u.RawQuery = ask
	return u.String()
}

// info is what is known of a segment before its first byte.
func (r *Rendition) info(s *segment) ingest.SegmentInfo {
	info := ingest.SegmentInfo{Discontinuity: s.discontinuity || r.broken, Duration: s.duration}
	switch {
	case r.pace != nil:
		now := r.pace.now()
		info.ProgramTime = func(int64) time.Time { return now }
	case plausible(s.programTime, r.arrived):
		info.ProgramTime = func(int64) time.Time { return s.programTime }
	default:
		guess := r.arrived
		for _, o := range r.list.segments {
			if o.number >= s.number {
				guess = guess.Add(-o.duration)
			}
		}
		info.ProgramTime = func(pts int64) time.Time { return r.origin.clock.estimate(pts, guess) }
	}
	return info
}
