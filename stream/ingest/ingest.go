package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// What ends a run because of its input. They are wrapped with what was seen.
var (
	// ErrNotMPEGTS says that no MPEG-TS packets were found.
	ErrNotMPEGTS = errors.New("input is not MPEG-TS")
	// ErrNoTracks says that MPEG-TS came, but names or carries no audio or video.
	ErrNoTracks = errors.New("input has no audio or video")
	// ErrNoKeyframe says that no keyframe came within Config.KeyframeTimeout, or none
	// before the input ended.
	ErrNoKeyframe = errors.New("input has no keyframe")
)

// ErrBreak is what a Read of [Config.Stdin] returns where another muxer's output follows,
// with timestamps that may have nothing to do with those before. Reading goes on.
var ErrBreak = errors.New("the input breaks off, and another follows")

// UnsupportedCodecError says that the input's only video, or only audio, is in a codec
// that players of HLS do not know.
type UnsupportedCodecError struct {
	Kind  string // "video" or "audio"
	Codec string // such as "MPEG-2 video" or "stream type 0x33"
}

func (e *UnsupportedCodecError) Error() string {
	return fmt.Sprintf("unsupported %s codec: %s", e.Kind, e.Codec)
}

const (
	defaultSegment         = 2 * time.Second
	defaultPart            = 500 * time.Millisecond
	defaultKeyframeTimeout = 30 * time.Second

	// Below these, headers would outweigh media, or no frame would fit.
	minSegment = 500 * time.Millisecond
	minPart    = 50 * time.Millisecond
	// Above this, a player's buffer is minutes.
	maxSegment = time.Minute
)

// Config says what to read and how to cut it.
type Config struct {
	// Input is "-" (Stdin), a file's path, "tcp://host:port", "udp://host:port",
	// "rtmp://host:port/path", "srt://host:port" or "whip://host:port/path" to listen on
	// (the host may be empty, or a multicast group for UDP), or "sample:", the built-in
	// test card, which loops for ever. SRT has options in the query: passphrase, streamid, latency (such as 200ms)
	// and mode, listener or caller.
	Input string
	// StreamKey is what RTMP and WHIP publishers must show, see [CheckStreamKey].
	StreamKey string
	// Reconnect is for how long an encoder that broke off, or ended, is waited for before
	// the input ends. Meanwhile, nothing that an encoder sends ends the input: what is
	// of no use is left out, and Refused is told. 0 ends the input with the encoder.
	// Only TCP, RTMP, SRT and WHIP can wait.
	Reconnect time.Duration
	// Slate makes what is published while an encoder is awaited: a few seconds of MPEG-TS, a
	// picture and silence, which begin with a keyframe and are repeated; nil for nothing. It is
	// called when the input's format is known, and again when that has changed. Only with
	// Reconnect.
	Slate func(context.Context, SlateFormat) ([]byte, error)
	// Refused is told of each encoder that is not let in, or not listened to any more,
	// and why: an error that wraps one of this package's. It may be called from several
	// goroutines at once; nil logs.
	Refused func(from string, why error)
	// Stdin is read for "-". A Read that does not return outlives Run: nothing can
	// interrupt it.
	Stdin io.Reader
	// Segment is the target duration of segments, 0.5 s to 60 s; 0 means 2 s. A segment
	// ends at the first keyframe at or after it.
	Segment time.Duration
	// Part is the target duration of parts, 50 ms to Segment; 0 means 500 ms, or
	// Segment if that is shorter. A part ends at the first frame at or after it.
	Part time.Duration
	// Loop starts a file again at its end, with continuous timestamps. Only regular
	// files can loop.
	Loop bool
	// KeyframeTimeout bounds the time, by timestamps and by the clock while bytes
	// arrive, without a keyframe; 0 means 30 s.
	KeyframeTimeout time.Duration
	// Base is the time line that ingests of one broadcast share; nil for one of its own.
	Base *Base
	// Further opens the renditions of further audio tracks, and of Subtitles: it returns what
	// publishes the parts of the one of a name, or nil to have it left out. The input's
	// first audio track is in the same rendition as the video, and so are all others if
	// Further is nil. A rendition that begins later than the input, or has nothing for a
	// while, says so with Absent.
	Further func(rendition string) (publish func(stream.Part) error, err error)
	// Subtitles come beside the input, and need Further. Where the input is encoded to several
	// renditions, the ingest before and the first of those behind it have them, see [Base].
	Subtitles []Subtitles
	// Logger receives what is odd about the input; nil discards.
	Logger *slog.Logger

	// patience is for how long WebRTC's lost video is waited for; 0 means videoPatience.
	// Tests wait until it is sent again, however slow the machine is.
	patience time.Duration
}

// Ingest reads one input. It is made by [New] and used for one [Ingest.Run].
type Ingest struct {
	cfg    Config
	in     input
	log    *slog.Logger
	slates *slateMaker // nil without a slate

	mu    sync.Mutex
	stats Stats // guarded by mu
}

// New validates cfg. It opens and binds nothing.
func New(cfg Config) (*Ingest, error) {
	in, err := parseInput(cfg.Input)
	if err != nil {
		return nil, err
	}
	if cfg.Segment == 0 {
		cfg.Segment = defaultSegment
	}
	if cfg.Part == 0 {
		cfg.Part = min(defaultPart, cfg.Segment)
	}
	if cfg.KeyframeTimeout == 0 {
		cfg.KeyframeTimeout = defaultKeyframeTimeout
	}
	switch {
	case cfg.Segment < minSegment || cfg.Segment > maxSegment:
		return nil, fmt.Errorf("segment duration %v is not within %v and %v", cfg.Segment, minSegment, maxSegment)
	case cfg.Part < minPart || cfg.Part > cfg.Segment:
		return nil, fmt.Errorf("part duration %v is not within %v and the segment duration %v", cfg.Part, minPart, cfg.Segment)
	case cfg.KeyframeTimeout < 0:
		return nil, fmt.Errorf("keyframe timeout %v is negative", cfg.KeyframeTimeout)
	case cfg.Reconnect < 0:
		return nil, fmt.Errorf("time to reconnect %v is negative", cfg.Reconnect)
	case cfg.Reconnect > 0 && !in.reconnects():
		return nil, fmt.Errorf("input %q cannot reconnect: only what listens for encoders can", cfg.Input)
	case cfg.Slate != nil && cfg.Reconnect == 0:
		return nil, errors.New("a slate is for inputs that wait for encoders to come back")
	case in.kind == inputStdin && cfg.Stdin == nil:
		return nil, errors.New("input \"-\" needs a standard input")
	case len(cfg.Subtitles) > 0 && cfg.Further == nil && !cfg.Base.leads():
		return nil, errors.New("subtitles have nobody to publish them")
	case cfg.Loop && in.kind != inputFile && in.kind != inputSample:
		return nil, fmt.Errorf("input %q cannot loop: only files can", WithoutSecrets(cfg.Input))
	}
	if in.kind == inputRTMP || in.kind == inputWHIP {
		if err := CheckStreamKey(cfg.StreamKey); err != nil {
			return nil, err
		}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Ingest{cfg: cfg, in: in, log: cfg.Logger, slates: newSlateMaker(cfg)}, nil
}

// Run reads the input to its end and hands each part to publish as soon as it is
// complete, one after the other. It returns nil at the end of the input, the cause of
// ctx when that is done, publish's error, or what is wrong with the input: an error
// that wraps [ErrNotMPEGTS], [ErrNoTracks] or [ErrNoKeyframe], or an
// [*UnsupportedCodecError]. UDP has no end. Parts' Data is not touched again.
func (i *Ingest) Run(ctx context.Context, publish func(stream.Part) error) error {
	src, err := i.in.open(ctx, i)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	defer src.close()
	if i.slates != nil {
		making, cancel := context.WithCancel(ctx)
		var made sync.WaitGroup
		made.Go(func() { i.slates.run(making) })
		defer made.Wait()
		defer cancel()
	}

	r := newRunner(i, src, publish)
	err = r.run(ctx)
	i.setStats(r.snapshot())
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
