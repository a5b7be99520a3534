package transcode

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/ingest"
)

const (
	// slateText is what the slate says that nobody made.
	slateText = "The stream will be back soon"
	// slateColor is behind it: dark, but not taken for no picture.
	slateColor = "0x141c28"
	// maxSlate bounds what is shown of a video before it begins again: it is kept in memory,
	// and encoded while the stream runs.
	maxSlate = 20 * time.Second
	// slateLimit is how long one core may take for that, at 4K.
	slateLimit = 5 * time.Minute
	// Frame rates that are outside are not worth it, or none.
	minSlateRate, maxSlateRate = 10, 60
	// slateSilence is how much silence there is, which is repeated by itself.
	slateSilence = time.Second
)

// SlateConfig says what a slate shows.
type SlateConfig struct {
	// File is an image or a video, without its sound; "" for a dark picture with a line of
	// text, if ffmpeg has a font.
	File   string
	FFmpeg string // as in [Config]; ffprobe is looked for as for a [File]
	Logger *slog.Logger
}

// Slate makes what is shown while an encoder is gone, for ingest.Config.Slate.
type Slate struct {
	cfg    SlateConfig
	ffmpeg string
	lasts  time.Duration // of a video; 0 if the picture stands
	text   bool          // ffmpeg can draw some

	making sync.Mutex // one at a time: several inputs may want one, and the stream comes first
}

// OpenSlate finds out whether a slate can be made. Errors are of the file, or are or wrap
// [ErrNoFFmpeg], a [*VersionError], an [*EncoderError] or [ErrUnreadable].
func OpenSlate(ctx context.Context, cfg SlateConfig) (*Slate, error) {
	if cfg.FFmpeg == "" {
		cfg.FFmpeg = "ffmpeg"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Slate{cfg: cfg}
	if cfg.File != "" {
		if err := readable(cfg.File); err != nil {
			return nil, err
		}
	}
	var err error
	if s.ffmpeg, err = find(ctx, cfg.FFmpeg); err != nil {
		return nil, err
	}
	if cfg.File != "" {
		if s.lasts, err = probeSlate(ctx, s.ffmpeg, cfg.File); err != nil {
			return nil, err
		}
	}
	// It takes pictures of any size, if it takes one.
	if err := try(ctx, s.ffmpeg, encoderOf(software, ""), []int{minHeight}, defaultSegment); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, &EncoderError{software, err}
	}
	if cfg.File == "" {
		s.text = s.draws(ctx)
	}
	return s, nil
}

// readable reports what keeps a file from being read.
func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = syscall.EISDIR
	}
	return err
}

// probeSlate returns how long a video lasts, 0 for an image.
func probeSlate(ctx context.Context, ffmpeg, file string) (time.Duration, error) {
	ffprobe, err := findProbe(ffmpeg)
	if err != nil {
		return 0, err
	}
	out, err := ask(ctx, ffprobe, "-v", "error", "-select_streams", "v:0", "-count_packets",
		"-show_entries", "stream=nb_read_packets,avg_frame_rate:format=duration", "-of", "json", "file:"+file)
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	var found struct {
		Streams []struct {
			track
			Packets string `json:"nb_read_packets"`
		}
		Format struct{ Duration string }
	}
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		return 0, fmt.Errorf("read ffprobe's answer: %w", err)
	}
	if len(found.Streams) == 0 {
		return 0, fmt.Errorf("%w: it has no picture", ErrUnreadable)
	}
	if _, err := ask(ctx, ffmpeg, "-hide_banner", "-nostdin", "-loglevel", "error", "-xerror", "-i", "file:"+file, "-map", "0:v:0", "-frames:v", "1", "-f", "null", "-"); err != nil {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		return 0, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	video := found.Streams[0]
	packets, _ := strconv.Atoi(video.Packets)
	if packets <= 1 {
		return 0, nil
	}
	seconds, _ := strconv.ParseFloat(found.Format.Duration, 64)
	if !(seconds > 0) { // not told: by its pictures
		seconds = float64(packets) / rateOf(stream.Media{FrameRate: video.rate()})
	}
	return time.Duration(min(seconds, maxSlate.Seconds()) * float64(time.Second)), nil
}

// draws reports whether ffmpeg can write the text: it may have neither the filter nor a font.
func (s *Slate) draws(ctx context.Context) bool {
	source := fmt.Sprintf("color=size=320x180,%s", drawText(320, 180))
	_, err := ask(ctx, s.ffmpeg, "-hide_banner", "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", source, "-frames:v", "1", "-f", "null", "-")
	if err != nil {
		s.cfg.Logger.Info("the slate has no text: ffmpeg cannot draw it", "err", err)
	}
	return err == nil
}

// drawText returns the filter that writes the text in the middle of a picture.
func drawText(width, height int) string {
	return fmt.Sprintf("drawtext=text='%s':fontcolor=white:fontsize=%d:x=(w-text_w)/2:y=(h-text_h)/2", slateText, max(8, min(width/20, height/8)))
}

// Make makes a slate for an input, which takes a second, or for a video longer than it
// lasts.
func (s *Slate) Make(ctx context.Context, f ingest.SlateFormat) ([]byte, error) {
	args, err := s.args(f)
	if err != nil {
		return nil, err
	}
	s.making.Lock()
	defer s.making.Unlock()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	out, err := askFor(ctx, slateLimit, s.ffmpeg, args...)
	if err != nil {
		return nil, fmt.Errorf("make slate: %w", err)
	}
	return []byte(out), nil
}

// args returns what ffmpeg is told.
func (s *Slate) args(f ingest.SlateFormat) ([]string, error) {
	video, err := slateVideo(f)
	if err != nil {
		return nil, err
	}
	rate := slateRate(f.FrameRate)
	frames, groups := s.frames(f.Segment, rate)
	width, height := even(float64(f.Width)), even(float64(f.Height))
	args := []string{"-hide_banner", "-nostdin", "-nostats", "-loglevel", "error"}
	filters := ""
	if s.cfg.File == "" {
		args = append(args, "-f", "lavfi", "-i", fmt.Sprintf("color=color=%s:size=%dx%d:rate=%g", slateColor, width, height, rate))
		filters = "null"
		if s.text {
			filters = drawText(width, height)
		}
	} else {
		if s.lasts > 0 {
			args = append(args, "-stream_loop", "-1")
		}
		args = append(args, "-i", "file:"+s.cfg.File)
		// The whole picture, between bars if need be, and as often as it takes.
		filters = fmt.Sprintf("scale=%d:%d:force_original_aspect_ratio=decrease:force_divisible_by=2,pad=%d:%d:-1:-1,setsar=1,fps=%g,tpad=stop=-1:stop_mode=clone", width, height, width, height, rate)
	}
	for _, a := range f.Audio {
		args = append(args, "-f", "lavfi", "-t", fmt.Sprint(slateSilence.Seconds()), "-i", fmt.Sprintf("anullsrc=sample_rate=%d", a.Rate))
	}
	args = append(append(args, "-map", "0:v:0", "-vf", filters, "-frames:v", fmt.Sprint(frames)), video...)
	args = append(args, "-force_key_frames:v", fmt.Sprintf("expr:gte(n,n_forced*%d/%d)", frames, groups), "-threads:v", "1")
	for n, a := range f.Audio {
		sound, err := slateSound(a)
		if err != nil {
			return nil, err
		}
		args = append(args, "-map", fmt.Sprintf("%d:a:0", n+1), fmt.Sprintf("-c:a:%d", n), sound, fmt.Sprintf("-ar:a:%d", n), fmt.Sprint(a.Rate), fmt.Sprintf("-ac:a:%d", n), fmt.Sprint(a.Channels))
	}
	return append(args, "-f", "mpegts", "-muxdelay", "0", "-muxpreload", "0", "-pes_payload_size", "0", "pipe:1"), nil
}

// slateRate returns the frames a second of a slate for an input of rate.
func slateRate(rate float64) float64 {
	return min(max(rateOf(stream.Media{FrameRate: rate}), minSlateRate), maxSlateRate)
}

// frames returns how many there are, and how many begin with a keyframe: each group lasts for
// a segment, and not much longer, also where the slate begins again. A short video is shown
// several times for that.
func (s *Slate) frames(segment time.Duration, rate float64) (frames, groups int) {
	const slack = 0.1 // of a frame: less than segments' own
	group := int(math.Ceil(segment.Seconds()*rate - slack))
	if s.lasts == 0 {
		return group, 1
	}
	once := max(1, int(math.Round(s.lasts.Seconds()*rate)))
	frames = once
	for frames < 4*group {
		frames += once
	}
	return frames, frames / group
}

// slateVideo returns how the picture is encoded.
func slateVideo(f ingest.SlateFormat) ([]string, error) {
	media := stream.Media{Width: f.Width, Height: f.Height, FrameRate: slateRate(f.FrameRate)}
	bits := fmt.Sprint(renditionOf(media, lines(f.Width, f.Height)).Bits)
	args := []string{"-bf", "0", "-g", fmt.Sprint(noKeyframes), "-crf", "23", "-maxrate", bits, "-bufsize", bits, "-forced-idr", "1"}
	switch {
	case strings.HasPrefix(f.Video, "avc1."):
		return append(args, h264As(f.Video)...), nil
	case strings.HasPrefix(f.Video, "hvc1."):
		pixels := "yuv420p"
		if strings.HasPrefix(f.Video, "hvc1.2.") { // Main 10
			pixels = "yuv420p10le"
		}
		return append(args, "-c:v", "libx265", "-preset", "superfast", "-pix_fmt", pixels,
			"-x265-params", "log-level=error:scenecut=0:open-gop=0:pools=1:frame-threads=1"), nil
	}
	return nil, fmt.Errorf("make slate: video of codec %q", f.Video)
}

// h264As returns the options for H.264 of the profile and level that a codec's name tells
// (RFC 6381, section 3.3), as far as ffmpeg can.
func h264As(name string) []string {
	args := []string{"-c:v", software, "-preset", "veryfast", "-sc_threshold", "0", "-pix_fmt", "yuv420p"}
	profile := "high"
	var idc, constraints, level int
	if _, err := fmt.Sscanf(name, "avc1.%02x%02x%02x", &idc, &constraints, &level); err == nil {
		switch idc {
		case 66:
			profile = "baseline"
		case 77:
			profile = "main"
		}
		if level >= 10 {
			args = append(args, "-level:v", fmt.Sprint(level))
		}
	}
	return append(args, "-profile:v", profile)
}

// slateSound returns ffmpeg's encoder for a codec (RFC 6381).
func slateSound(a ingest.SlateAudio) (string, error) {
	switch {
	case a.Codec == "mp4a.40.34":
		return "libmp3lame", nil
	case a.Codec == "mp4a.40.33":
		return "mp2", nil
	case strings.HasPrefix(a.Codec, "mp4a.40."):
		return "aac", nil
	case a.Codec == "ac-3":
		return "ac3", nil
	case a.Codec == "opus":
		return "libopus", nil
	}
	return "", fmt.Errorf("make slate: audio of codec %q", a.Codec)
}
