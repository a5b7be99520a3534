package webvtt

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// maxLine and maxText bound a line and a cue, in bytes: a screen of text is smaller.
const (
	maxLine = 8 << 10
	maxText = 16 << 10
)

// Reader reads SubRip's cues, each of which ends with a blank line, so that one can be used
// when it is there. It is how ffmpeg writes subtitles that are live.
type Reader struct {
	lines   *bufio.Scanner
	Skipped int // blocks that are no cues
}

// NewReader returns a reader of plain text in SubRip.
func NewReader(r io.Reader) *Reader {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 1024), maxLine)
	return &Reader{lines: lines}
}

// timing is how a cue says when it is shown; WebVTT has a point where SubRip has a comma.
var timing = regexp.MustCompile(`^(\d{2,4}):([0-5]\d):([0-5]\d)[,.](\d{3}) --> (\d{2,4}):([0-5]\d):([0-5]\d)[,.](\d{3})`)

// Read returns the next cue, or io.EOF. Blocks that are no cues are skipped and counted.
func (r *Reader) Read() (Cue, error) {
	for {
		block, err := r.block()
		if err != nil {
			return Cue{}, err
		}
		if cue, ok := parse(block); ok {
			return cue, nil
		}
		r.Skipped++
	}
}

// block returns the lines up to a blank one.
func (r *Reader) block() ([]string, error) {
	var lines []string
	size := 0
	for r.lines.Scan() {
		line := strings.TrimRight(strings.TrimPrefix(r.lines.Text(), "\ufeff"), "\r")
		switch {
		case line != "" && size+len(line) <= maxText:
			lines, size = append(lines, line), size+len(line)
		case line == "" && len(lines) > 0:
			return lines, nil
		}
	}
	if err := r.lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("a line of more than %d bytes in subtitles", maxLine)
		}
		return nil, err
	}
	if len(lines) > 0 {
		return lines, nil
	}
	return nil, io.EOF
}

// parse reads a block: a number, when it is shown, and text.
func parse(block []string) (Cue, bool) {
	for i := range min(2, len(block)) {
		m := timing.FindStringSubmatch(block[i])
		if m == nil {
			continue
		}
		c := Cue{Start: at(m[1:5]), End: at(m[5:9]), Text: strings.Join(block[i+1:], "\n")}
		return c, c.End > c.Start && strings.TrimSpace(c.Text) != ""
	}
	return Cue{}, false
}

// at reads hours, minutes, seconds and thousandths, of which each is a few digits.
func at(fields []string) time.Duration {
	var n [4]time.Duration
	for i, f := range fields {
		v, _ := strconv.Atoi(f)
		n[i] = time.Duration(v)
	}
	return n[0]*time.Hour + n[1]*time.Minute + n[2]*time.Second + n[3]*time.Millisecond
}
