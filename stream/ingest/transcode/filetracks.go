package transcode

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/ingest"
)

// track is what is asked of ffprobe.
type track struct {
	number int    // among those of its kind
	Kind   string `json:"codec_type"`
	Codec  string `json:"codec_name"`
	Pixels string `json:"pix_fmt"`
	Width  int    `json:"width"`
	Height int    `json:"height"`
	Rate   string `json:"avg_frame_rate"`
	Tags   struct {
		Language string `json:"language"`
		Title    string `json:"title"`
	} `json:"tags"`
	Disposition struct {
		Default int `json:"default"`
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

// maxFileAudio and maxFileText bound the tracks of a file that are played.
const (
	maxFileAudio = 8
	maxFileText  = 8
)

// textCodecs are subtitles that are no pictures.
var textCodecs = []string{"subrip", "srt", "ass", "ssa", "mov_text", "webvtt", "text"}

// tracks are those of a file that are played.
type tracks struct {
	video *track // nil if there is none
	audio []track
	text  []track

	pictures int // subtitles that are no text
}

// probe returns the tracks to play: the first picture, and all sound, what the file plays by
// default first.
func probe(ctx context.Context, ffmpeg, file string) (found tracks, err error) {
	ffprobe, err := findProbe(ffmpeg)
	if err != nil {
		return found, err
	}
	// "file:" keeps a name with a colon from being taken for a protocol.
	out, err := ask(ctx, ffprobe, "-v", "error", "-show_streams", "-of", "json", "file:"+file)
	if ctx.Err() != nil {
		return found, context.Cause(ctx)
	}
	if err != nil {
		return found, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	var answer struct{ Streams []track }
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		return found, fmt.Errorf("read ffprobe's answer: %w", err)
	}
	texts := 0
	for _, t := range answer.Streams {
		switch {
		case t.Kind == "video" && found.video == nil && t.Disposition.Picture == 0:
			found.video = &t
		case t.Kind == "audio":
			t.number = len(found.audio)
			found.audio = append(found.audio, t)
		case t.Kind == "subtitle":
			t.number = texts
			texts++
			if slices.Contains(textCodecs, t.Codec) {
				found.text = append(found.text, t)
			} else {
				found.pictures++
			}
		}
	}
	if found.video == nil && len(found.audio) == 0 {
		return found, fmt.Errorf("%w: it has neither audio nor video", ErrUnreadable)
	}
	slices.SortStableFunc(found.audio, func(a, b track) int { return cmp.Compare(b.Disposition.Default, a.Disposition.Default) })
	return found, nil
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
func (f *File) choose(ctx context.Context, found tracks) error {
	var outs []string
	encoder := encoder{}
	if video := found.video; video != nil {
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
	outs = append(outs, f.chooseAudio(found.audio)...)
	f.args = append(append(append(f.args, encoder.device...), "-i", "file:"+f.cfg.Path), outs...)
	return nil
}

// chooseAudio does so for sound.
func (f *File) chooseAudio(audio []track) (outs []string) {
	for n, t := range audio[:min(len(audio), maxFileAudio)] {
		what := t.Codec + " audio"
		if t.Tags.Language != "" && len(audio) > 1 {
			what += " (" + t.Tags.Language + ")"
		}
		outs = append(outs, "-map", fmt.Sprintf("0:a:%d", t.number))
		if t.fits() {
			f.Copied = append(f.Copied, what)
			outs = append(outs, fmt.Sprintf("-c:a:%d", n), "copy")
		} else {
			f.Encoded = append(f.Encoded, what)
			outs = append(outs, stereo(n)...)
		}
	}
	if left := len(audio) - maxFileAudio; left > 0 {
		f.cfg.Logger.Warn("the file has more sound than is played", "tracks", len(audio), "left_out", left)
	}
	return outs
}

// chooseText has ffmpeg write each subtitle track to a pipe of its own, as plain text.
func (f *File) chooseText(text []track) error {
	for n, t := range text[:min(len(text), maxFileText)] {
		r, w, err := os.Pipe()
		if err != nil {
			return errors.Join(fmt.Errorf("open subtitles: %w", err), f.Close())
		}
		f.read, f.text = append(f.read, r), append(f.text, w)
		f.args = append(f.args, "-map", fmt.Sprintf("0:s:%d", t.number), "-c:s", "text", "-flush_packets", "1", "-f", "srt", fmt.Sprintf("pipe:%d", firstPipe+n))
		f.LeftOut--
		f.Subtitles = append(f.Subtitles, ingest.Subtitles{Language: t.Tags.Language, Name: shortTitle(t.Tags.Title), Default: t.Disposition.Default != 0, Cues: r})
	}
	return nil
}

// maxTitle is how many letters of a track's title name it, of at most four bytes each.
const maxTitle = 16

// shortTitle returns of a title what can be shown in a menu and signed.
func shortTitle(title string) string {
	letters := slices.DeleteFunc([]rune(strings.ToValidUTF8(title, "")), func(r rune) bool {
		return !unicode.IsPrint(r) || r == '"' || r == '\\'
	})
	return strings.TrimSpace(string(letters[:min(len(letters), maxTitle)]))
}

// rate returns the frames per second, 0 if they are not known.
func (t track) rate() float64 {
	var n, d float64
	if _, err := fmt.Sscanf(t.Rate, "%g/%g", &n, &d); err != nil || d == 0 {
		return 0
	}
	return n / d
}
