package record

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// needFFmpeg skips a test where ffmpeg is missing.
func needFFmpeg(t *testing.T) {
	t.Helper()
	for _, tool := range []string{"ffmpeg", "ffprobe"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s", tool)
		}
	}
}

// probed is what ffprobe says of a file.
type probed struct {
	start, duration float64 // seconds
	frames          map[string]int
	said            string // warnings
}

func probe(t *testing.T, path string) probed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ffprobe", "-v", "warning", "-count_frames", "-show_streams", "-show_format", "-of", "json", path)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ffprobe %s: %v: %s", path, err, said.String())
	}
	var answer struct {
		Streams []struct {
			Type   string `json:"codec_type"`
			Frames string `json:"nb_read_frames"`
		}
		Format struct {
			Start    string `json:"start_time"`
			Duration string `json:"duration"`
		}
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatal(err)
	}
	number := func(s string) float64 {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatalf("ffprobe %s: %v", path, err)
		}
		return v
	}
	p := probed{number(answer.Format.Start), number(answer.Format.Duration), map[string]int{}, said.String()}
	for _, s := range answer.Streams {
		p.frames[s.Type] = int(number(s.Frames))
	}
	return p
}

// about tells whether two times in seconds are within a few frames of each other.
func about(got, want float64) bool { return got > want-0.15 && got < want+0.15 }

// TestFFmpegReads has ffmpeg read a recording over two epochs and what is cut out of it:
// all frames decode, from zero on.
func TestFFmpegReads(t *testing.T) {
	needFFmpeg(t)
	playlist, _ := recorded(t, func(s *station) {
		s.air(2)
		s.end()
		s.clock = s.clock.Add(5 * time.Second)
		s.restart()
		s.air(2)
	})
	dir := t.TempDir()
	for _, test := range []struct {
		path            string
		start, duration float64
		pictures        int
	}{
		{filepath.Join(filepath.Dir(playlist), "recording.mp4"), 0, 13, 200},
		{"some.mp4", 0, 9, 100},
		{"some.ts", -1, 9, 100},
	} {
		if !filepath.IsAbs(test.path) {
			cfg := ExportConfig{Playlist: playlist, Out: filepath.Join(dir, test.path)}
			if strings.HasPrefix(test.path, "some") {
				cfg.From, cfg.To = offsetOf(3), offsetOf(5)
			}
			if _, err := Cut(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			test.path = cfg.Out
		}
		p := probe(t, test.path)
		if p.said != "" || !about(p.duration, test.duration) || p.frames["video"] != test.pictures || p.frames["audio"] < test.pictures*45/25 ||
			test.start >= 0 && !about(p.start, test.start) {
			t.Errorf("%s: ffprobe says %+v, want %v s with %d pictures", filepath.Base(test.path), p, test.duration, test.pictures)
		}
	}
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-i", playlist, "-f", "null", "-", "-progress", "-")
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil || said.Len() > 0 || !strings.Contains(string(out), "frame=200\n") {
		t.Errorf("ffmpeg plays the playlist: %v\n%s%s", err, said.String(), out)
	}
}

// TestFFmpegReadsCutOff cuts the MP4 off at many places, as a crash may: ffprobe reads all
// whole fragments.
func TestFFmpegReadsCutOff(t *testing.T) {
	needFFmpeg(t)
	playlist, _ := recorded(t, func(s *station) { s.air(2) })
	data, err := os.ReadFile(filepath.Join(filepath.Dir(playlist), "recording.mp4"))
	if err != nil {
		t.Fatal(err)
	}
	boxes, _ := wholeBoxes(data)
	whole := make([]int, 0, 5) // offsets at which fragments end
	for i, at := 0, 0; i < len(boxes); i++ {
		at += len(boxes[i])
		if i%2 == 1 {
			whole = append(whole, at)
		}
	}
	const places = 6
	path := filepath.Join(t.TempDir(), "cut.mp4")
	for i := range places {
		size := whole[1] + (len(data)-whole[1])*i/places
		if err := os.WriteFile(path, data[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		fragments := 0
		for _, end := range whole[1:] {
			if end <= size {
				fragments++
			}
		}
		// Of the fragment that is cut off, some pictures may be there.
		if p := probe(t, path); p.frames["video"] < 50*fragments || p.frames["video"] > 50*(fragments+1) || !about(p.start, 0) {
			t.Errorf("cut at %d of %d bytes: %+v, want %d fragments of 50 pictures", size, len(data), p, fragments)
		}
	}
}
