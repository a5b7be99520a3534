package transcode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/stream/ingest"
)

// ErrUnreadable says that ffmpeg cannot make anything of a file.
var ErrUnreadable = errors.New("ffmpeg cannot read it")

// FileConfig says how to play a file.
type FileConfig struct {
	Path string
	Loop bool // begin again at its end
	// Segment is how far apart keyframes shall be where the video must be encoded; 0 means
	// 2 s.
	Segment time.Duration
	Encoder string // as in [Config]
	FFmpeg  string // as in [Config]; ffprobe is looked for beside it, and where programs are
	Logger  *slog.Logger
}

// File is a file of any kind that ffmpeg reads, as MPEG-TS in real time. What ingest takes
// and browsers play is copied, the rest is encoded.
type File struct {
	// Copied and Encoded say of which tracks, such as "h264 video".
	Copied, Encoded []string
	// Subtitles are the file's text, with the timestamps of what Read returns. They have to
	// be read, too, and end when the file does or is closed.
	Subtitles []ingest.Subtitles
	// LeftOut is how many subtitle tracks are not played: those that are pictures, too many,
	// or all if the system has no pipes for them.
	LeftOut int

	cfg    FileConfig
	ffmpeg string
	args   []string
	ctx    context.Context // ends with Close
	stop   context.CancelFunc

	said *said
	end  error      // of Read, once there is one
	text []*os.File // ffmpeg's ends of the pipes for subtitles; nil once it has them
	read []*os.File // the other ends

	mu     sync.Mutex    // guards all following
	out    *os.File      // nil until the first Read
	closed bool          // out
	done   chan struct{} // closed when ffmpeg has ended; nil until the first Read
	err    error         // how it ended, valid once done is closed
}

// OpenFile looks at a file, and reads nothing yet; ctx bounds that, and no more. Errors are
// or wrap [ErrNoFFmpeg], a [*VersionError], an [*EncoderError] or [ErrUnreadable].
func OpenFile(ctx context.Context, cfg FileConfig) (*File, error) {
	if cfg.FFmpeg == "" {
		cfg.FFmpeg = "ffmpeg"
	}
	if cfg.Segment == 0 {
		cfg.Segment = defaultSegment
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	path, err := find(ctx, cfg.FFmpeg)
	if err != nil {
		return nil, err
	}
	found, err := probe(ctx, path, cfg.Path)
	if err != nil {
		return nil, err
	}
	f := &File{cfg: cfg, ffmpeg: path, said: &said{log: cfg.Logger}}
	f.ctx, f.stop = context.WithCancel(context.WithoutCancel(ctx))
	f.args = []string{"-hide_banner", "-nostdin", "-nostats", "-loglevel", "error", "-re"}
	if cfg.Loop {
		f.args = append(f.args, "-stream_loop", "-1")
	}
	if err := f.choose(ctx, found); err != nil {
		f.stop()
		return nil, err
	}
	f.args = append(f.args, "-f", "mpegts", "-muxdelay", "0", "-muxpreload", "0", "-pes_payload_size", "0", "-flush_packets", "1", "pipe:1")
	f.LeftOut = found.pictures + len(found.text)
	if hasPipes {
		if err := f.chooseText(found.text); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Read implements io.Reader. The first begins to play, and the last returns io.EOF or how
// ffmpeg failed. It must not be called concurrently, but Close may be.
func (f *File) Read(b []byte) (int, error) {
	if f.end != nil {
		return 0, f.end
	}
	out, err := f.start()
	if err != nil {
		f.end = err
		return 0, f.end
	}
	n, err := out.Read(b)
	if err == nil {
		return n, nil
	}
	f.end = io.EOF
	<-f.done
	if f.err != nil && f.ctx.Err() == nil {
		f.end = fmt.Errorf("ffmpeg failed: %w: %s", f.err, f.said.last())
	}
	return n, f.end
}

// start begins to play unless that was done, and returns the output.
func (f *File) start() (*os.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.out != nil {
		return f.out, nil
	}
	out, theirs, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start ffmpeg: %w", err)
	}
	defer theirs.Close() // it has its own copy
	cmd := exec.CommandContext(f.ctx, f.ffmpeg, f.args...)
	cmd.Stdout, cmd.Stderr = theirs, f.said
	cmd.ExtraFiles = f.text
	defer f.closeText() // likewise
	cmd.SysProcAttr = ownGroup()
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		out.Close()
		return nil, fmt.Errorf("start ffmpeg: %w", err)
	}
	f.out, f.done = out, make(chan struct{})
	go func() {
		defer close(f.done)
		f.err = cmd.Wait()
	}()
	return out, nil
}

// Close ends ffmpeg and waits for it; a Read that waits returns.
func (f *File) Close() error {
	f.stop()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	f.closeText()
	if f.out == nil {
		return f.closeRead()
	}
	<-f.done
	return errors.Join(f.out.Close(), f.closeRead())
}

// closeText closes ffmpeg's ends of the pipes for subtitles.
func (f *File) closeText() {
	for _, w := range f.text {
		w.Close()
	}
	f.text = nil
}

// closeRead closes the other ends; Reads that wait return.
func (f *File) closeRead() error {
	var errs []error
	for _, r := range f.read {
		errs = append(errs, r.Close())
	}
	return errors.Join(errs...)
}
