package transcode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/grapevine-live/grapevine/stream"
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

	cfg    FileConfig
	ffmpeg string
	args   []string
	ctx    context.Context // ends with Close
	stop   context.CancelFunc

	said *said
	end  error // of Read, once there is one

	mu     sync.Mutex    // guards all following
	out    *os.File      // nil until the first Read
	closed bool          // out
	done   chan struct{} // closed when ffmpeg has ended; nil until the first Read
	err    error         // how it ended, valid once done is closed
}

// track is what is asked of ffprobe.
type track struct {
	Kind        string `json:"codec_type"`
	Codec       string `json:"codec_name"`
	Pixels      string `json:"pix_fmt"`
	Width       int    `json:"width"`
	Height      int    `json:"height"`
	Rate        string `json:"avg_frame_rate"`
	Disposition struct {
		Picture int `json:"attached_pic"` // a cover
	} `json:"disposition"`
	Side []struct {
		Rotation float64 `json:"rotation"`
	} `json:"side_data_list"`
}

// fits reports whether a track can be published as it is.
func (t track) fits() bool {
	switch t.Codec {
	case "h264":
		return !t.turned() && slices.Contains([]string{"yuv420p", "yuvj420p"}, t.Pixels)
	case "hevc":
		return !t.turned() && slices.Contains([]string{"yuv420p", "yuvj420p", "yuv420p10le"}, t.Pixels)
	}
	return t.Codec == "aac" || t.Codec == "mp3"
}

// turned reports whether players shall turn the picture, which MPEG-TS cannot tell them.
func (t track) turned() bool {
	for _, s := range t.Side {
		if s.Rotation != 0 {
			return true
		}
	}
	return false
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
	video, audio, err := probe(ctx, path, cfg.Path)
	if err != nil {
		return nil, err
	}
	f := &File{cfg: cfg, ffmpeg: path, said: &said{log: cfg.Logger}}
	f.args = []string{"-hide_banner", "-nostdin", "-nostats", "-loglevel", "error", "-re"}
	if cfg.Loop {
		f.args = append(f.args, "-stream_loop", "-1")
	}
	if err := f.choose(ctx, video, audio); err != nil {
		return nil, err
	}
	f.args = append(f.args, "-f", "mpegts", "-muxdelay", "0", "-muxpreload", "0", "-pes_payload_size", "0", "-flush_packets", "1", "pipe:1")
	f.ctx, f.stop = context.WithCancel(context.WithoutCancel(ctx))
	return f, nil
}

// probe returns the tracks to play, nil where there is none.
func probe(ctx context.Context, ffmpeg, file string) (video, audio *track, err error) {
	ffprobe, err := findProbe(ffmpeg)
	if err != nil {
		return nil, nil, err
	}
	// "file:" keeps a name with a colon from being taken for a protocol.
	out, err := ask(ctx, ffprobe, "-v", "error", "-show_streams", "-of", "json", "file:"+file)
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	var found struct{ Streams []track }
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		return nil, nil, fmt.Errorf("read ffprobe's answer: %w", err)
	}
	for _, t := range found.Streams {
		switch {
		case t.Kind == "video" && video == nil && t.Disposition.Picture == 0:
			video = &t
		case t.Kind == "audio" && audio == nil:
			audio = &t
		}
	}
	if video == nil && audio == nil {
		return nil, nil, fmt.Errorf("%w: it has neither audio nor video", ErrUnreadable)
	}
	return video, audio, nil
}

// findProbe looks for ffprobe, which comes with ffmpeg.
func findProbe(ffmpeg string) (string, error) {
	beside := filepath.Join(filepath.Dir(ffmpeg), "ffprobe"+filepath.Ext(ffmpeg))
	for _, name := range []string{beside, "ffprobe"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: there is no ffprobe beside it", ErrNoFFmpeg)
}

// choose decides what is copied, and how the rest is encoded.
func (f *File) choose(ctx context.Context, video, audio *track) error {
	var outs []string
	encoder := encoder{}
	if video != nil {
		outs = append(outs, "-map", "0:V:0") // not a cover
		if video.fits() {
			f.Copied = append(f.Copied, video.Codec+" video")
			outs = append(outs, "-c:v", "copy")
		} else {
			in := stream.Media{Width: video.Width, Height: video.Height, FrameRate: video.rate()}
			if in.Width == 0 || in.Height == 0 {
				return fmt.Errorf("%w: its picture has no size", ErrUnreadable)
			}
			f.Encoded = append(f.Encoded, video.Codec+" video")
			r := renditionOf(in, lines(in.Width, in.Height))
			var err error
			if encoder, err = chooseEncoder(ctx, f.ffmpeg, f.cfg.Encoder, []int{even(float64(r.lines))}, f.cfg.Segment, f.cfg.Logger); err != nil {
				return err
			}
			outs = append(outs, encoder.video(f.cfg.Segment, rateOf(in))...)
			outs = append(outs, r.rate("v")...)
			outs = append(outs, "-vf", "scale=trunc(iw/2)*2:trunc(ih/2)*2,"+encoder.pixels)
		}
	}
	if audio != nil {
		outs = append(outs, "-map", "0:a:0")
		if audio.fits() {
			f.Copied = append(f.Copied, audio.Codec+" audio")
			outs = append(outs, "-c:a", "copy")
		} else {
			f.Encoded = append(f.Encoded, audio.Codec+" audio")
			outs = append(outs, stereo...)
		}
	}
	f.args = append(append(append(f.args, encoder.device...), "-i", "file:"+f.cfg.Path), outs...)
	return nil
}

// rate returns the frames per second, 0 if they are not known.
func (t track) rate() float64 {
	var n, d float64
	if _, err := fmt.Sscanf(t.Rate, "%g/%g", &n, &d); err != nil || d == 0 {
		return 0
	}
	return n / d
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
	if f.out == nil || f.closed {
		return nil
	}
	f.closed = true
	<-f.done
	return f.out.Close()
}
