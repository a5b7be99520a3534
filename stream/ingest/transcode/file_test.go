package transcode

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// openStandIn opens a file of which ffprobe says what it does.
func openStandIn(t *testing.T, file, says string) (*File, error) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"ffmpeg", "ffprobe"} {
		if err := os.Symlink(os.Args[0], filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	standInAs(t, says)
	f, err := OpenFile(t.Context(), FileConfig{Path: file, Loop: true, FFmpeg: filepath.Join(dir, "ffmpeg")})
	if err == nil {
		t.Cleanup(func() {
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return f, err
}

func streams(s ...string) string { return `{"streams":[` + strings.Join(s, ",") + `]}` }

const (
	h264   = `{"codec_type":"video","codec_name":"h264","pix_fmt":"yuv420p","width":1280,"height":720,"avg_frame_rate":"30000/1001"}`
	turned = `{"codec_type":"video","codec_name":"h264","pix_fmt":"yuv420p","width":1280,"height":720,"avg_frame_rate":"30/1","side_data_list":[{"rotation":-90}]}`
	deep   = `{"codec_type":"video","codec_name":"h264","pix_fmt":"yuv422p10le","width":1281,"height":721,"avg_frame_rate":"0/0"}`
	cover  = `{"codec_type":"video","codec_name":"mjpeg","pix_fmt":"yuvj444p","width":600,"height":600,"disposition":{"attached_pic":1}}`
	aac    = `{"codec_type":"audio","codec_name":"aac"}`
	flac   = `{"codec_type":"audio","codec_name":"flac"}`
)

func TestWhatIsCopied(t *testing.T) {
	for _, tt := range []struct {
		name            string
		says            string
		copied, encoded []string
	}{
		{"all", streams(h264, aac), []string{"h264 video", "aac audio"}, nil},
		{"the first picture and all sound", streams(cover, flac, aac, h264, turned), []string{"h264 video", "aac audio"}, []string{"flac audio"}},
		{"languages", streams(h264, spoken("aac", "eng", 0), spoken("flac", "ger", 0)), []string{"h264 video", "aac audio (eng)"}, []string{"flac audio (ger)"}},
		{"video alone", streams(h264), []string{"h264 video"}, nil},
		{"audio alone", streams(flac), nil, []string{"flac audio"}},
		{"pictures that players would have to turn", streams(turned, aac), []string{"aac audio"}, []string{"h264 video"}},
		{"pictures that browsers do not know", streams(deep, aac), []string{"aac audio"}, []string{"h264 video"}},
	} {
		f, err := openStandIn(t, "a file", tt.says)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if !slices.Equal(f.Copied, tt.copied) || !slices.Equal(f.Encoded, tt.encoded) {
			t.Errorf("%s: %v copied, %v encoded", tt.name, f.Copied, f.Encoded)
		}
		args := strings.Join(f.args, " ")
		if got := strings.Count(args, " copy"); got != len(tt.copied) {
			t.Errorf("%s: ffmpeg %s", tt.name, args)
		}
		for _, want := range []string{" -re -stream_loop -1 ", " -i file:a file "} {
			if !strings.Contains(args, want) {
				t.Errorf("%s: ffmpeg %s, without %s", tt.name, args, want)
			}
		}
	}
}

// spoken is a track of sound in a language.
func spoken(codec, language string, byDefault int) string {
	return fmt.Sprintf(`{"codec_type":"audio","codec_name":%q,"tags":{"language":%q},"disposition":{"default":%d}}`, codec, language, byDefault)
}

// What a file plays by default becomes the first, which all players play.
func TestDefaultSoundIsFirst(t *testing.T) {
	f, err := openStandIn(t, "a file", streams(h264, spoken("aac", "eng", 0), spoken("flac", "ger", 1), spoken("aac", "fra", 0)))
	if err != nil {
		t.Fatal(err)
	}
	want := "-map 0:a:1 -c:a:0 aac -b:a:0 128000 -ar:a:0 48000 -ac:a:0 2 -map 0:a:0 -c:a:1 copy -map 0:a:2 -c:a:2 copy "
	if args := strings.Join(f.args, " "); !strings.Contains(args, want) {
		t.Errorf("ffmpeg %s, without %s", args, want)
	}
}

// A file may have sound in more languages than a stream has room for.
func TestSoundIsBounded(t *testing.T) {
	all := []string{h264}
	for range maxFileAudio + 3 {
		all = append(all, aac)
	}
	f, err := openStandIn(t, "a file", streams(all...))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(strings.Join(f.args, " "), "-map 0:a:"); got != maxFileAudio {
		t.Errorf("%d tracks of sound are played, want %d", got, maxFileAudio)
	}
}

// captioned is a track of subtitles.
func captioned(codec, language, title string) string {
	return fmt.Sprintf(`{"codec_type":"subtitle","codec_name":%q,"tags":{"language":%q,"title":%q}}`, codec, language, title)
}

func TestSubtitlesOfAFile(t *testing.T) {
	says := streams(h264, aac, captioned("hdmv_pgs_subtitle", "eng", ""), captioned("ass", "ger", "Für \"alle\", die lieber lesen"), captioned("subrip", "", ""))
	f, err := openStandIn(t, "../sample.ts", says)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Subtitles) != 2 || f.LeftOut != 1 || f.Subtitles[0].Language != "ger" || f.Subtitles[0].Name != "Für alle, die li" {
		t.Errorf("%+v, %d left out", f.Subtitles, f.LeftOut)
	}
	args := strings.Join(f.args, " ")
	for _, want := range []string{"-map 0:s:1 -c:s text -flush_packets 1 -f srt pipe:3", "-map 0:s:2 -c:s text -flush_packets 1 -f srt pipe:4"} {
		if !strings.Contains(args, want) {
			t.Errorf("ffmpeg %s, without %s", args, want)
		}
	}
	// They end when ffmpeg has.
	ended := make(chan error, 2)
	for _, s := range f.Subtitles {
		go func() { _, err := io.ReadAll(s.Cues); ended <- err }()
	}
	if _, err := io.Copy(io.Discard, f); err != nil {
		t.Error(err)
	}
	for range f.Subtitles {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// Close ends who reads the subtitles of a file that was never played.
func TestCloseSubtitles(t *testing.T) {
	f, err := openStandIn(t, "../sample.ts", streams(h264, captioned("srt", "eng", "")))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _, _ = io.ReadAll(f.Subtitles[0].Cues) }()
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	<-ended
}

func TestWhatCannotBeRead(t *testing.T) {
	for _, says := range []string{streams(), streams(cover), "broken"} {
		if _, err := openStandIn(t, "a file", says); err == nil {
			t.Errorf("%s is taken", says)
		}
	}
	if _, err := openStandIn(t, "a file", streams(`{"codec_type":"subtitle","codec_name":"ass"}`)); !errors.Is(err, ErrUnreadable) {
		t.Errorf("subtitles alone: %v", err)
	}
}

func TestFileIsRead(t *testing.T) {
	want, err := os.ReadFile("../sample.ts")
	if err != nil {
		t.Fatal(err)
	}
	f, err := openStandIn(t, "../sample.ts", streams(h264, aac))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
	}
	if _, err := f.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
}

func TestFileThatFails(t *testing.T) {
	f, err := openStandIn(t, "gone", streams(h264, aac))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(f); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("got %v", err)
	}
}

// Close ends a Read that waits, and what was never read.
func TestCloseFile(t *testing.T) {
	f, err := openStandIn(t, "../sample.ts", streams(h264, aac))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Read(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadAll(f); err != nil && !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v", err)
	}
}
