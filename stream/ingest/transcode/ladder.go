package transcode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/ingest"
)

const (
	// handOver is how much of the input is handed to ffmpeg at a time.
	handOver = 50 * time.Millisecond
	// shortSegments has the first ingest begin a segment at each keyframe, nearly: ffmpeg
	// can be started with one.
	shortSegments  = 500 * time.Millisecond
	defaultSegment = 2 * time.Second
)

var (
	// ErrNoVideo says that there is no picture in the input, or none of a known size.
	ErrNoVideo = errors.New("input has no video to encode")
	// ErrNoPipes says that ffmpeg cannot be given a pipe for each rendition here.
	ErrNoPipes = errors.New("encoding several renditions does not work on this system yet")
)

// TooSmallError says that the input's picture is smaller than all that it was to be
// encoded as.
type TooSmallError struct{ Width, Height, Lines int }

func (e *TooSmallError) Error() string {
	return fmt.Sprintf("input's picture is %dx%d, smaller than all renditions", e.Width, e.Height)
}

// Config says what to encode, and as what.
type Config struct {
	// Input is what is encoded. Its Segment and Part are those of the renditions, and each
	// segment begins with a forced keyframe. Its Base is not used. Its Further opens the
	// renditions of further audio, which is encoded too, and of Subtitles, which are not.
	Input ingest.Config
	// Heights are those of the renditions, the highest first, as of [ParseHeights].
	Heights []int
	// Encoder is one of ffmpeg's for video; "" has one chosen: the hardware's if a trial
	// shows that it works, else libx264.
	Encoder string
	// FFmpeg is the program, by its path or its name; "" means ffmpeg.
	FFmpeg string
}

// Plan says what a ladder makes of its input.
type Plan struct {
	Width, Height int         // of the input's picture
	Renditions    []Rendition // the highest first
	LeftOut       []string    // names of those that the input has too few lines for
}

// Ladder encodes one input as several renditions. It is made by [New], prepared once and
// then used for one [Ladder.Run].
type Ladder struct {
	cfg     Config
	log     *slog.Logger
	input   *ingest.Ingest
	base    *ingest.Base
	ffmpeg  string
	encoder encoder

	queue *queue
	wg    sync.WaitGroup // of renditions

	mu         sync.Mutex // guards all following
	renditions []*rendition
	restarts   uint64
	lost       time.Duration
}

// rendition is one that is being made.
type rendition struct {
	Rendition
	joint  *joint
	ingest *ingest.Ingest
}

// New validates cfg. It starts nothing, and does not look for ffmpeg.
func New(cfg Config) (*Ladder, error) {
	switch {
	case !hasPipes:
		return nil, ErrNoPipes
	case len(cfg.Heights) == 0:
		return nil, errors.New("no rendition to encode")
	}
	if cfg.FFmpeg == "" {
		cfg.FFmpeg = "ffmpeg"
	}
	if cfg.Input.Segment == 0 {
		cfg.Input.Segment = defaultSegment
	}
	if cfg.Input.Logger == nil {
		cfg.Input.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Input.Base = nil
	if _, err := ingest.New(cfg.Input); err != nil {
		return nil, err
	}
	l := &Ladder{cfg: cfg, log: cfg.Input.Logger, base: ingest.NewBase(), queue: newQueue(cfg.Input.Logger)}
	first := cfg.Input
	first.Segment, first.Part, first.Base, first.Further = shortSegments, handOver, l.base, nil
	var err error
	l.input, err = ingest.New(first)
	return l, err
}

// Prepare finds ffmpeg and an encoder that works, which takes a second or some, and returns
// the encoder's name. Errors are or wrap [ErrNoFFmpeg], a [*VersionError] or an
// [*EncoderError].
func (l *Ladder) Prepare(ctx context.Context) (encoder string, err error) {
	if l.ffmpeg, err = find(ctx, l.cfg.FFmpeg); err != nil {
		return "", err
	}
	l.encoder, err = chooseEncoder(ctx, l.ffmpeg, l.cfg.Encoder, l.cfg.Heights, l.cfg.Input.Segment, l.log)
	return l.encoder.name, err
}

// Run encodes the input to its end. Once it knows the input's picture, it calls open with
// what it makes of it, and from then on hands the parts of each rendition to the function
// that open returned for it: each rendition's one after the other, those of several at the
// same time. It returns what [ingest.Ingest.Run] does for the input, and [ErrNoVideo], a
// [*TooSmallError], or a [*DiedError].
func (l *Ladder) Run(ctx context.Context, open func(Plan) ([]func(stream.Part) error, error)) error {
	inner, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	source := make(chan error, 1)
	go func() {
		defer l.queue.close()
		source <- l.input.Run(inner, func(p stream.Part) error { return l.queue.put(inner, p) })
	}()
	f := &feeder{ladder: l, open: func(in stream.Media) error { return l.begin(inner, fail, in, open) }}
	err := f.run(inner)
	if err != nil {
		fail(err)
	}
	l.mu.Lock()
	for _, r := range l.renditions {
		close(r.joint.next)
	}
	l.mu.Unlock()
	l.wg.Wait()
	for _, r := range l.renditions {
		for f := range r.joint.next { // nobody came to read it
			f.Close()
		}
	}
	sourceErr := <-source
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case inner.Err() != nil:
		return context.Cause(inner) // what went wrong first
	}
	return sourceErr
}

// begin decides on the renditions, and starts what cuts them.
func (l *Ladder) begin(ctx context.Context, fail context.CancelCauseFunc, in stream.Media, open func(Plan) ([]func(stream.Part) error, error)) error {
	if in.Width == 0 || in.Height == 0 {
		return ErrNoVideo
	}
	fit, above := split(in.Width, in.Height, l.cfg.Heights)
	if len(fit) == 0 {
		return &TooSmallError{in.Width, in.Height, lines(in.Width, in.Height)}
	}
	plan := Plan{Width: in.Width, Height: in.Height}
	for _, h := range above {
		plan.LeftOut = append(plan.LeftOut, Name(h))
	}
	var renditions []*rendition
	for n, h := range fit {
		r := &rendition{Rendition: renditionOf(in, h), joint: newJoint()}
		plan.Renditions = append(plan.Renditions, r.Rendition)
		renditions = append(renditions, r)
		cfg := l.cfg.Input
		cfg.Input, cfg.Stdin, cfg.Loop, cfg.Base = "-", r.joint, false, l.base.Encoded()
		cfg.Reconnect, cfg.Slate, cfg.Refused = 0, nil, nil // those are the input's
		cfg.Logger = l.log.With("rendition", r.Name)
		if n > 0 {
			cfg.Further, cfg.Subtitles = nil, nil // the first has them
		}
		var err error
		if r.ingest, err = ingest.New(cfg); err != nil {
			return err
		}
	}
	publish, err := open(plan)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.renditions = renditions
	l.mu.Unlock()
	for n, r := range renditions {
		l.wg.Go(func() {
			if err := r.ingest.Run(ctx, publish[n]); err != nil && ctx.Err() == nil {
				fail(fmt.Errorf("rendition %s: %w", r.Name, err))
			}
		})
	}
	return nil
}

// command returns what ffmpeg is told for an input as it is now.
func (l *Ladder) command(in stream.Media) command {
	c := command{encoder: l.encoder, input: fromIngest, segment: l.cfg.Input.Segment, rate: rateOf(in), audio: l.languages()}
	for _, r := range l.renditions {
		c.renditions = append(c.renditions, renditionOf(in, r.lines))
	}
	return c
}

// languages are those of the input's audio tracks as they are now.
func (l *Ladder) languages() (list []string) {
	for _, t := range l.input.Stats().Tracks {
		if !t.Video {
			list = append(list, t.Language)
		}
	}
	return list
}
