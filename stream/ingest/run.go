package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// A pause in the input counts at most this much towards the keyframe timeout.
const maxPause = time.Second

// runner takes one source through the stages.
type runner struct {
	i    *Ingest
	src  *source
	loop bool

	stats Stats
	sync  syncer
	demux demuxer
	cut   cutter
	pace  pacer

	met       *encoder // whose bytes came last
	dismissed *encoder // whose bytes are left out until it ends

	active   time.Duration // with bytes arriving, since the last segment began
	lastRead time.Time
	segments uint64 // at that time
}

func newRunner(i *Ingest, src *source, publish func(stream.Part) error) *runner {
	r := &runner{i: i, src: src, loop: src.rewind != nil}
	r.cut = cutter{
		segment: ticks(i.cfg.Segment), part: ticks(i.cfg.Part), timeout: ticks(i.cfg.KeyframeTimeout),
		first: firstTimestamp, base: i.cfg.Base, openFurther: i.cfg.Further, log: i.log, stats: &r.stats,
		publish: func(p stream.Part) error {
			i.setStats(r.snapshot())
			if p.StartsSegment {
				r.wantSlate(p)
			}
			return publish(p)
		},
	}
	r.demux = demuxer{cut: &r.cut, log: i.log, stats: &r.stats}
	return r
}

// wantSlate asks for a slate that fits what an encoder sends, with a segment's first part.
// That of an encoder's first segment may have no sound yet; another will.
func (r *runner) wantSlate(p stream.Part) {
	if r.i.slates == nil || r.met == nil || r.met.own {
		return
	}
	first := p.Discontinuity || r.stats.Segments == 1
	if first && slices.ContainsFunc(r.cut.tracks, func(t *track) bool { return !t.isVideo() && t.audio.rate == 0 }) {
		return
	}
	r.i.slates.want(slateFormatOf(r.cut.tracks, p.Media, r.i.cfg.Segment))
}

// snapshot returns the figures as they are now.
func (r *runner) snapshot() Stats {
	s := r.stats
	s.Garbage += r.sync.garbage
	s.Ignored = slices.Clone(s.Ignored)
	for _, t := range r.cut.tracks {
		if r.cut.furtherOf(t).leftOut() {
			s.Ignored = append(s.Ignored, "another "+t.describe())
			continue
		}
		s.Tracks = append(s.Tracks, TrackStats{PID: t.pid, Video: t.isVideo(), Codec: t.describe(), Language: t.language, Frames: t.frames})
	}
	for _, d := range r.cut.data.streams {
		s.Data = append(s.Data, DataStats{PID: d.pid, Kind: d.kind.String(), Messages: d.messages})
	}
	return s
}

type chunk struct {
	data []byte
	err  error
	from *encoder // whose data it is, of those that come and go
}

// run reads until the input ends, ctx is done or something fails.
func (r *runner) run(ctx context.Context) error {
	if err := r.openText(); err != nil {
		return err
	}
	chunks, back := make(chan chunk), make(chan []byte, 2)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		r.read(chunks, back, stop)
	}()
	defer func() {
		close(stop)
		r.src.close()
		if r.src.waits {
			<-stopped
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case c := <-chunks:
			err := r.take(ctx, c)
			if err != nil && r.forgives(c, err) {
				err = r.cutOff()
			}
			if err != nil {
				if errors.Is(err, io.EOF) {
					return nil
				}
				return err
			}
			r.i.setStats(r.snapshot())
			if c.data != nil {
				back <- c.data[:cap(c.data)]
			}
		}
	}
}

// read hands what the source delivers to chunks, until it fails, ends or stop closes.
func (r *runner) read(chunks chan<- chunk, back chan []byte, stop <-chan struct{}) {
	for range cap(back) {
		back <- make([]byte, maxDatagram)
	}
	var failed error
	for {
		var buf []byte
		select {
		case buf = <-back:
		case <-stop:
			return
		}
		c := chunk{data: buf[:0], err: failed}
		if failed == nil {
			n, err := r.src.Read(buf)
			c = chunk{data: buf[:n], err: err}
			if r.src.reception != nil {
				c.from = r.src.reception.sender()
			}
		}
		select {
		case chunks <- c:
		case <-stop:
			return
		}
		switch {
		case c.err == ErrBreak:
		case c.err == io.EOF && r.loop:
			failed = r.src.rewind()
		case c.err != nil:
			return
		}
	}
}

// take feeds a chunk to the stages. It returns io.EOF at the end.
func (r *runner) take(ctx context.Context, c chunk) error {
	switch {
	case c.err == ErrBreak && r.dismissed != nil:
		r.dismissed = nil
		return nil
	case c.err == ErrBreak && len(c.data) == 0:
		return r.cutOff()
	case c.from != nil && c.from == r.dismissed:
		return nil
	case c.from != nil:
		r.meet(c.from)
	}
	if err := r.checkTime(len(c.data)); err != nil {
		return err
	}
	if c.from == nil || !c.from.own {
		r.stats.Bytes += uint64(len(c.data))
	}
	if errors.Is(c.err, syscall.ECONNRESET) {
		c.err = io.EOF // an encoder that ends without ceremony
	}
	final := c.err != nil
	err := r.sync.write(c.data, final, func(pkt []byte) error {
		if err := r.demux.packet(pkt); err != nil {
			return err
		}
		if r.src.paced && r.demux.hasRef {
			return r.pace.wait(ctx, r.demux.ref+r.cut.looped, r.demux.breaks)
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case c.err == nil:
		return nil
	}
	if c.err == ErrBreak {
		return r.cutOff()
	}
	if err := r.demux.flush(nil); err != nil {
		return err
	}
	if c.err == io.EOF && r.loop {
		return r.again()
	}
	if err := r.cut.end(); err != nil {
		return err
	}
	if c.err != io.EOF {
		return fmt.Errorf("read input: %w", c.err)
	}
	if err := r.empty(); err != nil {
		return err
	}
	return io.EOF
}

// meet notes whose bytes come.
func (r *runner) meet(e *encoder) {
	if e == r.met {
		return
	}
	r.met, r.cut.heldFor = e, 0
	if e.heldFor != nil {
		r.cut.heldFor = e.heldFor()
	}
}

// forgives reports whether the input can go on without the encoder that sent c, and
// dismisses it.
func (r *runner) forgives(c chunk, err error) bool {
	if c.from == nil || c.err != nil || r.i.cfg.Reconnect == 0 || !isOfInput(err) {
		return false
	}
	r.dismissed = c.from
	r.src.reception.dismiss(c.from, err)
	return true
}

// isOfInput reports whether an error says what is wrong with the input.
func isOfInput(err error) bool {
	var unsupported *UnsupportedCodecError
	return errors.Is(err, ErrNotMPEGTS) || errors.Is(err, ErrNoTracks) || errors.Is(err, ErrNoKeyframe) || errors.As(err, &unsupported)
}

// cutOff ends what the encoder began that broke off, and prepares for the next one.
func (r *runner) cutOff() error {
	if err := r.sync.write(nil, true, r.demux.packet); err != nil && !isOfInput(err) {
		return err
	}
	r.stats.Garbage += r.sync.garbage
	r.sync = syncer{}
	if err := r.demux.cutOff(r.met != nil && r.met.whole); err != nil {
		return err
	}
	r.active, r.lastRead = 0, time.Time{}
	return nil
}

// again prepares for the file from its beginning, which read goes back to.
func (r *runner) again() error {
	if err := r.empty(); err != nil {
		return err
	}
	if err := r.cut.loop(); err != nil {
		return fmt.Errorf("loop input: %w", err)
	}
	r.demux.rewind()
	return nil
}

// empty says why nothing was published, if nothing was.
func (r *runner) empty() error {
	switch {
	case r.stats.Parts > 0 || r.cut.open:
		return nil
	case !r.sync.seen:
		return fmt.Errorf("%w: none of its %d bytes are", ErrNotMPEGTS, r.stats.Bytes)
	case r.cut.leader == nil:
		return fmt.Errorf("%w: no table names any", ErrNoTracks)
	case r.cut.hasBase:
		return fmt.Errorf("%w before it ended", ErrNoKeyframe)
	}
	return fmt.Errorf("%w: no frame of %s", ErrNoTracks, r.cut.leader.describe())
}

// checkTime fails when bytes arrive, but no segment has begun for too long.
func (r *runner) checkTime(n int) error {
	now := time.Now()
	if r.segments != r.stats.Segments || r.lastRead.IsZero() {
		r.active, r.segments = 0, r.stats.Segments
	} else if n > 0 {
		r.active += min(now.Sub(r.lastRead), maxPause)
	}
	if n > 0 {
		r.lastRead = now
	}
	if r.active <= r.i.cfg.KeyframeTimeout {
		return nil
	}
	if r.cut.leader == nil {
		if !r.sync.seen {
			return fmt.Errorf("%w: no packet in %v", ErrNotMPEGTS, r.i.cfg.KeyframeTimeout)
		}
		return fmt.Errorf("%w: no table names any in %v", ErrNoTracks, r.i.cfg.KeyframeTimeout)
	}
	return fmt.Errorf("%w in %v", ErrNoKeyframe, r.i.cfg.KeyframeTimeout)
}
