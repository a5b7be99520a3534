package origin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"time"

	"github.com/grapevine-live/grapevine/stream/ingest"
)

var (
	// errChanged says that a segment is not what it was when it was begun.
	errChanged = errors.New("segment is another than before")
	// errGrowing says that more of a segment is to come.
	errGrowing = errors.New("segment is under way")
)

// contentError is the output's: the bytes came, but are no good.
type contentError struct{ err error }

func (e *contentError) Error() string { return e.err.Error() }
func (e *contentError) Unwrap() error { return e.err }

// taken is what the output took of a segment. It is written to.
type taken struct {
	to   io.Writer
	sum  hash.Hash
	size int64
}

func (t *taken) Write(b []byte) (int, error) {
	if _, err := t.to.Write(b); err != nil {
		return 0, &contentError{err}
	}
	t.sum.Write(b)
	t.size += int64(len(b))
	return len(b), nil
}

// segment publishes a whole segment.
func (r *Rendition) segment(ctx context.Context, s *segment) error {
	if err := r.prepare(ctx, s); err != nil {
		return err
	}
	var t *taken
	begin := func() {
		r.out.Begin(r.info(s))
		t = &taken{to: r.out, sum: sha256.New()}
	}
	begin()
	err := r.retry(ctx, s, func(ctx context.Context) error {
		err := r.fetch(ctx, s.media, t)
		if err == nil {
			if err = r.out.Close(); err != nil {
				err = &contentError{err}
			}
		}
		if err != nil && !r.out.Begun() {
			begin() // nobody has seen any of it
		}
		return err
	})
	r.broken = r.broken && err != nil
	return err
}

// spare returns for how long a segment may be tried for without that others are lost: a live
// playlist drops one after the other.
func (r *Rendition) spare(s *segment) time.Duration {
	if r.stubborn {
		return leastTargets * r.list.target // pictures wait for it
	}
	if r.pace != nil {
		return segmentTime
	}
	spare := -time.Since(r.arrived)
	for _, o := range r.list.segments {
		if o.number <= s.number {
			spare += o.duration
		}
	}
	return max(leastTargets*r.list.target, min(spare, segmentTime))
}

// retry attempts to get something of a segment until it is of no use any more. Attempts'
// context ends then.
func (r *Rendition) retry(ctx context.Context, s *segment, attempt func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, r.spare(s), ErrSlow)
	defer cancel()
	for pause := retryFirst; ; pause = min(2*pause, retryMost) {
		err := attempt(ctx)
		if err == nil || !r.again(err) {
			return err
		}
		if deadline, _ := ctx.Deadline(); ctx.Err() != nil || time.Now().Add(pause).After(deadline) {
			return err
		}
		r.note(func(st *Stats) { st.Retries++ })
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// again reports whether another attempt may help.
func (r *Rendition) again(err error) bool {
	var published *publishError
	var content *contentError
	var codec *ingest.UnsupportedCodecError
	switch {
	case errors.As(err, &published), errors.Is(err, errChanged), errors.As(err, &codec):
		return false
	case errors.Is(err, ingest.ErrNoKeyframe), errors.Is(err, ErrTooLarge), errors.Is(err, ErrInsecure):
		return false
	case errors.As(err, &content):
		return !r.out.Begun() // such as a page that says that the server is busy
	}
	return true
}

// fetch hands to t what it does not have yet of a segment's bytes. Those that it has must
// be the same again.
func (r *Rendition) fetch(ctx context.Context, s span, t *taken) error {
	a, err := r.origin.client.get(ctx, s, maxSegment, 0, "identity")
	if err != nil {
		return err
	}
	defer a.Close()
	body, err := r.opened(ctx, a, s.secret)
	if err != nil {
		return err
	}
	if t.size > 0 {
		before := sha256.New()
		if _, err := io.CopyN(before, body, t.size); err != nil {
			return err
		}
		if !bytes.Equal(before.Sum(nil), t.sum.Sum(nil)) {
			return errChanged
		}
	}
	if r.pace == nil {
		_, err = io.Copy(t, body)
		return err
	}
	// It is published at the speed of its media: no server waits for that.
	all, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	_, err = t.Write(all)
	return err
}

// growing is a segment whose parts are taken as they come.
type growing struct {
	number uint64
	parts  int // taken
	taken
}

// grow publishes what is new of a segment that is listed part by part. It returns
// errGrowing unless that was the last of it.
func (r *Rendition) grow(ctx context.Context, s *segment) error {
	g := r.growing
	if g == nil {
		if err := r.prepare(ctx, s); err != nil {
			return err
		}
		g = &growing{number: s.number, taken: taken{to: r.out, sum: sha256.New()}}
		r.growing = g
		r.out.Begin(r.info(s))
	}
	err := r.pieces(ctx, s, g)
	var content *contentError
	switch {
	case errors.Is(err, errGap), errors.As(err, &content):
		return err
	case !s.whole:
		return errGrowing // what failed is tried again with the next playlist
	case err != nil || len(s.parts) < g.parts || g.parts == 0:
		// Its parts are not to be had, or not listed any more.
		if err := r.retry(ctx, s, func(ctx context.Context) error { return r.fetch(ctx, s.media, &g.taken) }); err != nil {
			return err
		}
	}
	if err := r.out.Close(); err != nil {
		return &contentError{err}
	}
	r.broken = false
	return nil
}

// pieces takes the parts that are new, each of them whole or not at all.
func (r *Rendition) pieces(ctx context.Context, s *segment, g *growing) error {
	for _, p := range s.parts[min(g.parts, len(s.parts)):] {
		if p.gap {
			return errGap
		}
		whole, err := r.piece(ctx, p.span)
		if err != nil {
			r.failed = err
			r.note(func(st *Stats) { st.Retries++ })
			return err
		}
		if _, err := g.Write(whole); err != nil {
			return err
		}
		g.parts++
		r.gained = true
	}
	return nil
}

func (r *Rendition) piece(ctx context.Context, s span) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, pieceTime, ErrSlow)
	defer cancel()
	var whole bytes.Buffer
	err := r.fetch(ctx, s, &taken{to: &whole, sum: sha256.New()})
	return whole.Bytes(), err
}
