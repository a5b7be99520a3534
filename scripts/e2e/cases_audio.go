//go:build linux

package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// sound is a language of the audio case, and the tone that stands for it.
type sound struct {
	code      string // ISO 639-2
	label     string // what players show
	rendition string
	hertz     int
}

var sounds = []sound{{"deu", "Deutsch", "main", 440}, {"eng", "English", "audio-en", 1200}, {"fra", "français", "audio-fr", 700}}

// soundArgs make ffmpeg encode the test pattern with a tone in each language.
func soundArgs() []string {
	args := []string{"-hide_banner", "-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"}
	maps := []string{"-map", "0:v"}
	for n, s := range sounds {
		args = append(args, "-re", "-f", "lavfi", "-i", fmt.Sprintf("sine=frequency=%d:sample_rate=48000", s.hertz))
		maps = append(maps, "-map", fmt.Sprintf("%d:a", n+1), fmt.Sprintf("-metadata:s:a:%d", n), "language="+s.code)
	}
	return append(append(args, maps...), "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "50", "-bf", "2", "-sc_threshold", "0", "-c:a", "aac", "-b:a", "96k", "-f", "mpegts")
}

// audioCase has an encoder send several languages, and listens to each as players do.
func audioCase(ctx context.Context, b *bench) (string, error) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		return "", err
	}
	broadcaster, target, err := b.listen(ctx, bySRT)
	if err != nil {
		return "", err
	}
	encoder, err := b.start("encoder", exec.Command("ffmpeg", append(soundArgs(), target)...))
	if err != nil {
		return "", err
	}
	go encoder.reap()
	viewer, err := b.grapevine(ctx, nil, "viewer", nil, append([]string{"watch", broadcaster.Link}, anyLoopback...)...)
	if err != nil {
		return "", err
	}
	var apart float64
	for _, file := range []string{"index.m3u8", "ll.m3u8", "dvr.m3u8"} {
		master := strings.TrimSuffix(viewer.HLS, "index.m3u8") + file
		if err := b.hears(ctx, master, file); err != nil {
			return "", err
		}
		by, err := b.together(ctx, master, file)
		if err != nil {
			return "", err
		}
		apart = max(apart, by)
	}
	out, err := b.node(ctx, "audio.mjs", append([]string{viewer.Page, b.dir, chromium}, labels()...)...)
	return fmt.Sprintf("%d languages in index.m3u8, ll.m3u8 and dvr.m3u8, at most %.0f ms from the picture; page: %s", len(sounds), apart*1000, strings.TrimSpace(out)), err
}

func labels() []string {
	var args []string
	for _, s := range sounds {
		args = append(args, s.label, strconv.Itoa(s.hertz))
	}
	return args
}

// hears checks that a multivariant playlist offers all languages, and that each sounds as it
// was sent.
func (b *bench) hears(ctx context.Context, master, file string) error {
	if _, err := mediaURLs(ctx, master, "main"); err != nil {
		return err
	}
	body, err := get(ctx, master)
	if err != nil {
		return err
	}
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^#EXT-X-MEDIA:TYPE=AUDIO,.*NAME="([^"]*)"`).FindAllStringSubmatch(string(body), -1) {
		names = append(names, m[1])
	}
	for _, s := range sounds {
		if !slices.Contains(names, s.label) || len(names) != len(sounds) {
			return fmt.Errorf("%s offers the languages %q", file, names)
		}
		hertz, err := b.hertz(ctx, strings.TrimSuffix(master, file)+s.rendition+"/"+file)
		if err != nil {
			return err
		}
		if math.Abs(hertz-float64(s.hertz)) > 2 {
			return fmt.Errorf("%s in %s has %.1f Hz, want %d", s.label, file, hertz, s.hertz)
		}
	}
	return nil
}

var zeroCrossings = regexp.MustCompile(`Zero crossings rate: ([0-9.]+)`)

// hertz plays three seconds of a tone, and returns its frequency. Encoders begin with silence.
func (b *bench) hertz(ctx context.Context, url string) (float64, error) {
	cmd := exec.CommandContext(ctx, "ffmpeg", "-hide_banner", "-nostdin", "-i", url, "-map", "0:a", "-t", "3", "-af", "asetpts=PTS-STARTPTS,atrim=start=0.5,aformat=sample_rates=48000,astats", "-f", "null", "-")
	out, err := cmd.CombinedOutput()
	m := zeroCrossings.FindSubmatch(out)
	if err != nil || m == nil {
		return 0, fmt.Errorf("ffmpeg heard nothing in %s: %v\n%s", url, err, out)
	}
	rate, err := strconv.ParseFloat(string(m[1]), 64)
	return rate * 48000 / 2, err
}

// together returns by how many seconds, at most, the first sound of a language is from the
// first picture of the segment of the same time.
func (b *bench) together(ctx context.Context, master, file string) (float64, error) {
	starts := make([]map[string]float64, len(sounds)) // by program time
	for n, s := range sounds {
		media := strings.TrimSuffix(master, file) + s.rendition + "/" + file
		kind := "v"
		if n > 0 {
			kind = "a"
		}
		var err error
		if starts[n], err = b.segmentStarts(ctx, media, kind); err != nil {
			return 0, err
		}
	}
	var most float64
	for n, s := range sounds[1:] {
		common := 0
		for at, start := range starts[n+1] {
			if picture, ok := starts[0][at]; ok {
				common++
				most = max(most, math.Abs(start-picture))
			}
		}
		if common < 2 {
			return 0, fmt.Errorf("%s and the pictures in %s have %d segments of the same time", s.label, file, common)
		}
	}
	if most > 0.05 {
		return most, fmt.Errorf("sound begins %.3f s from its pictures in %s", most, file)
	}
	return most, nil
}

var programTime = regexp.MustCompile(`#EXT-X-PROGRAM-DATE-TIME:(\S+)`)

// segmentStarts returns when the first frame of each listed segment is presented, by the
// segment's program time.
func (b *bench) segmentStarts(ctx context.Context, media, kind string) (map[string]float64, error) {
	names, tags, err := taggedSegments(ctx, media)
	if err != nil {
		return nil, err
	}
	body, err := get(ctx, media)
	if err != nil {
		return nil, err
	}
	starts := make(map[string]float64)
	for _, name := range names {
		at := programTime.FindStringSubmatch(tags[name])
		if at == nil {
			continue
		}
		file, err := b.fetchSegment(ctx, media, name, string(body))
		if err != nil {
			return nil, err
		}
		out, err := output(ctx, "ffprobe", "-v", "error", "-select_streams", kind, "-show_entries", "packet=pts_time", "-of", "csv=p=0", file)
		if err != nil {
			return nil, err
		}
		first := math.Inf(1)
		for line := range strings.Lines(out) {
			if t, err := strconv.ParseFloat(strings.Trim(line, ",\n"), 64); err == nil {
				first = min(first, t)
			}
		}
		starts[at[1]] = first
	}
	return starts, nil
}

var initSection = regexp.MustCompile(`#EXT-X-MAP:URI="([^"]*)"`)

// fetchSegment fetches a segment that a media playlist lists, with its init if it has one.
func (b *bench) fetchSegment(ctx context.Context, media, name, playlist string) (file string, err error) {
	parts := []string{name}
	if m := initSection.FindStringSubmatch(playlist); m != nil {
		parts = []string{m[1], name}
	}
	var all []byte
	for _, part := range parts {
		u, err := resolve(media, part)
		if err != nil {
			return "", err
		}
		body, err := get(ctx, u)
		if err != nil {
			return "", err
		}
		all = append(all, body...)
	}
	file = filepath.Join(b.dir, name)
	return file, os.WriteFile(file, all, 0o644)
}
