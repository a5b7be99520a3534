package hls

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// breakage is a way to break one rule: what becomes of a server's answers.
type breakage struct {
	rule  string // its name
	mode  string
	fault string
	spoil func(*spoiler, *answer)
}

// answer is what a server says, to be spoiled.
type answer struct {
	path, query string
	code        int
	header      http.Header
	body        []byte
}

func (a *answer) is(suffix string) bool {
	return a.code == http.StatusOK && strings.HasSuffix(a.path, suffix)
}

// media reports whether it is a media playlist.
func (a *answer) media() bool { return a.is(".m3u8") && strings.Count(a.path, "/") == 3 }

func (a *answer) replace(pattern, by string) {
	a.body = regexp.MustCompile(pattern).ReplaceAll(a.body, []byte(by))
}

// number changes the number that a tag has.
func (a *answer) number(tag string, f func(n int) int) {
	a.body = regexp.MustCompile("#"+tag+`:\d+`).ReplaceAllFunc(a.body, func(m []byte) []byte {
		n, _ := strconv.Atoi(string(m[len(tag)+2:]))
		return []byte(fmt.Sprintf("#%s:%d", tag, f(n)))
	})
}

// spoiler spoils a server's answers once a viewer has seen some good ones.
type spoiler struct {
	http.Handler
	began time.Time
	spoil func(*spoiler, *answer)
	kept  []byte // of an earlier answer
	files map[string]*answer
}

// goodFor is how long a spoiler leaves answers alone.
const goodFor = 8 * time.Second

func (s *spoiler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec := httptest.NewRecorder()
	s.Handler.ServeHTTP(rec, r)
	a := &answer{r.URL.Path, r.URL.RawQuery, rec.Code, rec.Header(), rec.Body.Bytes()}
	s.spoil(s, a)
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.code)
	_, _ = w.Write(a.body) // to a recorder
}

// late reports whether the time to spoil has come.
func (s *spoiler) late() bool { return time.Since(s.began) > goodFor }

// later spoils media playlists only, after a while.
func later(f func(a *answer)) func(*spoiler, *answer) {
	return func(s *spoiler, a *answer) {
		if s.late() && a.media() {
			f(a)
		}
	}
}

// always spoils media playlists from the first one on.
func always(f func(a *answer)) func(*spoiler, *answer) {
	return func(_ *spoiler, a *answer) {
		if a.media() {
			f(a)
		}
	}
}

// swap has the last two segments change places.
func swap(a *answer) {
	names := regexp.MustCompile(`(?m)^[^#].*$`).FindAll(a.body, -1)
	if n := len(names); n > 1 {
		last, before := string(names[n-1]), string(names[n-2])
		text := strings.Replace(string(a.body), before+"\n", "\x00\n", 1)
		text = strings.Replace(text, "\n"+last+"\n", "\n"+before+"\n", 1)
		a.body = []byte(strings.Replace(text, "\x00", last, 1))
	}
}

// freeze answers with an earlier playlist.
func freeze(s *spoiler, a *answer) {
	if !a.media() {
		return
	}
	if s.late() && s.kept != nil {
		a.body = s.kept
	} else {
		s.kept = a.body
	}
}

// gone answers 404 for files that were listed and fetched before, after a while.
func missing(suffix string) func(*spoiler, *answer) {
	return func(s *spoiler, a *answer) {
		if s.late() && a.is(suffix) {
			a.code = http.StatusNotFound
		}
	}
}

// missingAgain answers 404 for files that were asked for so long ago.
func missingAgain(after time.Duration) func(*spoiler, *answer) {
	seen := make(map[string]time.Time)
	return func(_ *spoiler, a *answer) {
		if !a.is(".ts") && !a.is(".m4s") {
			return
		}
		if _, known := seen[a.path]; !known {
			seen[a.path] = time.Now()
		} else if time.Since(seen[a.path]) > after {
			a.code = http.StatusNotFound
		}
	}
}

var (
	partLine   = regexp.MustCompile(`(?m)^#EXT-X-PART:.*\n`)
	segmentRow = regexp.MustCompile(`(\d+)-(\d+)\.ts`)
	// wholeRow is a segment with its tags.
	wholeRow = regexp.MustCompile(`(?m)^#EXT-X-PROGRAM.*\n(?:#EXT-X-DATERANGE.*\n)*#EXTINF.*\n.*\.ts\n`)
)

var breakages = []breakage{
	{"durations within the target", "index", "calm", always(func(a *answer) { a.number("EXT-X-TARGETDURATION", func(int) int { return 1 }) })},
	{"a target that stays", "index", "calm", later(func(a *answer) { a.number("EXT-X-TARGETDURATION", func(n int) int { return n + 1 }) })},
	{"numbers keep their segments", "index", "calm", later(func(a *answer) { a.number("EXT-X-MEDIA-SEQUENCE", func(n int) int { return n + 1 }) })},
	{"numbers never fall", "index", "calm", later(func(a *answer) { a.number("EXT-X-MEDIA-SEQUENCE", func(int) int { return 0 }) })},
	{"names are used once", "index", "calm", later(func(a *answer) {
		names := segmentRow.FindAll(a.body, -1)
		a.body = bytes.Replace(a.body, names[len(names)-1], names[0], 1)
	})},
	{"segments in order", "index", "calm", later(swap)},
	{"marks that slid out are counted", "index", "encoder", always(func(a *answer) { a.replace(`#EXT-X-DISCONTINUITY-SEQUENCE:\d+\n`, "") })},
	{"breaks are marked", "index", "encoder", always(func(a *answer) { a.replace(`#EXT-X-DISCONTINUITY\n`, "") })},
	{"programme times", "index", "calm", always(func(a *answer) { a.replace(`(#EXT-X-PROGRAM-DATE-TIME:\d+)`, "#EXT-X-PROGRAM-DATE-TIME:2025") })},
	{"three segments at first", "index", "calm", always(func(a *answer) {
		rows := wholeRow.FindAllIndex(a.body, -1)
		a.body = a.body[:rows[1][1]]
	})},
	{"three target durations stay", "index", "calm", later(func(a *answer) {
		rows := wholeRow.FindAllIndex(a.body, -1)
		n := len(rows) - 2
		a.body = slices.Concat(a.body[:rows[0][0]], a.body[rows[n][0]:])
		a.number("EXT-X-MEDIA-SEQUENCE", func(m int) int { return m + n })
	})},
	{"what is whole is listed", "index", "calm", freeze},
	{"what is whole is listed", "ll", "calm", later(func(a *answer) { a.replace(`(#EXT-X-PART:.*\n)#EXT-X-PART:.*\n(#EXT-X-PRELOAD)`, "${1}${2}") })},
	{"no long wait", "index", "calm", func(s *spoiler, a *answer) {
		if s.late() && a.media() {
			time.Sleep(1100 * time.Millisecond)
		}
	}},
	{"only what is whole is listed", "index", "calm", later(func(a *answer) {
		names := segmentRow.FindAllSubmatch(a.body, -1)
		last := names[len(names)-1]
		n, _ := strconv.Atoi(string(last[2]))
		a.body = fmt.Appendf(a.body, "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00Z\n#EXTINF:2.000,\n%s-%d.ts\n", last[1], n+1)
	})},
	{"what is listed can be fetched", "index", "calm", missing(".ts")},
	{"what is listed can be fetched", "dvr", "calm", missing(".ts")},
	{"what is listed can be fetched", "ll", "calm", missing(".m4s")},
	{"bytes are what was published", "index", "calm", func(s *spoiler, a *answer) {
		if s.late() && a.is(".ts") {
			a.body = a.body[:len(a.body)-188]
		}
	}},
	{"bytes stay", "index", "calm", func(s *spoiler, a *answer) {
		if s.late() && a.is(".ts") {
			a.body = append(bytes.Clone(a.body), byte(time.Now().Unix()))
		}
	}},
	{"what left can be fetched", "index", "calm", missingAgain(13 * time.Second)},
	{"what left can be fetched", "ll", "calm", missingAgain(25 * time.Second)},
	{"no type", "index", "calm", always(func(a *answer) { a.replace(`(#EXT-X-VERSION:3\n)`, "${1}#EXT-X-PLAYLIST-TYPE:EVENT\n") })},
	{"the end", "index", "calm", later(func(a *answer) { a.body = append(bytes.Clone(a.body), "#EXT-X-ENDLIST\n"...) })},
	{"the end", "index", "end", always(func(a *answer) { a.replace(`#EXT-X-ENDLIST\n`, "") })},
	{"nothing after the end", "index", "calm", later(func(a *answer) { a.replace(`(#EXT-X-VERSION:3\n)`, "${1}#EXT-X-ENDLIST\n") })},
	{"version", "ll", "calm", always(func(a *answer) { a.number("EXT-X-VERSION", func(int) int { return 6 }) })},
	{"header tags", "index", "calm", always(func(a *answer) { a.body = append(bytes.Clone(a.body), "#EXT-X-VERSION:3\n"...) })},
	{"parts within their target", "ll", "calm", always(func(a *answer) { a.replace(`PART-TARGET=[\d.]+`, "PART-TARGET=0.6") })},
	{"parts within their target", "ll", "calm", always(func(a *answer) { a.replace(`PART-TARGET=[\d.]+`, "PART-TARGET=0.4") })},
	{"hold-back", "ll", "calm", always(func(a *answer) { a.replace(`PART-HOLD-BACK=[\d.]+`, "PART-HOLD-BACK=1") })},
	{"parts stay", "ll", "calm", later(func(a *answer) {
		if parts := partLine.FindAll(a.body, -1); len(parts) > 1 {
			a.body = bytes.Replace(a.body, parts[1], nil, 1)
		}
	})},
	{"parts near the end only", "ll", "calm", always(func(a *answer) { a.replace(`#EXT-X-PART:.*\n`, "") })},
	{"a segment is its parts", "ll", "calm", func(_ *spoiler, a *answer) {
		if a.is(".3.m4s") {
			a.body = append(bytes.Clone(a.body), 0)
		}
	}},
	{"the hint is of what comes", "ll", "calm", later(func(a *answer) { a.replace(`#EXT-X-PRELOAD-HINT.*\n`, "") })},
	{"hints are answered when it is whole", "ll", "calm", func(s *spoiler, a *answer) {
		if s.files == nil {
			s.files = make(map[string]*answer)
		}
		// The first to ask is who was told of it by the hint.
		if a.is(".m4s") && s.late() && s.files[a.path] == nil {
			s.files[a.path] = a
			a.code = http.StatusNotFound
		}
	}},
	{"reloads block", "ll", "calm", func(s *spoiler, a *answer) {
		if a.media() && strings.Contains(a.query, "_HLS_msn") {
			if s.kept != nil {
				a.body = s.kept
			} else {
				s.kept = a.body
			}
		}
	}},
	{"reloads block", "ll", "silence", func(s *spoiler, a *answer) {
		if a.code == http.StatusServiceUnavailable {
			a.code = http.StatusBadRequest
		}
	}},
	{"pictures without a gap", "ll", "calm", func(_ *spoiler, a *answer) {
		if a.is(".2.m4s") {
			a.body = bytes.ReplaceAll(a.body, []byte("#2"), []byte("#9"))
		}
	}},
	{"inits", "ll", "encoder", always(func(a *answer) { a.replace(`-1\.mp4`, "-0.mp4") })},
	{"deltas", "ll", "calm", func(s *spoiler, a *answer) {
		if strings.Contains(a.query, "_HLS_skip") {
			a.replace(`SKIPPED-SEGMENTS=\d+`, "SKIPPED-SEGMENTS=9")
		}
	}},
	{"nothing is put before the beginning", "dvr", "calm", func(s *spoiler, a *answer) {
		if !a.media() {
			return
		}
		row := wholeRow.FindIndex(a.body)
		if s.late() {
			a.number("EXT-X-MEDIA-SEQUENCE", func(n int) int { return n + 1 })
			return
		}
		a.body = slices.Concat(a.body[:row[0]], a.body[row[1]:])
		a.number("EXT-X-MEDIA-SEQUENCE", func(n int) int { return n + 2 }) // its time
	}},
	{"numbers from the first segment's time", "dvr", "calm", always(func(a *answer) { a.number("EXT-X-MEDIA-SEQUENCE", func(n int) int { return n + 7 }) })},
	{"headers of answers", "index", "calm", func(_ *spoiler, a *answer) {
		if a.media() {
			a.header.Set("Cache-Control", "max-age=5")
		}
	}},
	{"headers of answers", "ll", "calm", func(_ *spoiler, a *answer) {
		if a.is(".m4s") {
			a.header.Set("Content-Type", segmentType)
		}
	}},
	{"segments start with keyframes", "index", "calm", func(_ *spoiler, a *answer) {
		if a.is(".ts") {
			// The type of the first picture: a slice of one that needs others.
			a.body = bytes.Replace(a.body, []byte("\x00\x00\x01\x65"), []byte("\x00\x00\x01\x41"), 1)
		}
	}},
	{"timestamps go on", "index", "timestamps-back", always(func(a *answer) { a.replace(`#EXT-X-DISCONTINUITY\n`, "") })},
	{"date ranges stay as they are", "index", "calm", later(func(a *answer) { a.replace(`(#EXT-X-DATERANGE.*START-DATE="\d+)`, "${1}0") })},
	{"date ranges stay as they are", "ll", "calm", later(func(a *answer) { a.replace(`SCTE35-OUT=0xFC`, "SCTE35-OUT=0xFD") })},
	{"date ranges are of cues", "dvr", "calm", always(func(a *answer) { a.replace(`(#EXT-X-DATERANGE.*START-DATE="....-..-..T..:..:)(.)`, "${1}0") })},
	{"cues are listed", "index", "calm", always(func(a *answer) { a.replace(`#EXT-X-DATERANGE.*SCTE35-IN.*\n`, "") })},
	{"cues are listed", "ll", "calm", always(func(a *answer) { a.replace(`#EXT-X-DATERANGE.*\n`, "") })},
	{"date ranges leave when they are over", "index", "calm", later(func(a *answer) {
		a.replace(`(#EXTINF)`, "#EXT-X-DATERANGE:ID=\"splice-0-1-1\",START-DATE=\"2025-01-01T00:00:00.000Z\",DURATION=5,SCTE35-IN=0xFC\n${1}")
	})},
	{"date ranges leave when they are over", "dvr", "calm", later(func(a *answer) { a.replace(`#EXT-X-DATERANGE.*\n`, "") })},
	{"deltas", "ll", "calm", func(s *spoiler, a *answer) {
		if strings.Contains(a.query, "_HLS_skip") {
			a.replace(`#EXT-X-DATERANGE.*\n`, "")
		}
	}},
	{"durations are those of the pictures", "index", "calm", always(func(a *answer) { a.replace(`#EXTINF:2.000`, "#EXTINF:1.900") })},

	{"each rendition once", "multivariant-index", "calm", func(s *spoiler, a *answer) {
		if a.is(".m3u8") && !a.media() {
			a.replace(`low/index`, "main/index")
		}
	}},
	{"renditions as described", "multivariant-index", "calm", func(s *spoiler, a *answer) {
		if a.is(".m3u8") && !a.media() {
			a.replace(`BANDWIDTH=\d+`, "BANDWIDTH=1000")
		}
	}},
	{"the multivariant playlist", "multivariant-index", "calm", func(s *spoiler, a *answer) {
		if a.is(".m3u8") && !a.media() {
			a.replace(`#EXT-X-INDEPENDENT-SEGMENTS\n`, "")
		}
	}},
	{"renditions count the same marks", "multivariant-index", "calm", ofLow(func(a *answer) {
		a.replace(`(#EXT-X-TARGETDURATION)`, "#EXT-X-DISCONTINUITY-SEQUENCE:3\n${1}")
	})},
	{"renditions have the same target", "multivariant-index", "calm", ofLow(func(a *answer) { a.number("EXT-X-TARGETDURATION", func(n int) int { return n + 1 }) })},
	{"renditions have the same control", "multivariant-ll", "calm", ofLow(func(a *answer) { a.replace(`PART-HOLD-BACK=[\d.]+`, "PART-HOLD-BACK=5") })},
	{"reports", "multivariant-ll", "calm", always(func(a *answer) { a.replace(`LAST-PART=\d`, "LAST-PART=7") })},
}

// ofLow spoils the media playlist of the second rendition only.
func ofLow(f func(a *answer)) func(*spoiler, *answer) {
	return always(func(a *answer) {
		if strings.Contains(a.path, "/low/") {
			f(a)
		}
	})
}

// TestRulesFail breaks each rule, and sees that it says so: one that cannot fail holds
// nothing.
func TestRulesFail(t *testing.T) {
	for i, b := range breakages {
		t.Run(fmt.Sprintf("%02d %s", i, b.rule), func(t *testing.T) {
			t.Parallel()
			m := modes[slices.IndexFunc(modes, func(m mode) bool { return m.name == b.mode })]
			m.spoil = func(h http.Handler) http.Handler {
				return &spoiler{Handler: h, began: time.Now(), spoil: b.spoil}
			}
			f := faults[slices.IndexFunc(faults, func(f fault) bool { return f.name == b.fault })]
			m.play(t, func(st *stage, v *viewer) {
				f.befall(st)
				var broken []string
				for _, violation := range v.failed() {
					if violation.name == b.rule {
						return
					}
					broken = append(broken, violation.name)
				}
				t.Errorf("%q says nothing in %d reloads; %q do", b.rule, v.reloads(), broken)
			})
		})
	}
}

// TestRulesAreAllBroken sees that no rule was forgotten.
func TestRulesAreAllBroken(t *testing.T) {
	check := func(r *rule) {
		if !slices.ContainsFunc(breakages, func(b breakage) bool { return b.rule == r.name }) {
			t.Errorf("nothing breaks rule %d, %s", r.number, r.name)
		}
	}
	for i := range rules {
		check(&rules[i])
	}
	for i := range variantRules {
		check(&variantRules[i].rule)
	}
}
