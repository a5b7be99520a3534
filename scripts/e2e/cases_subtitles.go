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

// Cue n of the case's film is shown from cueFrom after its n-th keyframe on.
const (
	filmSeconds = 60
	cueEvery    = 2
	cueFrom     = 0.3
	cueTo       = 1.9
)

// script writes a film's subtitles: a word and a number, a cue for each two seconds.
func script(file, word string) error {
	var b strings.Builder
	for n := range filmSeconds / cueEvery {
		at := func(s float64) string {
			ms := int(math.Round((float64(n*cueEvery) + s) * 1000))
			return fmt.Sprintf("00:%02d:%02d,%03d", ms/60000, ms/1000%60, ms%1000)
		}
		fmt.Fprintf(&b, "%d\n%s --> %s\n%s %d\n\n", n+1, at(cueFrom), at(cueTo), word, n)
	}
	return os.WriteFile(file, []byte(b.String()), 0o644)
}

// subtitlesCase plays a Matroska file with two languages of sound and of subtitles.
func subtitlesCase(ctx context.Context, b *bench) (string, error) { return b.subtitled(ctx, "main") }

// encodedSubtitlesCase does so while the film is encoded to two renditions.
func encodedSubtitlesCase(ctx context.Context, b *bench) (string, error) {
	return b.subtitled(ctx, "180p", "--encode", "180p,120p")
}

// subtitled plays the film, whose pictures are in a rendition.
func (b *bench) subtitled(ctx context.Context, pictures string, args ...string) (string, error) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		return "", err
	}
	film, err := b.film(ctx)
	if err != nil {
		return "", err
	}
	broadcaster, err := b.grapevine(ctx, nil, "broadcaster", nil, slices.Concat([]string{"broadcast", "--input", film, "--loop"}, args, anyLoopback)...)
	if err != nil {
		return "", err
	}
	viewer, err := b.grapevine(ctx, nil, "viewer", nil, append([]string{"watch", broadcaster.Link}, anyLoopback...)...)
	if err != nil {
		return "", err
	}
	base := strings.TrimSuffix(viewer.HLS, "index.m3u8")
	for rendition, hertz := range map[string]float64{pictures: 440, "audio-de": 1200} {
		if heard, err := b.hertz(ctx, base+rendition+"/index.m3u8"); err != nil || math.Abs(heard-hertz) > 2 {
			return "", fmt.Errorf("%s has %.1f Hz, want %v: %w", rendition, heard, hertz, err)
		}
	}
	apart, err := b.cued(ctx, base, pictures)
	if err != nil {
		return "", err
	}
	out, err := b.node(ctx, "subtitles.mjs", viewer.Page, b.dir, chromium, "English", "Cue", "Deutsch", "Satz")
	return fmt.Sprintf("cues at most %.0f ms from their pictures; page: %s", apart*1000, strings.TrimSpace(out)), err
}

// film encodes a minute of test pattern.
func (b *bench) film(ctx context.Context) (file string, err error) {
	file = filepath.Join(b.dir, "film.mkv")
	length := fmt.Sprintf("duration=%d", filmSeconds)
	args := []string{"-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:" + length,
		"-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:" + length, "-f", "lavfi", "-i", "sine=frequency=1200:sample_rate=48000:" + length}
	for name, word := range map[string]string{"en.srt": "Cue", "de.srt": "Satz"} {
		if err := script(filepath.Join(b.dir, name), word); err != nil {
			return "", err
		}
	}
	args = append(args, "-i", filepath.Join(b.dir, "en.srt"), "-i", filepath.Join(b.dir, "de.srt"),
		"-map", "0", "-map", "1", "-map", "2", "-map", "3", "-map", "4",
		"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "50", "-bf", "2", "-sc_threshold", "0", "-c:a", "aac", "-c:s", "srt",
		"-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=ger", "-metadata:s:s:0", "language=eng", "-metadata:s:s:1", "language=ger", "-disposition:s", "0")
	_, err = output(ctx, "ffmpeg", append(args, file)...)
	return file, err
}

var cueTimes = regexp.MustCompile(`(?m)^(\d+):(\d\d):(\d\d\.\d{3}) --> `)

// cued returns by how many seconds, at most, cues are from where they are in the film, whose
// pictures are in a rendition.
func (b *bench) cued(ctx context.Context, base, rendition string) (float64, error) {
	pictures, err := b.segmentStarts(ctx, base+rendition+"/index.m3u8", "v")
	if err != nil {
		return 0, err
	}
	text := base + "text-en/index.m3u8"
	names, tags, err := taggedSegments(ctx, text)
	if err != nil {
		return 0, err
	}
	var most float64
	common := 0
	for _, name := range names {
		u, err := resolve(text, name)
		if err != nil {
			return 0, err
		}
		body, err := get(ctx, u)
		if err != nil {
			return 0, err
		}
		cue := cueTimes.FindStringSubmatch(string(body))
		picture, ok := pictures[programTime.FindStringSubmatch(tags[name])[1]]
		if !ok {
			continue
		}
		if cue == nil {
			return 0, fmt.Errorf("%s has no cue:\n%s", name, body)
		}
		var at [3]float64
		for i := range at {
			if at[i], err = strconv.ParseFloat(cue[i+1], 64); err != nil {
				return 0, err
			}
		}
		common++
		most = max(most, math.Abs(at[0]*3600+at[1]*60+at[2]-picture-cueFrom))
	}
	if common < 2 || most > 0.15 {
		return 0, fmt.Errorf("cues are %.3f s from their pictures, in %d segments", most, common)
	}
	return most, nil
}
