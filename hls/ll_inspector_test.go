package hls

import (
	"bytes"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"testing/synctest"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
)

// llInspector is what an inspector knows besides of a low-latency playlist.
type llInspector struct {
	segments map[string]llInspected  // by URI
	parts    map[uint64][]listedPart // by media sequence number, as ever listed
	data     map[string][]byte       // parts' bytes, by URI
	seenAt   map[string]time.Time    // when a part was listed last
	newestAt time.Time               // when the newest part was listed
	gap      time.Duration           // longest between two, in calm times
	inits    map[string]bool
	deltas   int           // that left something out
	target   time.Duration // of parts, at first: once it was raised, earlier parts are too short for it
}

// llInspected is what a segment proved to be.
type llInspected struct {
	shot *testShot
	data []byte
	cut  bool
}

func newLLInspector(b *broadcast, h http.Handler) *inspector {
	in := newInspector(b, h)
	in.ll = &llInspector{
		segments: map[string]llInspected{}, parts: map[uint64][]listedPart{}, data: map[string][]byte{},
		seenAt: map[string]time.Time{}, inits: map[string]bool{},
	}
	return in
}

var pictureName = regexp.MustCompile(`(\d+-\d+\.ts)#(\d+)\.`)

// inspect fetches a segment when it is first seen and reads which pictures it holds.
func (l *llInspector) inspect(in *inspector, s listedSegment) llInspected {
	if known, ok := l.segments[s.uri]; ok {
		return known
	}
	w := in.get(in.path(s.uri))
	if w.Code != http.StatusOK {
		in.t.Fatalf("rule 7: %s answers %d", s.uri, w.Code)
	}
	found := llInspected{data: w.Body.Bytes()}
	names := pictureName.FindAllSubmatch(found.data, -1)
	if len(names) == 0 || len(names)%filmPictures != 0 {
		in.t.Fatalf("rule 15: %s has %d pictures", s.uri, len(names))
	}
	for i, name := range names {
		if string(name[1]) != string(names[0][1]) || string(name[2]) != strconv.Itoa(i) {
			in.t.Fatalf("rule 15: picture %d of %s is %s", i, s.uri, name[0])
		}
	}
	found.shot = in.sent[string(names[0][1])]
	found.cut = len(names) < len(found.shot.headers)*filmPictures
	var fragments fmp4.Parts
	moov := bytes.Contains(found.data, []byte("moov"))
	if moov != s.discontinuity {
		in.t.Fatalf("rule 16: %s has an init of its own: %t, and a mark: %t", s.uri, moov, s.discontinuity)
	}
	if moov {
		from := bytes.Index(found.data, []byte("moof")) - 4
		if init := in.get(in.path(s.init)).Body.Bytes(); !bytes.Equal(init, found.data[:from]) {
			in.t.Fatalf("rule 16: %s has another init than its map", s.uri)
		}
		if err := fragments.Unmarshal(found.data[from:]); err != nil {
			in.t.Fatal(err)
		}
	} else if err := fragments.Unmarshal(found.data); err != nil {
		in.t.Fatal(err)
	}
	l.segments[s.uri] = found
	return found
}

// checkLL checks the rules that only low-latency playlists have.
func (in *inspector) checkLL(p *parsed, fail func(rule int, what string)) {
	t, l, now := in.t, in.ll, time.Now()
	t.Helper()
	target := time.Duration(p.target) * time.Second
	if !p.low {
		fail(10, "the version is not 9")
	}
	if p.holdBack < llHoldParts*p.partTarget || p.partTarget <= 0 || p.skipUntil < llSkipTargets*target {
		fail(12, "too little is held back, or a delta may leave out too much")
	}
	if (p.hint == "") != p.ended {
		fail(14, "the hint is missing, or comes after the end")
	}
	if l.target == 0 {
		l.target = p.partTarget
	}
	left := p.duration()
	openNumber := p.sequence + uint64(len(p.segments))
	for _, part := range p.parts[openNumber] {
		left += part.duration
	}
	for i := range len(p.segments) + 1 {
		n := p.sequence + uint64(i)
		parts, closed := p.parts[n], i < len(p.segments)
		if closed {
			if near := left < llPartTargets*target; near != (len(parts) > 0) {
				fail(13, "parts are listed for too long, or not for long enough")
			}
			left -= p.segments[i].duration
			if init := p.segments[i].init; !l.inits[init] {
				if w := in.get(in.path(init)); w.Code != http.StatusOK || !bytes.Contains(w.Body.Bytes(), []byte("moov")) {
					fail(16, "the map cannot be fetched")
				}
				l.inits[init] = true
			}
		}
		if len(parts) == 0 {
			continue
		}
		var sum time.Duration
		var joined []byte
		for k, part := range parts {
			sum += part.duration
			last := closed && k == len(parts)-1
			if part.duration > p.partTarget || !last && !part.independent && k < len(parts)-1 && part.duration < l.target*85/100 {
				fail(11, "a part is too long or too short")
			}
			if part.independent != (k == 0) {
				fail(11, "only the first part of a segment is independent")
			}
			l.seenAt[part.uri] = now
			if l.data[part.uri] == nil {
				w := in.get(in.path(part.uri))
				if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "video/mp4" {
					fail(15, "a part that is listed cannot be fetched")
				}
				l.data[part.uri] = w.Body.Bytes()
				if in.lateCheck && !l.newestAt.IsZero() {
					l.gap = max(l.gap, now.Sub(l.newestAt))
				}
				l.newestAt = now
			}
			joined = append(joined, l.data[part.uri]...)
		}
		if before := l.parts[n]; len(before) > len(parts) || !slices.Equal(before, parts[:len(before)]) {
			fail(13, "a part changed")
		}
		l.parts[n] = parts
		if closed {
			s := p.segments[i]
			if sum != s.duration || !bytes.Equal(joined, in.content(s)) {
				fail(13, "a segment is not its parts")
			}
		}
	}
	for uri, at := range l.seenAt {
		if now.Sub(at) > llPartTargets*target {
			continue
		}
		if w := in.get(in.path(uri)); w.Code != http.StatusOK || !bytes.Equal(w.Body.Bytes(), l.data[uri]) {
			fail(13, "a part cannot be fetched any more")
		}
	}
	if in.last != nil && !p.ended && in.last.hint != p.hint && in.last.hint != "" && l.data[in.last.hint] == nil {
		n := in.last.sequence + uint64(len(in.last.segments))
		if i := int(n - p.sequence); n < p.sequence || i >= len(p.segments) || !in.isCut(p.segments[i]) && len(in.last.parts[n]) > 0 {
			fail(14, "what was hinted at did not come")
		}
	}
	in.checkDelta(p, fail)
}

// checkDelta checks that a delta leaves out what it may, and nothing else.
func (in *inspector) checkDelta(full *parsed, fail func(rule int, what string)) {
	in.t.Helper()
	delta := parsePlaylist(in.t, in.get(in.llPath("?_HLS_skip=YES")).Body.String())
	if delta.skipped > 0 {
		in.ll.deltas++
	}
	left := full.duration()
	for _, part := range full.parts[full.sequence+uint64(len(full.segments))] {
		left += part.duration
	}
	for _, s := range full.segments[:delta.skipped] {
		if left -= s.duration; left < full.skipUntil {
			fail(17, "a delta leaves out too much")
		}
	}
	delta.segments = append(full.segments[:delta.skipped:delta.skipped], delta.segments...)
	delta.skipped = 0
	if !reflect.DeepEqual(delta, full) {
		in.t.Fatalf("rule 17: the delta is of another playlist:\n%+v\n%+v", delta, full)
	}
}

// airLL publishes segments of two seconds part by part in real time, watched.
func (in *inspector) airLL(n int) {
	in.t.Helper()
	for range n {
		in.airShot(in.shoot(2*time.Second, false))
	}
}

// airShot publishes one segment part by part, but for some.
func (in *inspector) airShot(s *testShot, but ...int) {
	in.t.Helper()
	for i := range s.headers {
		time.Sleep(s.headers[i].Duration)
		lost := false
		for _, b := range but {
			lost = lost || b == i
		}
		if !lost {
			in.airPart(s, i)
		}
		synctest.Wait()
		in.reload()
	}
}
