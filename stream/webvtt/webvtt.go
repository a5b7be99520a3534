// Package webvtt reads and writes what HLS has subtitles in: WebVTT (W3C), a file for each
// segment (RFC 8216, section 3.5). It does no I/O of its own. stream/ingest reads and
// writes segments with it, and hls places them on the time line of fragmented MP4.
package webvtt

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Cue is a text, and when it is shown.
type Cue struct {
	Start, End time.Duration
	Text       string // lines of plain text
}

// Segment returns a WebVTT file with cues whose times are MPEG-TS's, from the timestamp 0 on.
// Those that span segments are to be repeated in each. The map is of the second 10, as hls.js
// takes a timestamp of 0 for none.
func Segment(cues []Cue) []byte {
	var b bytes.Buffer
	b.WriteString("WEBVTT\n" + timestampMap + "900000,LOCAL:00:00:10.000\n\n")
	for _, c := range cues {
		fmt.Fprintf(&b, "%s --> %s\n%s\n\n", timestamp(c.Start), timestamp(c.End), escape(c.Text))
	}
	return b.Bytes()
}

// timestamp writes hours, minutes, seconds and thousandths; hours may have more digits.
func timestamp(d time.Duration) string {
	ms := max(d, 0).Milliseconds()
	return fmt.Sprintf("%02d:%02d:%02d.%03d", ms/3_600_000, ms/60_000%60, ms/1000%60, ms%1000)
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// escape writes plain text as cues have it: a blank line would end the cue.
func escape(text string) string {
	var lines []string
	for line := range strings.Lines(strings.ReplaceAll(text, "\r", "\n")) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, escaper.Replace(line))
		}
	}
	return strings.Join(lines, "\n")
}

const timestampMap = "X-TIMESTAMP-MAP=MPEGTS:"

// mapLine finds the timestamp in a segment's map, which is in its header.
var mapLine = regexp.MustCompile(`(?m)^X-TIMESTAMP-MAP=(?:LOCAL:[0-9:.]+,)?MPEGTS:(\d{1,19})`)

// Shift returns a segment whose cues are shown by so many ticks of 90 kHz later, or earlier,
// than it says. One that says nothing of MPEG-TS is returned as it is.
func Shift(segment []byte, by int64) []byte {
	header, _, _ := bytes.Cut(segment, []byte("\n\n"))
	at := mapLine.FindSubmatchIndex(header)
	if at == nil || by == 0 {
		return segment
	}
	was, err := strconv.ParseInt(string(segment[at[2]:at[3]]), 10, 64)
	if err != nil {
		return segment
	}
	const wrap = 1 << 33 // timestamps have 33 bits, and are taken for the nearest
	now := (was + by) & (wrap - 1)
	return bytes.Join([][]byte{segment[:at[2]], segment[at[3]:]}, strconv.AppendInt(nil, now, 10))
}
