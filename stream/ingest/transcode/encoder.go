package transcode

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// software is what encodes where no hardware does.
const software = "libx264"

// encoder is one of ffmpeg's encoders, and how to have it encode live: without looking
// ahead, without B-frames, and with a keyframe that decoding can start at where one is
// forced, and nowhere else.
type encoder struct {
	name    string
	device  []string // options before the input
	pixels  string   // filters that make pictures what it takes
	options []string
}

// EncoderError says that an encoder that was asked for, or the last that was left, does
// not work.
type EncoderError struct {
	Name string
	Err  error
}

func (e *EncoderError) Error() string { return fmt.Sprintf("encoder %s: %v", e.Name, e.Err) }
func (e *EncoderError) Unwrap() error { return e.Err }

// encoderOf returns how to use the encoder of a name; of one that is not known, with no
// options of its own.
func encoderOf(name, device string) encoder {
	e := encoder{name: name, pixels: "format=yuv420p"}
	switch name {
	case software:
		e.options = []string{"-preset", "veryfast", "-tune", "zerolatency", "-sc_threshold", "0", "-forced-idr", "1"}
	case "h264_nvenc":
		e.options = []string{"-preset", "p4", "-tune", "ll", "-rc", "vbr", "-zerolatency", "1", "-no-scenecut", "1", "-forced-idr", "1"}
	case "h264_qsv":
		e.pixels = "format=nv12"
		e.options = []string{"-preset", "veryfast", "-async_depth", "1", "-look_ahead", "0", "-forced_idr", "1"}
	case "h264_vaapi":
		e.device = []string{"-vaapi_device", device}
		e.pixels = "format=nv12,hwupload"
	case "h264_videotoolbox":
		e.options = []string{"-realtime", "1"}
	}
	return e
}

// hardware are the encoders that are tried, the best first.
var hardware = []string{"h264_videotoolbox", "h264_nvenc", "h264_qsv", "h264_vaapi"}

// candidates returns the encoders to try: the one that was asked for; or all that this
// ffmpeg has for hardware, and libx264.
func candidates(listed, asked string) []encoder {
	names := append(append([]string(nil), hardware...), software)
	if asked != "" {
		names = []string{asked}
	}
	var out []encoder
	for _, name := range names {
		if asked == "" && name != software && !strings.Contains(listed, " "+name+" ") {
			continue
		}
		if name != "h264_vaapi" {
			out = append(out, encoderOf(name, ""))
			continue
		}
		devices, _ := filepath.Glob("/dev/dri/renderD*") // the pattern is right
		if len(devices) == 0 && asked != "" {
			devices = []string{"/dev/dri/renderD128"} // ffmpeg says what is wrong with it
		}
		for _, device := range devices {
			out = append(out, encoderOf(name, device))
		}
	}
	return out
}

// chooseEncoder returns the first encoder that a trial finds to work.
func chooseEncoder(ctx context.Context, ffmpeg, asked string, heights []int, segment time.Duration, log *slog.Logger) (encoder, error) {
	listed, err := ask(ctx, ffmpeg, "-hide_banner", "-encoders")
	if err != nil {
		return encoder{}, fmt.Errorf("ask %s for its encoders: %w", ffmpeg, err)
	}
	var last error
	for _, e := range candidates(listed, asked) {
		if err = try(ctx, ffmpeg, e, heights, segment); err == nil {
			return e, nil
		}
		if ctx.Err() != nil {
			return encoder{}, context.Cause(ctx)
		}
		log.Info("encoder does not work here", "encoder", e.name, "err", err)
		last = &EncoderError{e.name, err}
	}
	return encoder{}, last
}

// trialFrames is how many pictures a trial encodes: hardware that works shows it with the
// first, and libx264 makes as many in a moment.
const trialFrames = 8

// try has an encoder make a whole ladder of a test picture. Hardware that makes two
// renditions at a time may not make five.
func try(ctx context.Context, ffmpeg string, e encoder, heights []int, segment time.Duration) error {
	top := heights[0]
	media := stream.Media{Width: even(float64(top) * 16 / 9), Height: top, FrameRate: defaultRate}
	source := fmt.Sprintf("testsrc2=size=%dx%d:rate=%d", media.Width, media.Height, defaultRate)
	c := command{encoder: e, input: []string{"-f", "lavfi", "-i", source}, segment: segment, rate: defaultRate}
	for _, h := range heights {
		c.renditions = append(c.renditions, renditionOf(media, h))
	}
	args := append([]string{"-hide_banner", "-nostdin", "-loglevel", "error"}, c.encode()...)
	_, err := ask(ctx, ffmpeg, append(args, "-frames:v", fmt.Sprint(trialFrames), "-f", "null", "-")...)
	return err
}
