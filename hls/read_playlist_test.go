package hls

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
)

// listedSegment is a segment as a player reads it.
type listedSegment struct {
	uri           string
	duration      time.Duration
	discontinuity bool
	programTime   time.Time // zero if there is none
	init          string    // what EXT-X-MAP names
}

// listedPart is a part as a player reads it.
type listedPart struct {
	uri         string
	duration    time.Duration
	independent bool
}

// parsed is a media playlist as a player reads it. The parser is the test's own, so
// that the library's mistakes do not cancel out.
type parsed struct {
	target, sequence, discontinuity uint64
	independent                     bool
	segments                        []listedSegment
	ended                           bool
	version                         uint64
	ranges                          []map[string]string // attributes of EXT-X-DATERANGE

	// Low latency.
	block      bool
	partTarget time.Duration
	holdBack   time.Duration
	skipUntil  time.Duration
	skipped    int
	open       listedSegment           // what precedes the parts at the end
	parts      map[uint64][]listedPart // by media sequence number
	hint       string
	reports    []string
}

// flaw is what a playlist has that no player need understand.
type flaw struct {
	rule int
	what string
}

func (p *parsed) duration() (d time.Duration) {
	for _, s := range p.segments {
		d += s.duration
	}
	return d
}

// next is the media sequence number of the segment after the last.
func (p *parsed) next() uint64 { return p.sequence + uint64(p.skipped+len(p.segments)) }

func (p *parsed) targetDuration() time.Duration { return time.Duration(p.target) * time.Second }

// whole is how much is listed, parts at the end included.
func (p *parsed) whole() time.Duration {
	d := p.duration()
	for _, part := range p.parts[p.next()] {
		d += part.duration
	}
	return d
}

// parsePlaylist reads a playlist that must not have a flaw.
func parsePlaylist(t testing.TB, text string) *parsed {
	t.Helper()
	p, flaws := readPlaylist(text)
	for _, f := range flaws {
		t.Fatalf("rule %d: %s in\n%s", f.rule, f.what, text)
	}
	return p
}

// playlistReader reads a playlist line by line.
type playlistReader struct {
	*parsed
	flaws []flaw
	seen  map[string]bool
	next  listedSegment
}

func readPlaylist(text string) (*parsed, []flaw) {
	r := playlistReader{parsed: &parsed{parts: map[uint64][]listedPart{}}, seen: map[string]bool{}}
	if !strings.HasPrefix(text, "#EXTM3U\n") {
		r.flaw(10, "it begins otherwise than with EXTM3U")
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if r.ended {
			r.flaw(9, line+" after the end")
		}
		r.line(line)
	}
	r.open = r.next
	return r.parsed, r.flaws
}

func (r *playlistReader) flaw(rule int, what string) { r.flaws = append(r.flaws, flaw{rule, what}) }

// line reads what precedes a segment, or else a header tag.
func (r *playlistReader) line(line string) {
	tag, value, _ := strings.Cut(line, ":")
	switch tag {
	case "#EXTINF":
		r.next.duration = r.seconds(strings.TrimSuffix(value, ","))
	case "#EXT-X-DISCONTINUITY":
		r.next.discontinuity = true
	case "#EXT-X-PROGRAM-DATE-TIME":
		at, err := time.Parse(time.RFC3339, value)
		if err != nil {
			r.flaw(4, err.Error())
		}
		r.next.programTime = at
	case "#EXT-X-ENDLIST":
		r.ended = true
	case "#EXT-X-MAP":
		r.next.init = attributes(value)["URI"]
	case "#EXT-X-PART":
		a := attributes(value)
		n := r.parsed.next()
		r.parts[n] = append(r.parts[n], listedPart{a["URI"], r.seconds(a["DURATION"]), a["INDEPENDENT"] == "YES"})
	case "#EXT-X-PRELOAD-HINT":
		a := attributes(value)
		if r.hint != "" || a["TYPE"] != "PART" {
			r.flaw(14, line)
		}
		r.hint = a["URI"]
	case "#EXT-X-DATERANGE":
		r.ranges = append(r.ranges, attributes(value))
	case "#EXT-X-RENDITION-REPORT":
		r.reports = append(r.reports, value)
	default:
		if strings.HasPrefix(line, "#") {
			r.header(tag, value)
			return
		}
		r.next.uri = line
		r.segments = append(r.segments, r.next)
		r.next = listedSegment{init: r.next.init}
	}
}

func (r *playlistReader) header(tag, value string) {
	if r.seen[tag] || len(r.segments) > 0 {
		r.flaw(10, tag+" twice, or after a segment")
	}
	r.seen[tag] = true
	switch tag {
	case "#EXTM3U":
	case "#EXT-X-INDEPENDENT-SEGMENTS":
		r.independent = true
	case "#EXT-X-VERSION":
		r.version = r.number(value)
	case "#EXT-X-SERVER-CONTROL":
		a := attributes(value)
		r.block = a["CAN-BLOCK-RELOAD"] == "YES"
		for name, d := range map[string]*time.Duration{"PART-HOLD-BACK": &r.holdBack, "CAN-SKIP-UNTIL": &r.skipUntil} {
			if value, ok := a[name]; ok {
				*d = r.seconds(value)
			}
		}
	case "#EXT-X-PART-INF":
		r.partTarget = r.seconds(attributes(value)["PART-TARGET"])
	case "#EXT-X-SKIP":
		r.skipped = int(r.number(attributes(value)["SKIPPED-SEGMENTS"]))
	case "#EXT-X-TARGETDURATION":
		r.target = r.number(value)
	case "#EXT-X-MEDIA-SEQUENCE":
		r.sequence = r.number(value)
	case "#EXT-X-DISCONTINUITY-SEQUENCE":
		r.parsed.discontinuity = r.number(value)
	case "#EXT-X-PLAYLIST-TYPE":
		r.flaw(8, "it has a type, "+value)
	default:
		r.flaw(10, "nobody knows "+tag)
	}
}

func (r *playlistReader) number(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		r.flaw(10, err.Error())
	}
	return n
}

func (r *playlistReader) seconds(s string) time.Duration {
	d, err := inSeconds(s)
	if err != nil {
		r.flaw(10, err.Error())
	}
	return d
}

func inSeconds(s string) (time.Duration, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f < 0 || f > 1e6 {
		return 0, fmt.Errorf("%q is no duration", s)
	}
	return time.Duration(math.Round(f*1e6)) * time.Microsecond, nil
}

// attributes reads an attribute list (RFC 8216, section 4.2), unquoted.
func attributes(list string) map[string]string {
	a := map[string]string{}
	for list != "" {
		name, rest, _ := strings.Cut(list, "=")
		var value string
		if quoted, ok := strings.CutPrefix(rest, `"`); ok {
			value, rest, _ = strings.Cut(quoted, `"`)
			rest = strings.TrimPrefix(rest, ",")
		} else {
			value, rest, _ = strings.Cut(rest, ",")
		}
		a[name], list = value, rest
	}
	return a
}

// listedVariant is a rendition as a player reads it.
type listedVariant struct {
	uri                string
	bandwidth, average uint64
	codecs, resolution string
}

// readMultivariant reads a multivariant playlist.
func readMultivariant(text string) (variants []listedVariant, flaws []flaw) {
	r := playlistReader{parsed: &parsed{}, seen: map[string]bool{}}
	var next *listedVariant
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		tag, value, _ := strings.Cut(line, ":")
		switch {
		case tag == "#EXT-X-STREAM-INF":
			a := attributes(value)
			next = &listedVariant{bandwidth: r.number(a["BANDWIDTH"]), average: r.number(a["AVERAGE-BANDWIDTH"]), codecs: a["CODECS"], resolution: a["RESOLUTION"]}
		case strings.HasPrefix(line, "#"):
			if next != nil || len(variants) > 0 {
				r.flaw(10, line+" where a rendition's address belongs, or after one")
			}
			r.header(tag, value)
		case next == nil:
			r.flaw(10, line+" without EXT-X-STREAM-INF")
		default:
			next.uri = line
			variants, next = append(variants, *next), nil
		}
	}
	if !r.independent {
		r.flaw(26, "it does not say that segments are independent")
	}
	return variants, r.flaws
}
