package hls

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/grapevine-live/grapevine/hls/cue"
)

// dateRanges writes EXT-X-DATERANGE (draft-pantos-hls-rfc8216bis, section 4.4.5.1). What
// became known later, the end of a break, has a tag of its own with the same ID: a tag does
// not change. grafov/m3u8 does not know it, and takes it as one custom tag.
type dateRanges []cue.Range

func (dateRanges) TagName() string { return "#EXT-X-DATERANGE" }

// Encode returns the tags without the end of the last line, which grafov/m3u8 writes.
func (d dateRanges) Encode() *bytes.Buffer { return bytes.NewBufferString(d.String()) }

func (d dateRanges) String() string { return strings.Join(d.lines(), "\n") }

func (d dateRanges) lines() (lines []string) {
	for _, r := range d {
		begin := fmt.Sprintf("%s:ID=%q,START-DATE=%q", d.TagName(), r.ID, r.Start.UTC().Format(programTimeFormat))
		planned := ""
		if r.Planned > 0 {
			planned = ",PLANNED-DURATION=" + decimal(r.Planned)
		}
		if r.Command != nil {
			lines = append(lines, fmt.Sprintf("%s%s,SCTE35-CMD=0x%X", begin, planned, r.Command))
		}
		if r.Out != nil {
			lines = append(lines, fmt.Sprintf("%s%s,SCTE35-OUT=0x%X", begin, planned, r.Out))
		}
		switch {
		case r.In == nil:
		case r.Out == nil: // how long it was, nobody knows
			lines = append(lines, fmt.Sprintf("%s,END-DATE=%q,SCTE35-IN=0x%X", begin, r.End.UTC().Format(programTimeFormat), r.In))
		default:
			lasted := r.End.Truncate(time.Millisecond).Sub(r.Start.Truncate(time.Millisecond))
			lines = append(lines, fmt.Sprintf("%s,DURATION=%s,SCTE35-IN=0x%X", begin, decimal(lasted), r.In))
		}
	}
	return lines
}
