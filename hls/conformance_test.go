package hls

import (
	"bytes"
	"context"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// listed is a segment as a player reads it.
type listedSegment struct {
	uri           string
	duration      time.Duration
	discontinuity bool
	programTime   time.Time
}

// parsed is a media playlist as a player reads it. The parser is the test's own, so
// that the library's mistakes do not cancel out.
type parsed struct {
	target, sequence, discontinuity uint64
	segments                        []listedSegment
	ended                           bool
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
	p := &parsed{}
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
		}
		if !strings.HasPrefix(line, "#") {
			next.uri = line
			p.segments = append(p.segments, next)
			next = listedSegment{}
			continue
		}
		if seen[tag] || len(p.segments) > 0 {
			t.Fatalf("rule 10: %s twice, or after a segment, in\n%s", tag, text)
		}
		seen[tag] = true
		switch tag {
		case "#EXTM3U", "#EXT-X-INDEPENDENT-SEGMENTS":
		case "#EXT-X-VERSION":
			if value != "3" {
				t.Fatalf("rule 10: version %s", value)
			}
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
	return p
}

// inspector reloads a media playlist like a player and checks every rule of the
// package documentation against what it saw before and what the broadcast knows.
type inspector struct {
	*broadcast
	handler http.Handler

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
	w := in.get(in.path("index.m3u8"))
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
		truth := in.sent[s.uri]
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
			before := in.sent[prev.uri]
			if !before.less(truth.key) {
				fail(2, "out of order")
			}
			follows := before.epoch == truth.epoch && before.number+1 == truth.number && !truth.discontinuity
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
		if until, gone := in.goneUntil[n]; gone && !now.Before(until) {
			continue
		}
		seg := in.get(in.path(s.uri))
		if seg.Code != http.StatusOK || !bytes.Equal(seg.Body.Bytes(), in.sent[s.uri].data) {
			fail(7, "cannot fetch "+s.uri+" in full")
		}
	}
	if p.ended && (in.last == nil || !in.last.ended) {
		in.endings++
	}
	in.last = p
	return p
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

// air publishes segments of two seconds in real time, watched.
func (in *inspector) air(n int) {
	in.t.Helper()
	for range n {
		in.watch(2 * time.Second)
		in.broadcast.air(2 * time.Second)
		synctest.Wait()
		in.reload()
	}
}

// calm tells that the broadcaster's or the network's fault is over.
func (in *inspector) calm() { in.newestAt = time.Time{} }

// bubble runs f in virtual time. Bubbles begin in 2000, before there were media
// sequence numbers.
func bubble(t *testing.T, f func(t *testing.T)) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)))
		f(t)
	})
}

// serve runs a server for b and returns its handler.
func serve(t testing.TB, b *broadcast) (*Server, http.Handler, context.CancelFunc) {
	s, err := NewServer(Config{Node: b})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	return s, s.Handler(), cancel
}

// TestConformance follows a stream through everything that may befall it.
func TestConformance(t *testing.T) {
	bubble(t, func(t *testing.T) {
		// A store of two segments: what is listed is held by the server alone.
		b := newBroadcast(t, 120_000)
		_, handler, cancel := serve(t, b)
		defer func() { cancel(); synctest.Wait() }()
		in := newInspector(b, handler)
		for range 3 {
			time.Sleep(2 * time.Second)
			b.air(2 * time.Second)
		}
		synctest.Wait()
		in.air(30)
		if in.gap != 2*time.Second || in.marks != 0 {
			t.Fatalf("undisturbed, a segment came after %v, with %d marks", in.gap, in.marks)
		}

		// A part comes 3 s late: nothing is listed meanwhile, nothing is marked.
		late := b.shoot(2*time.Second, false)
		b.announce(late)
		b.deliver(late, 2)
		in.watch(2 * time.Second)
		after := b.shoot(2*time.Second, false)
		b.announce(after)
		b.deliver(after, -1)
		n := len(in.uris)
		in.watch(time.Second)
		if len(in.uris) != n {
			t.Fatal("a segment was listed before the one that is late")
		}
		b.deliver(late, -1)
		in.calm()
		in.watch(time.Second)
		if len(in.uris) != n+2 || in.marks != 0 {
			t.Fatalf("%d segments were listed once the late one came, with %d marks", len(in.uris)-n, in.marks)
		}
		in.air(10)

		// A part never comes: its segment is left out.
		lost := b.shoot(2*time.Second, false)
		b.announce(lost)
		b.deliver(lost, 1)
		in.lateCheck = false
		in.air(4)
		in.lateCheck = true
		in.calm()
		in.air(10)
		if in.marks != 1 {
			t.Fatalf("%d marks after a hole, want 1", in.marks)
		}

		// Not even the headers of three come.
		for range 3 {
			b.shoot(2*time.Second, false)
		}
		in.lateCheck = false
		in.air(4)
		in.lateCheck = true
		in.calm()
		in.air(10)
		if in.marks != 2 {
			t.Fatalf("%d marks after a long hole, want 2", in.marks)
		}

		// The encoder starts anew.
		s := b.shoot(2*time.Second, true)
		in.watch(2 * time.Second)
		b.announce(s)
		b.deliver(s, -1)
		in.air(10)
		if in.marks != 3 {
			t.Fatalf("%d marks after a discontinuity, want 3", in.marks)
		}

		// Segments of other lengths, the last one beyond the target duration.
		for _, d := range []time.Duration{1500 * time.Millisecond, 2400 * time.Millisecond, 500 * time.Millisecond} {
			time.Sleep(d)
			b.air(d)
			synctest.Wait()
			in.reload()
		}
		in.air(10)
		if in.raises != 0 {
			t.Fatal("rule 1: the target duration rose for a segment within its bound")
		}
		in.lateCheck = false
		time.Sleep(5 * time.Second)
		b.air(5 * time.Second)
		in.watch(2 * time.Second)
		in.lateCheck = true
		in.calm()
		in.air(30)
		if in.raises != 1 || in.last.target != 5 {
			t.Fatalf("the target duration rose %d times, to %d; want once, to 5", in.raises, in.last.target)
		}

		// The broadcaster is killed within a segment, and comes back after a while.
		cut := b.shoot(2*time.Second, false)
		for _, h := range cut.headers[:2] {
			if err := b.timeline.Add(h, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		b.deliver(cut, 3)
		in.lateCheck = false
		in.watch(20 * time.Second)
		b.restart()
		in.air(5)
		in.lateCheck = true
		in.calm()
		in.air(10)
		if in.marks != 4 || in.endings != 0 {
			t.Fatalf("%d marks and %d ends after a broadcaster was killed, want 4 and 0", in.marks, in.endings)
		}

		// It is stopped, and started again at once: nobody is told to leave.
		in.watch(time.Second)
		b.end()
		in.watch(3 * time.Second)
		b.restart()
		in.lateCheck = false
		in.air(4)
		in.lateCheck = true
		in.calm()
		in.air(10)
		if in.marks != 5 || in.endings != 0 {
			t.Fatalf("%d marks and %d ends after a restart, want 5 and 0", in.marks, in.endings)
		}

		// It ends, and comes back.
		in.watch(time.Second)
		b.end()
		in.watch(endTargets * 5 * time.Second)
		if !in.last.ended || in.endings != 1 {
			t.Fatal("rule 9: no end")
		}
		sequence := in.last.sequence
		b.restart()
		in.lateCheck = false
		in.air(4)
		in.lateCheck = true
		in.calm()
		in.air(10)
		if in.last.ended || in.last.sequence <= sequence || in.marks != 6 {
			t.Fatalf("after the comeback: ended %t, sequence %d after %d, %d marks", in.last.ended, in.last.sequence, sequence, in.marks)
		}
		b.end()
		in.watch(40 * time.Second)
		if !in.last.ended || in.endings != 2 {
			t.Fatal("rule 9: no second end")
		}
		if in.reloads < 300 {
			t.Fatalf("only %d reloads", in.reloads)
		}
	})
}

// TestRestartedServer checks rule 2 over a restart of the node.
func TestRestartedServer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBroadcast(t, 0)
		_, handler, cancel := serve(t, b)
		in := newInspector(b, handler)
		for range 3 {
			b.air(2 * time.Second)
		}
		synctest.Wait()
		in.air(50)
		cancel()
		synctest.Wait()
		time.Sleep(time.Second)
		_, handler, cancel = serve(t, b)
		synctest.Wait()
		again := newInspector(b, handler)
		p := again.reload()
		if newest := in.last.sequence + uint64(len(in.last.segments)) - 1; p.sequence <= newest {
			t.Errorf("media sequence %d after a restart, %d was seen before", p.sequence, newest)
		}
		if len(p.segments) != DefaultWindow {
			t.Errorf("%d segments listed at once, want %d", len(p.segments), DefaultWindow)
		}
		cancel()
		synctest.Wait()
	})
}
