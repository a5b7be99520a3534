package transcode

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/ingest"
)

// needFFmpeg skips a test that runs ffmpeg itself where there is none.
func needFFmpeg(t *testing.T) {
	t.Helper()
	for _, name := range []string{"ffmpeg", "ffprobe"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip(err)
		}
	}
}

// pattern has ffmpeg make a file of a test pattern.
func pattern(t *testing.T, name string, options ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	args := append([]string{"-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25"}, options...)
	if out, err := exec.Command("ffmpeg", append(args, path)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// ingested returns what ingest makes of a slate.
func ingested(t *testing.T, ts []byte) (parts []stream.Part, stats ingest.Stats) {
	t.Helper()
	i, err := ingest.New(ingest.Config{Input: "-", Stdin: bytes.NewReader(ts)})
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Run(t.Context(), func(p stream.Part) error {
		parts = append(parts, p)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return parts, i.Stats()
}

// A slate has the input's codecs, size and rate, and segments that are hardly longer.
func TestSlateIsLikeTheInput(t *testing.T) {
	needFFmpeg(t)
	image := pattern(t, "still.png", "-frames:v", "1")
	video := pattern(t, "video.mp4", "-t", "3", "-pix_fmt", "yuv420p")
	aac := ingest.SlateAudio{Codec: "mp4a.40.2", Rate: 44100, Channels: 2}
	for _, tt := range []struct {
		name, file string
		format     ingest.SlateFormat
		want       stream.Media
		lasts      time.Duration
	}{
		{"H.264 and AAC", "", ingest.SlateFormat{Video: "avc1.4d401f", Width: 640, Height: 360, FrameRate: 25, Audio: []ingest.SlateAudio{aac}},
			stream.Media{Codecs: "avc1.4d401f,mp4a.40.2", Width: 640, Height: 360, FrameRate: 25}, 2 * time.Second},
		{"an image, HEVC and AC-3", image, ingest.SlateFormat{Video: "hvc1.1.6.L63.90", Width: 426, Height: 240, FrameRate: 29.97, Audio: []ingest.SlateAudio{{Codec: "ac-3", Rate: 48000, Channels: 6}}},
			stream.Media{Codecs: "hvc1.1.6.L63.90,ac-3", Width: 426, Height: 240, FrameRate: 29.97}, 2002 * time.Millisecond},
		{"a video, baseline, Opus and MP3", video, ingest.SlateFormat{Video: "avc1.42c01e", Width: 360, Height: 640, Audio: []ingest.SlateAudio{{Codec: "opus", Rate: 48000, Channels: 1}, {Codec: "mp4a.40.34", Rate: 44100, Channels: 2}}},
			stream.Media{Codecs: "avc1.42c01e,opus,mp4a.40.34", Width: 360, Height: 640, FrameRate: 30}, 9 * time.Second},
		{"without sound", "", ingest.SlateFormat{Video: "avc1.64001e", Width: 320, Height: 180, FrameRate: 25},
			stream.Media{Codecs: "avc1.64001e", Width: 320, Height: 180, FrameRate: 25}, 2 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := OpenSlate(t.Context(), SlateConfig{File: tt.file})
			if err != nil {
				t.Fatal(err)
			}
			tt.format.Segment = defaultSegment
			ts, err := s.Make(t.Context(), tt.format)
			if err != nil {
				t.Fatal(err)
			}
			parts, stats := ingested(t, ts)
			got := parts[0].Media
			if tt.want.Codecs[:4] == "hvc1" { // x265 knows best
				got.Codecs = tt.want.Codecs
			}
			if got != tt.want {
				t.Errorf("media is %+v, want %+v", parts[0].Media, tt.want)
			}
			if (stats.MediaTime - tt.lasts).Abs() > 10*time.Millisecond {
				t.Errorf("it lasts %v", stats.MediaTime)
			}
			if stats.Segments != uint64(max(1, tt.lasts/(2250*time.Millisecond))) || stats.LongestSegment > 2300*time.Millisecond {
				t.Errorf("%d segments of up to %v", stats.Segments, stats.LongestSegment)
			}
			if len(stats.Tracks) != 1+len(tt.format.Audio) || slices.ContainsFunc(stats.Tracks, func(s ingest.TrackStats) bool { return s.Frames < 30 }) {
				t.Errorf("tracks are %+v", stats.Tracks)
			}
		})
	}
}

func TestSlatesThatCannotBeMade(t *testing.T) {
	needFFmpeg(t)
	s, err := OpenSlate(t.Context(), SlateConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []ingest.SlateFormat{
		{Audio: []ingest.SlateAudio{{Codec: "mp4a.40.2", Rate: 48000, Channels: 2}}},
		{Video: "avc1.64001e", Width: 320, Height: 180, Audio: []ingest.SlateAudio{{Codec: "dts", Rate: 48000, Channels: 2}}},
	} {
		f.Segment = defaultSegment
		if _, err := s.Make(t.Context(), f); err == nil || !strings.Contains(err.Error(), "codec") {
			t.Errorf("%+v: %v", f, err)
		}
	}
}

func TestSlateFilesThatAreNone(t *testing.T) {
	needFFmpeg(t)
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("some text"), 0o600); err != nil {
		t.Fatal(err)
	}
	sound := pattern(t, "sound.wav", "-f", "lavfi", "-i", "sine=duration=1", "-map", "1:a")
	for path, want := range map[string]error{
		text: ErrUnreadable, sound: ErrUnreadable, t.TempDir(): syscall.EISDIR, text + ".png": fs.ErrNotExist,
	} {
		if _, err := OpenSlate(t.Context(), SlateConfig{File: path}); !errors.Is(err, want) {
			t.Errorf("%s: %v", filepath.Base(path), err)
		}
	}
	if _, err := OpenSlate(t.Context(), SlateConfig{FFmpeg: "/no/ffmpeg"}); !errors.Is(err, ErrNoFFmpeg) {
		t.Errorf("without ffmpeg: %v", err)
	}
}
