package hls

import (
	"bytes"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// listedSegment is a segment as a player reads it.
type listedSegment struct {
	uri           string
	duration      time.Duration
	discontinuity bool
	programTime   time.Time
	init          string // what EXT-X-MAP names
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
	segments                        []listedSegment
	ended                           bool

	// Low latency.
	low        bool
	partTarget time.Duration
	holdBack   time.Duration
	skipUntil  time.Duration
	skipped    int
	open       listedSegment           // what precedes the parts at the end
	parts      map[uint64][]listedPart // by media sequence number
	hint       string
	reports    []string
}

func (p *parsed) duration() (d time.Duration) {
	for _, s := range p.segments {
		d += s.duration
	}
	return d
}

// parsePlaylist checks rules 8 and 10 on the way.
func parsePlaylist(t testing.TB, text string) *parsed {
	t.Helper()
	p := &parsed{parts: map[uint64][]listedPart{}}
	seen := map[string]bool{}
	var next listedSegment
	number := func(s string) uint64 {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		return n
	}
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		tag, value, _ := strings.Cut(line, ":")
		if i == 0 && line != "#EXTM3U" || p.ended {
			t.Fatalf("rule 9 or 10: line %d is %q in\n%s", i, line, text)
		}
		switch tag {
		case "#EXTINF":
			f, err := strconv.ParseFloat(strings.TrimSuffix(value, ","), 64)
			if err != nil {
				t.Fatalf("%v in\n%s", err, text)
			}
			next.duration = time.Duration(f * float64(time.Second))
			continue
		case "#EXT-X-DISCONTINUITY":
			next.discontinuity = true
			continue
		case "#EXT-X-PROGRAM-DATE-TIME":
			at, err := time.Parse(time.RFC3339, value)
			if err != nil {
				t.Fatalf("%v in\n%s", err, text)
			}
			next.programTime = at
			continue
		case "#EXT-X-ENDLIST":
			p.ended = true
			continue
		case "#EXT-X-MAP":
			next.init = attributes(value)["URI"]
			continue
		case "#EXT-X-PART":
			a := attributes(value)
			n := p.sequence + uint64(p.skipped+len(p.segments))
			p.parts[n] = append(p.parts[n], listedPart{a["URI"], inSeconds(t, a["DURATION"]), a["INDEPENDENT"] == "YES"})
			continue
		case "#EXT-X-PRELOAD-HINT":
			a := attributes(value)
			if p.hint != "" || a["TYPE"] != "PART" {
				t.Fatalf("rule 14: %s in\n%s", line, text)
			}
			p.hint = a["URI"]
			continue
		case "#EXT-X-RENDITION-REPORT":
			p.reports = append(p.reports, value)
			continue
		}
		if !strings.HasPrefix(line, "#") {
			next.uri = line
			p.segments = append(p.segments, next)
			next = listedSegment{init: next.init}
			continue
		}
		if seen[tag] || len(p.segments) > 0 {
			t.Fatalf("rule 10: %s twice, or after a segment, in\n%s", tag, text)
		}
		seen[tag] = true
		switch tag {
		case "#EXTM3U", "#EXT-X-INDEPENDENT-SEGMENTS":
		case "#EXT-X-VERSION":
			if p.low = value == "9"; !p.low && value != "3" {
				t.Fatalf("rule 10: version %s", value)
			}
		case "#EXT-X-SERVER-CONTROL":
			a := attributes(value)
			if a["CAN-BLOCK-RELOAD"] != "YES" {
				t.Fatalf("rule 12: no blocking reloads in\n%s", text)
			}
			p.holdBack, p.skipUntil = inSeconds(t, a["PART-HOLD-BACK"]), inSeconds(t, a["CAN-SKIP-UNTIL"])
		case "#EXT-X-PART-INF":
			p.partTarget = inSeconds(t, attributes(value)["PART-TARGET"])
		case "#EXT-X-SKIP":
			p.skipped = int(number(attributes(value)["SKIPPED-SEGMENTS"]))
		case "#EXT-X-TARGETDURATION":
			p.target = number(value)
		case "#EXT-X-MEDIA-SEQUENCE":
			p.sequence = number(value)
		case "#EXT-X-DISCONTINUITY-SEQUENCE":
			p.discontinuity = number(value)
		default:
			t.Fatalf("rule 8 or 10: %s in\n%s", tag, text)
		}
	}
	p.open = next
	return p
}

// attributes reads an attribute list (RFC 8216, section 4.2), unquoted. No value here
// has a comma.
func attributes(value string) map[string]string {
	a := map[string]string{}
	for _, field := range strings.Split(value, ",") {
		name, v, _ := strings.Cut(field, "=")
		a[name] = strings.Trim(v, `"`)
	}
	return a
}

func inSeconds(t testing.TB, s string) time.Duration {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Helper()
		t.Fatal(err)
	}
	return time.Duration(math.Round(f*1e6)) * time.Microsecond
}

// inspector reloads a media playlist like a player and checks every rule of the
// package documentation against what it saw before and what the broadcast knows.
type inspector struct {
	*broadcast
	handler http.Handler
	ll      *llInspector // nil for MPEG-TS
	dvr     bool         // reads the playlist that rewinds
	quiet   bool         // fetches no segments of it

	last      *parsed
	uris      map[uint64]listedSegment // by media sequence number
	listedAt  map[uint64]time.Time
	goneUntil map[uint64]time.Time // served until then, after it was removed
	longest   time.Duration        // longest playlist so far
	newestAt  time.Time            // when the newest segment was listed
	raises    int                  // of the target duration
	reloads   int
	marks     int // discontinuities seen
	endings   int // times that ENDLIST appeared
	gap       time.Duration
	lateCheck bool // rule 6 holds at the moment
}

func newInspector(b *broadcast, h http.Handler) *inspector {
	return &inspector{broadcast: b, handler: h, uris: map[uint64]listedSegment{}, listedAt: map[uint64]time.Time{}, goneUntil: map[uint64]time.Time{}, lateCheck: true}
}

func (in *inspector) get(path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	in.handler.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

func (in *inspector) reload() *parsed {
	t := in.t
	t.Helper()
	file := "index.m3u8"
	if in.ll != nil {
		file = "ll.m3u8"
	}
	if in.dvr {
		file = "dvr.m3u8"
	}
	w := in.get(in.path(file))
	if w.Code != http.StatusOK {
		t.Fatalf("playlist: %d %s", w.Code, w.Body)
	}
	in.reloads++
	now := time.Now()
	p := parsePlaylist(t, w.Body.String())
	text := w.Body.String()
	fail := func(rule int, what string) {
		t.Helper()
		t.Fatalf("rule %d: %s, at reload %d:\n%s", rule, what, in.reloads, text)
	}
	total := p.duration()
	for _, s := range p.segments {
		if uint64(math.Round(s.duration.Seconds())) > p.target {
			fail(1, "a segment is longer than the target duration")
		}
	}
	if in.last == nil && len(p.segments) < startSegments && !p.ended {
		fail(5, "the first playlist is too short")
	}
	if in.last != nil {
		if p.target < in.last.target {
			fail(1, "the target duration fell")
		}
		if p.target != in.last.target {
			in.raises++
		}
		if p.sequence < in.last.sequence {
			fail(2, "the media sequence fell")
		}
		removed := p.sequence - in.last.sequence
		if removed > 0 && total < minTargets*time.Duration(p.target)*time.Second {
			fail(5, "a segment was removed and too few stay")
		}
		var slid uint64
		for i := range min(removed, uint64(len(in.last.segments))) {
			if in.last.segments[i].discontinuity {
				slid++
			}
			// Removals are seen up to a second late.
			in.goneUntil[in.last.sequence+i] = now.Add(in.last.segments[i].duration + in.longest - time.Second)
		}
		if p.discontinuity != in.last.discontinuity+slid {
			fail(3, "the discontinuity sequence does not count the marks that slid out")
		}
	}
	in.longest = max(in.longest, total)
	for i, s := range p.segments {
		n := p.sequence + uint64(i)
		truth := in.truth(s)
		if truth == nil {
			fail(2, "a segment that was never published")
		}
		old, known := in.uris[n]
		if known && old != s {
			fail(2, "a number changed its segment")
		}
		if !s.programTime.Equal(truth.programTime.Truncate(time.Millisecond)) {
			fail(4, "wrong programme time")
		}
		if prev, ok := in.uris[n-1]; ok {
			before := in.truth(prev)
			if !before.less(truth.key) {
				fail(2, "out of order")
			}
			follows := before.epoch == truth.epoch && before.number+1 == truth.number && !truth.discontinuity && !in.isCut(prev) && prev.init == s.init
			if s.discontinuity == follows {
				fail(4, "a break without a mark, or a mark without a break")
			}
		}
		if known {
			continue
		}
		in.uris[n], in.listedAt[n] = s, now
		if s.discontinuity {
			in.marks++
		}
		if in.lateCheck && !in.newestAt.IsZero() {
			in.gap = max(in.gap, now.Sub(in.newestAt))
			if now.Sub(in.newestAt) > time.Duration(p.target)*time.Second*3/2 {
				fail(6, "the newest segment is late")
			}
		}
		in.newestAt = now
	}
	for n, s := range in.uris {
		if in.dvr && !in.probes(p, n) {
			continue
		}
		if until, gone := in.goneUntil[n]; gone && !now.Before(until) {
			continue
		}
		seg := in.get(in.path(s.uri))
		if seg.Code != http.StatusOK || !bytes.Equal(seg.Body.Bytes(), in.content(s)) {
			fail(7, "cannot fetch "+s.uri+" in full")
		}
	}
	if p.ended && (in.last == nil || !in.last.ended) {
		in.endings++
	}
	if in.ll != nil {
		in.checkLL(p, fail)
	}
	in.last = p
	return p
}

// truth returns what was published as a segment, nil for nothing.
func (in *inspector) truth(s listedSegment) *testShot {
	if in.ll != nil {
		return in.ll.inspect(in, s).shot
	}
	return in.sent[s.uri]
}

// isCut reports whether a segment lacks its end.
func (in *inspector) isCut(s listedSegment) bool {
	return in.ll != nil && in.ll.inspect(in, s).cut
}

// content returns a segment's bytes.
func (in *inspector) content(s listedSegment) []byte {
	if in.ll != nil {
		return in.ll.inspect(in, s).data
	}
	return in.sent[s.uri].data
}

// probes reports whether a segment is to be fetched at this reload of a playlist that
// rewinds, of which there are too many to fetch all: the oldest, the newest, and one on
// the way. What slid out is served only as long as somebody holds it.
func (in *inspector) probes(p *parsed, n uint64) bool {
	count := uint64(len(p.segments))
	return !in.quiet && (n == p.sequence || n == p.sequence+count-1 || n == p.sequence+uint64(in.reloads)%count)
}

// watch reloads once a second for d.
func (in *inspector) watch(d time.Duration) {
	in.t.Helper()
	for range int(d / time.Second) {
		time.Sleep(time.Second)
		synctest.Wait()
		in.reload()
	}
}

// air publishes segments of two seconds in real time, watched. It does not ask when one
// is due, as that would wait for it.
func (in *inspector) air(n int) {
	in.t.Helper()
	for range n {
		in.watch(time.Second)
		time.Sleep(time.Second)
		in.broadcast.air(2 * time.Second)
		synctest.Wait()
		in.reload()
	}
}

// calm tells that the broadcaster's or the network's fault is over.
func (in *inspector) calm() { in.newestAt = time.Time{} }
