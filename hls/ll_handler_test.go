package hls

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// runningLL runs f against a server with three segments and two parts of the next on
// air, which a player has asked for, and gives the number of that next.
func runningLL(t *testing.T, f func(t *testing.T, b *broadcast, s *Server, h http.Handler, shot *testShot, next uint64)) {
	bubble(t, func(t *testing.T) {
		b := filmed(t)
		shot := b.shoot(2*time.Second, false)
		b.airPart(shot, 0)
		b.airPart(shot, 1)
		s, h, stop := serve(t, b)
		defer func() { stop(); synctest.Wait() }()
		synctest.Wait()
		p := parsePlaylist(t, do(h, "GET", b.llPath("")).Body.String())
		f(t, b, s, h, shot, p.sequence+uint64(len(p.segments)))
	})
}

// TestLLDirectives asks for what is there, for what cannot be, and for what comes.
func TestLLDirectives(t *testing.T) {
	runningLL(t, func(t *testing.T, b *broadcast, s *Server, h http.Handler, shot *testShot, next uint64) {
		ask := func(format string, args ...any) string { return b.llPath("?" + fmt.Sprintf(format, args...)) }
		for _, test := range []struct {
			name, path string
			code       int // 0 for held
		}{
			{"no directives", b.llPath(""), 200},
			{"another's parameter", ask("token=x"), 200},
			{"a part of no segment", ask("_HLS_part=1"), 400},
			{"not a number", ask("_HLS_msn=x"), 400},
			{"a negative number", ask("_HLS_msn=-1"), 400},
			{"not a part", ask("_HLS_msn=%d&_HLS_part=x", next), 400},
			{"a negative part", ask("_HLS_msn=%d&_HLS_part=-1", next), 400},
			{"skip something else", ask("_HLS_skip=no"), 400},
			{"skip", ask("_HLS_skip=YES"), 200},
			{"skip date ranges too", ask("_HLS_skip=v2"), 200},
			{"an old number", ask("_HLS_msn=7"), 200},
			{"an old number's part", ask("_HLS_msn=7&_HLS_part=99"), 200},
			{"the last segment that is whole", ask("_HLS_msn=%d", next-1), 200},
			{"its last part", ask("_HLS_msn=%d&_HLS_part=3", next-1), 200},
			{"a part past its last, which is the next's first", ask("_HLS_msn=%d&_HLS_part=4", next-1), 200},
			{"a part that is there", ask("_HLS_msn=%d&_HLS_part=1", next), 200},
			{"the next part", ask("_HLS_msn=%d&_HLS_part=2", next), 0},
			{"a part up to the limit", ask("_HLS_msn=%d&_HLS_part=7", next), 0},
			{"a part past the limit", ask("_HLS_msn=%d&_HLS_part=8", next), 400},
			{"the segment that grows", ask("_HLS_msn=%d", next), 0},
			{"the last plus two", ask("_HLS_msn=%d", next+1), 0},
			{"its first part", ask("_HLS_msn=%d&_HLS_part=0", next+1), 0},
			{"its part past the limit", ask("_HLS_msn=%d&_HLS_part=7", next+1), 400},
			{"the last plus three", ask("_HLS_msn=%d", next+2), 400},
			{"another rendition", "/" + b.key.ID().String() + "/other/ll.m3u8", 404},
			{"another stream", "/nonsense/main/ll.m3u8", 404},
		} {
			ctx, cancel := context.WithCancel(t.Context())
			code := heldRequest(ctx, h, test.path)
			expect(t, test.name, code, test.code)
			cancel()
			synctest.Wait()
		}
		if n := s.counts.heldNow.Load(); n != 0 {
			t.Errorf("%d requests are held", n)
		}
	})
}

// TestLLBlocking holds requests until what they ask for is there.
func TestLLBlocking(t *testing.T) {
	runningLL(t, func(t *testing.T, b *broadcast, _ *Server, h http.Handler, shot *testShot, next uint64) {
		p := parsePlaylist(t, do(h, "GET", b.llPath("")).Body.String())
		session, _, _ := strings.Cut(p.hint, "-")
		hold := func(path string) func() int { return heldRequest(t.Context(), h, path) }
		part2 := hold(b.llPath(fmt.Sprintf("?_HLS_msn=%d&_HLS_part=2", next)))
		part3 := hold(b.llPath(fmt.Sprintf("?_HLS_msn=%d&_HLS_part=3", next)))
		past := hold(b.llPath(fmt.Sprintf("?_HLS_msn=%d&_HLS_part=4", next)))
		whole := hold(b.llPath(fmt.Sprintf("?_HLS_msn=%d", next)))
		delta := hold(b.llPath(fmt.Sprintf("?_HLS_msn=%d&_HLS_part=2&_HLS_skip=YES", next)))
		if want := partName(session, next, 2); p.hint != want {
			t.Fatalf("the hint is %s, want %s", p.hint, want)
		}
		hinted := hold(b.path(p.hint))
		segment := hold(b.path(llSegmentName(session, next)))
		ended := hold(b.path(partName(session, next, 4)))
		for what, code := range map[string]func() int{"part 2": part2, "part 3": part3, "part 4": past, "segment": whole, "delta": delta, "hinted part": hinted, "segment's bytes": segment, "a part that will not be": ended} {
			expect(t, what+" before it is there", code, 0)
		}
		for _, c := range shot.chunks[2][1:] { // but its first chunk
			b.store.Put(c)
		}
		if err := b.timeline.Add(shot.headers[2], time.Now()); err != nil {
			t.Fatal(err)
		}
		if len(shot.chunks[2]) > 1 {
			expect(t, "hinted part without all of its bytes", hinted, 0)
		}
		b.store.Put(shot.chunks[2][0])
		expect(t, "part 2", part2, 200)
		expect(t, "delta", delta, 200)
		expect(t, "hinted part", hinted, 200)
		expect(t, "part 3 too early", part3, 0)
		expect(t, "whole too early", whole, 0)
		b.airPart(shot, 3)
		expect(t, "part 3", part3, 200)
		expect(t, "segment", whole, 200)
		expect(t, "segment's bytes", segment, 200)
		expect(t, "a part past the last before the next segment", past, 0)
		expect(t, "a part that is not", ended, 404)
		following := b.shoot(2*time.Second, false)
		b.airPart(following, 0)
		expect(t, "a part past the last", past, 200)

		// What does not come for three target durations is answered.
		timeout := hold(b.llPath(fmt.Sprintf("?_HLS_msn=%d&_HLS_part=1", next+1)))
		time.Sleep(holdTargets*2*time.Second - 1)
		expect(t, "a part within its bound", timeout, 0)
		time.Sleep(time.Nanosecond)
		expect(t, "a part past its bound", timeout, 503)
		// The end answers all.
		last := hold(b.llPath(fmt.Sprintf("?_HLS_msn=%d&_HLS_part=1", next+1)))
		for i := 1; i < 4; i++ {
			b.airPart(following, i)
		}
		expect(t, "the part that was late", last, 200)
		b.end()
		last = hold(b.llPath(fmt.Sprintf("?_HLS_msn=%d", next+2)))
		time.Sleep((endTargets-holdTargets)*2*time.Second + time.Millisecond)
		expect(t, "before the end", last, 0)
		time.Sleep(holdTargets * 2 * time.Second)
		expect(t, "past its bound", last, 503)
		expect(t, "the end", hold(b.llPath(fmt.Sprintf("?_HLS_msn=%d", next+3))), 200)
		expect(t, "a part after the end", hold(b.path(partName(session, next+2, 0))), 404)
	})
}

// TestLLFirst holds the first answer until there are segments enough.
func TestLLFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBroadcast(t, 0)
		b.film = newFilm(t)
		_, h, stop := serve(t, b)
		defer func() { stop(); synctest.Wait() }()
		first := heldRequest(t.Context(), h, b.llPath(""))
		multivariant := heldRequest(t.Context(), h, "/"+b.key.ID().String()+"/ll.m3u8")
		for range startSegments {
			expect(t, "too few segments", first, 0)
			time.Sleep(2 * time.Second)
			b.air(2 * time.Second)
		}
		expect(t, "enough segments", first, 200)
		expect(t, "multivariant", multivariant, 200)
	})
}

func TestLLHTTP(t *testing.T) {
	runningLL(t, func(t *testing.T, b *broadcast, s *Server, h http.Handler, shot *testShot, next uint64) {
		p := parsePlaylist(t, do(h, "GET", b.llPath("")).Body.String())
		part, segment, init := b.path(p.parts[next][1].uri), b.path(p.segments[2].uri), b.path(p.open.init)
		body := do(h, "GET", part).Body.String()
		immutable := []string{"Content-Type", "video/mp4", "Cache-Control", "public, max-age=31536000, immutable", "Accept-Ranges", "bytes", "Access-Control-Allow-Origin", "*"}
		session, _, _ := strings.Cut(p.hint, "-")
		for _, test := range []struct {
			name, method, path string
			send               []string
			code               int
			want               []string
			body               string
		}{
			{"playlist", "GET", b.llPath(""), nil, 200, []string{"Content-Type", "application/vnd.apple.mpegurl", "Cache-Control", "no-cache", "Access-Control-Allow-Origin", "*"}, ""},
			{"playlist, zipped", "GET", b.llPath(""), []string{"Accept-Encoding", "gzip"}, 200, []string{"Content-Encoding", "gzip"}, ""},
			{"multivariant", "GET", "/" + b.key.ID().String() + "/ll.m3u8", nil, 200, []string{"Content-Type", "application/vnd.apple.mpegurl"}, ""},
			{"preflight", "OPTIONS", b.llPath(""), nil, 204, []string{"Access-Control-Allow-Origin", "*"}, ""},
			{"part", "GET", part, nil, 200, immutable, body},
			{"part's head", "HEAD", part, nil, 200, []string{"Content-Length", fmt.Sprint(len(body))}, ""},
			{"range", "GET", part, []string{"Range", "bytes=3-9"}, 206, nil, body[3:10]},
			{"segment", "GET", segment, nil, 200, immutable, ""},
			{"init", "GET", init, nil, 200, immutable, ""},
			{"a bad request is not kept", "GET", b.llPath("?_HLS_part=1"), nil, 400, []string{"Cache-Control", "no-store", "Access-Control-Allow-Origin", "*"}, ""},
			{"old segment", "GET", b.path(llSegmentName(session, next-100)), nil, 404, nil, ""},
			{"far segment", "GET", b.path(llSegmentName(session, next+5)), nil, 404, nil, ""},
			{"another session", "GET", b.path(partName("00000000", next, 1)), nil, 404, nil, ""},
			{"another name for a part", "GET", b.path(fmt.Sprintf("%s-%d.01.m4s", session, next)), nil, 404, nil, ""},
			{"another init", "GET", b.path(session + "-9.mp4"), nil, 404, nil, ""},
		} {
			w := do(h, test.method, test.path, test.send...)
			if w.Code != test.code {
				t.Errorf("%s: %d, want %d", test.name, w.Code, test.code)
			}
			for i := 0; i+1 < len(test.want); i += 2 {
				if got := w.Header().Get(test.want[i]); got != test.want[i+1] {
					t.Errorf("%s: %s is %q, want %q", test.name, test.want[i], got, test.want[i+1])
				}
			}
			if got := w.Body.String(); test.body != "" && got != test.body {
				t.Errorf("%s: other body, of %d bytes", test.name, len(got))
			}
		}
		if text := do(h, "GET", "/"+b.key.ID().String()+"/ll.m3u8").Body.String(); !strings.Contains(text, "\nmain/ll.m3u8\n") {
			t.Errorf("the multivariant playlist is\n%s", text)
		}
	})
}

// TestLLReports checks that a playlist says how far others are that somebody plays.
func TestLLReports(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := filmed(t)
		small := b.another("small")
		b.store, small.store = newBroadcast(t, 0).store, nil
		small.store = b.store
		for range startSegments {
			b.air(2 * time.Second)
			small.air(2 * time.Second)
		}
		_, h, stop := serve(t, b)
		defer func() { stop(); synctest.Wait() }()
		synctest.Wait()
		get := func(of *broadcast) *parsed { return parsePlaylist(t, do(h, "GET", of.llPath("")).Body.String()) }
		if p := get(b); len(p.reports) != 0 {
			t.Errorf("reports %q of what nobody plays", p.reports)
		}
		other := get(small)
		n := other.sequence + uint64(len(other.segments))
		if p := get(b); len(p.reports) != 1 || p.reports[0] != fmt.Sprintf(`URI="../small/ll.m3u8",LAST-MSN=%d,LAST-PART=3`, n-1) {
			t.Errorf("reports %q, want segment %d", p.reports, n-1)
		}
		small.airPart(small.shoot(2*time.Second, false), 0)
		synctest.Wait()
		if p := get(b); len(p.reports) != 1 || p.reports[0] != fmt.Sprintf(`URI="../small/ll.m3u8",LAST-MSN=%d,LAST-PART=0`, n) {
			t.Errorf("reports %q, want part 0 of segment %d", p.reports, n)
		}
		if text := do(h, "GET", "/"+b.key.ID().String()+"/ll.m3u8").Body.String(); !strings.Contains(text, "main/ll.m3u8") || !strings.Contains(text, "small/ll.m3u8") {
			t.Errorf("the multivariant playlist is\n%s", text)
		}
	})
}

// TestTargetsAgree has one of two renditions know of a longer segment and longer parts, from
// before all that is listed.
func TestTargetsAgree(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := filmed(t)
		b.store = newBroadcast(t, 10_000_000).store
		small := b.another("small")
		text := b.another("text") // which is not cut into parts
		text.media = stream.Media{Kind: stream.KindSubtitles, Codecs: "wvtt"}
		text.announce(text.shootParts([]time.Duration{4 * time.Second}, false))
		long := b.shootParts([]time.Duration{time.Second, time.Second, time.Second, time.Second}, false)
		b.announce(long)
		b.deliver(long, -1)
		small.air(2 * time.Second)
		for range llWindow {
			b.air(2 * time.Second)
			small.air(2 * time.Second)
		}
		_, h, stop := serve(t, b)
		defer func() { stop(); synctest.Wait() }()
		synctest.Wait()
		part := partTargetOf(time.Second)
		for _, of := range []*broadcast{small, b} {
			p := parsePlaylist(t, do(h, "GET", of.llPath("")).Body.String())
			if p.target != 4 || p.partTarget != part || p.holdBack != llHoldParts*part {
				t.Errorf("%s, low latency: target %d, part target %v, hold-back %v", of.rendition, p.target, p.partTarget, p.holdBack)
			}
			if p := parsePlaylist(t, do(h, "GET", of.path("index.m3u8")).Body.String()); p.target != 4 {
				t.Errorf("%s: target %d", of.rendition, p.target)
			}
		}
	})
}

// TestLLMarksAgree has a rendition go on that was played over a mark, after another began
// that was not.
func TestLLMarksAgree(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := filmed(t)
		small := b.another("small")
		b.store = newBroadcast(t, 10_000_000).store
		small.store = b.store
		air := func(n int, discontinuity bool) {
			for range n {
				for _, of := range []*broadcast{b, small} {
					s := of.shoot(2*time.Second, discontinuity)
					of.announce(s)
					of.deliver(s, -1)
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
			}
		}
		air(startSegments, false)
		_, h, stop := serve(t, b)
		defer func() { stop(); synctest.Wait() }()
		synctest.Wait()
		get := func(of *broadcast) *parsed { return parsePlaylist(t, do(h, "GET", of.llPath("")).Body.String()) }
		get(b)
		air(1, true)
		air(int(llIdle/time.Second), false)
		if first, second := get(small), get(b); first.discontinuity != 1 || second.discontinuity != 1 {
			t.Errorf("%d and %d marks are before the same segment, want 1", first.discontinuity, second.discontinuity)
		}
	})
}

func FuzzParseLLName(f *testing.F) {
	for _, s := range []string{"x-1.m4s", "x-1.0.m4s", "x-1.-1.m4s", "x-01.m4s", "x-1.m4s.m4s", "x-.m4s", "x-1", "y-1.m4s", "x-18446744073709551616.m4s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		at, ok := parseLLName(name, "x")
		if ok && partName("x", at.sequence, at.part) != name && llSegmentName("x", at.sequence) != name {
			t.Errorf("%q is read as %v", name, at)
		}
	})
}

func FuzzParseDirectives(f *testing.F) {
	f.Add("_HLS_msn=1&_HLS_part=2&_HLS_skip=YES")
	f.Add("_HLS_part=2")
	f.Fuzz(func(t *testing.T, query string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		if d, ok := parseDirectives(q); ok && (d.at.part >= 0 && !d.block || d.at.part < -1) {
			t.Errorf("%q is read as %+v", query, d)
		}
	})
}
