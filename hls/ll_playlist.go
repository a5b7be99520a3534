package hls

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

const (
	// llVersion is the least that allows EXT-X-SKIP (draft-pantos-hls-rfc8216bis,
	// section 8).
	llVersion = 9
	// llSkipTargets is CAN-SKIP-UNTIL in target durations, and llHoldParts is
	// PART-HOLD-BACK in part targets: the least that section 4.4.3.8 allows.
	llSkipTargets = 6
	llHoldParts   = 3

	programTimeFormat = "2006-01-02T15:04:05.000Z"
)

// llPlaylist is what a low-latency media playlist is written from. grafov/m3u8 knows
// none of its tags.
type llPlaylist struct {
	window     *window
	open       *llSegment // nil if the next segment has no part yet
	partTarget time.Duration
	session    string
	ranges     dateRanges // a delta has all of them: it leaves out segments alone
}

// duration is how much is listed, parts of the open segment included.
func (l *llPlaylist) duration() time.Duration {
	d := l.window.duration()
	if l.open != nil {
		d += l.open.duration()
	}
	return d
}

// skippable returns how many segments a delta leaves out: those that end before the skip
// boundary.
func (l *llPlaylist) skippable() int {
	left := l.duration()
	for n, e := range l.window.entries {
		if left -= e.duration; left < llSkipTargets*l.window.targetDuration() {
			return n
		}
	}
	return 0
}

// render writes the playlist without its first skip segments.
func (l *llPlaylist) render(skip int) []byte {
	w := l.window
	target := w.targetDuration()
	var b bytes.Buffer
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:%d\n#EXT-X-INDEPENDENT-SEGMENTS\n", llVersion)
	fmt.Fprintf(&b, "#EXT-X-TARGETDURATION:%d\n", w.target)
	fmt.Fprintf(&b, "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=%s,CAN-SKIP-UNTIL=%s\n",
		decimal(llHoldParts*l.partTarget), decimal(llSkipTargets*target))
	fmt.Fprintf(&b, "#EXT-X-PART-INF:PART-TARGET=%s\n", decimal(l.partTarget))
	fmt.Fprintf(&b, "#EXT-X-MEDIA-SEQUENCE:%d\n", w.sequence-uint64(len(w.entries)))
	fmt.Fprintf(&b, "#EXT-X-DISCONTINUITY-SEQUENCE:%d\n", w.discontinuity)
	if skip > 0 {
		fmt.Fprintf(&b, "#EXT-X-SKIP:SKIPPED-SEGMENTS=%d\n", skip)
	}
	for _, line := range l.ranges.lines() {
		b.WriteString(line + "\n")
	}
	var init string
	begin := func(discontinuity bool, first piece, programTime time.Time) {
		if discontinuity {
			b.WriteString("#EXT-X-DISCONTINUITY\n")
		}
		if first.name != init {
			init = first.name
			fmt.Fprintf(&b, "#EXT-X-MAP:URI=%q\n", init)
		}
		fmt.Fprintf(&b, "#EXT-X-PROGRAM-DATE-TIME:%s\n", programTime.UTC().Format(programTimeFormat))
	}
	parts := func(list []llPart) {
		for _, p := range list {
			fmt.Fprintf(&b, "#EXT-X-PART:DURATION=%s,URI=%q", decimal(p.duration), p.name)
			if p.independent {
				b.WriteString(",INDEPENDENT=YES")
			}
			b.WriteByte('\n')
		}
	}
	left := l.duration()
	for n, e := range w.entries {
		near := left < llPartTargets*target
		left -= e.duration
		if n < skip {
			continue
		}
		begin(e.discontinuity, e.init, e.programTime)
		if near {
			parts(e.parts)
		}
		fmt.Fprintf(&b, "#EXTINF:%s,\n%s\n", decimal(e.duration), e.name)
	}
	next := 0
	if l.open != nil && len(l.open.parts) > 0 {
		begin(l.open.discontinuity, l.open.init, l.open.programTime)
		parts(l.open.parts)
		next = len(l.open.parts)
	}
	if w.ended {
		b.WriteString("#EXT-X-ENDLIST\n")
	} else {
		fmt.Fprintf(&b, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=%q\n", partName(l.session, w.sequence, next))
	}
	return b.Bytes()
}

// report is what a playlist says of another rendition's.
type report struct {
	rendition string
	last      llPosition
}

// renderReports writes EXT-X-RENDITION-REPORT, with addresses relative to
// /<stream-id>/<rendition>/.
func renderReports(reports []report) []byte {
	var b bytes.Buffer
	for _, r := range reports {
		fmt.Fprintf(&b, "#EXT-X-RENDITION-REPORT:URI=\"../%s/ll.m3u8\",LAST-MSN=%d,LAST-PART=%d\n", r.rendition, r.last.sequence, r.last.part)
	}
	return b.Bytes()
}

// decimal writes d in seconds, to the microsecond: parts' durations are whole ones, and
// a float would make 1.5899999999999999 of three times 0.53.
func decimal(d time.Duration) string {
	s := fmt.Sprintf("%d.%06d", d/time.Second, d%time.Second/time.Microsecond)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}
