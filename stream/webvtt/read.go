package webvtt

import (
	"bytes"
	"errors"
	"html"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ErrNotWebVTT says that what should be a segment of WebVTT does not begin as one.
var ErrNotWebVTT = errors.New("not WebVTT")

// clock is a time as WebVTT writes it; hours may be left out.
const clock = `(?:(\d{2,4}):)?([0-5]\d):([0-5]\d)\.(\d{3})`

var (
	cueTiming = regexp.MustCompile(`^` + clock + `[ \t]+-->[ \t]+` + clock)
	localTime = regexp.MustCompile(`(?m)^X-TIMESTAMP-MAP=.*LOCAL:` + clock)
	mpegTime  = regexp.MustCompile(`(?m)^X-TIMESTAMP-MAP=.*MPEGTS:(\d{1,19})`)
	cueTag    = regexp.MustCompile(`<[^>]*>`)
)

// Parse returns the cues of a segment (RFC 8216, section 3.5), as plain text, with times of
// the segment. at is the MPEG-TS timestamp of their time 0, in ticks of 90 kHz; it may be
// negative. Blocks that are no cues are left out.
func Parse(segment []byte) (cues []Cue, at int64, err error) {
	text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(bytes.TrimPrefix(segment, []byte("\ufeff"))))
	header, body, _ := strings.Cut(text, "\n\n")
	if !strings.HasPrefix(header, "WEBVTT") {
		return nil, 0, ErrNotWebVTT
	}
	if m := mpegTime.FindStringSubmatch(header); m != nil {
		at, _ = strconv.ParseInt(m[1], 10, 64)
		at &= 1<<33 - 1
	}
	if m := localTime.FindStringSubmatch(header); m != nil {
		at -= int64(clockTime(m[1:])/time.Microsecond) * 9 / 100
	}
	for block := range strings.SplitSeq(body, "\n\n") {
		if c, ok := parseCue(block); ok {
			cues = append(cues, c)
		}
	}
	return cues, at, nil
}

// parseCue reads a cue, which may begin with a name.
func parseCue(block string) (Cue, bool) {
	lines := strings.Split(strings.Trim(block, "\n"), "\n")
	if !strings.Contains(lines[0], "-->") {
		lines = lines[1:]
	}
	if len(lines) < 2 || len(block) > maxText {
		return Cue{}, false
	}
	m := cueTiming.FindStringSubmatch(lines[0])
	if m == nil {
		return Cue{}, false
	}
	c := Cue{Start: clockTime(m[1:5]), End: clockTime(m[5:9])}
	c.Text = html.UnescapeString(cueTag.ReplaceAllString(strings.Join(lines[1:], "\n"), ""))
	return c, c.End > c.Start && strings.TrimSpace(c.Text) != ""
}

// clockTime returns what hours, minutes, seconds and thousandths are together.
func clockTime(fields []string) time.Duration {
	var d time.Duration
	for i, unit := range []time.Duration{time.Hour, time.Minute, time.Second, time.Millisecond} {
		n, _ := strconv.Atoi(fields[i])
		d += time.Duration(n) * unit
	}
	return d
}
