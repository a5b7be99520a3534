package hls

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/webvtt"
)

// subtitled runs f with a server of a node whose second rendition is subtitles, with five
// segments on air.
func subtitled(t *testing.T, f func(t *testing.T, p *picky, h http.Handler)) {
	bubble(t, func(t *testing.T) {
		p := newPicky(t)
		p.high.film = newFilm(t)
		p.low.media = stream.Media{Kind: stream.KindSubtitles, Codecs: "wvtt", Language: "en", Name: "English", Default: true}
		_, h, stop := serve(t, p)
		for range 5 {
			p.air(false)
		}
		f(t, p, h)
		stop()
		synctest.Wait()
	})
}

// lastLine returns the name of the last segment of a playlist.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

func TestSubtitlesAreServed(t *testing.T) {
	subtitled(t, func(t *testing.T, p *picky, h http.Handler) {
		list := do(h, "GET", p.high.multivariantPath()).Body.String()
		want := `#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="text",NAME="English",DEFAULT=YES,AUTOSELECT=YES,LANGUAGE="en",URI="low/index.m3u8"`
		if !strings.Contains(list, want+"\n") || !strings.Contains(list, `SUBTITLES="text"`) || strings.Contains(list, "\nlow/") || strings.Contains(list, "AUDIO") {
			t.Errorf("multivariant playlist:\n%s", list)
		}
		for _, file := range []string{"index.m3u8", "dvr.m3u8"} {
			text := do(h, "GET", p.low.path(file)).Body.String()
			name := lastLine(text)
			w := do(h, "GET", p.low.path(name))
			if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/vtt; charset=utf-8" || !strings.HasPrefix(w.Body.String(), "WEBVTT\n") {
				t.Errorf("%s: %s is answered with %d, %v, %q", file, name, w.Code, w.Header(), w.Body)
			}
			if w := do(h, "GET", p.low.path(strings.TrimSuffix(name, "vtt")+"ts")); w.Code != http.StatusNotFound {
				t.Errorf("the segment has a second name: %d", w.Code)
			}
		}
		if w := do(h, "GET", p.high.path(textName(p.high.order[4].key))); w.Code != http.StatusNotFound {
			t.Errorf("pictures are text, too: %d", w.Code)
		}
	})
}

// With low latency, subtitles have the discontinuity sequence numbers of the pictures, and
// their times on fragmented MP4's time line.
func TestSubtitlesWithLowLatency(t *testing.T) {
	subtitled(t, func(t *testing.T, p *picky, h http.Handler) {
		code := heldRequest(t.Context(), h, p.low.path("ll.m3u8"))
		time.Sleep(time.Second)
		expect(t, "before anybody plays the pictures", code, 0)
		do(h, "GET", p.high.path("ll.m3u8"))
		expect(t, "the subtitles", code, http.StatusOK)
		// The broadcaster restarts: timestamps begin anew, decode times go on.
		for n := range 16 {
			if n == 6 {
				for _, b := range []*broadcast{p.high, p.low} {
					b.restart()
				}
				p.high.film = newFilm(t)
			}
			p.air(n%5 == 4)
			do(h, "GET", p.low.path("ll.m3u8"))
			pictures := marksOf(t, do(h, "GET", p.high.path("ll.m3u8")).Body.String())
			text := marksOf(t, do(h, "GET", p.low.path("ll.m3u8")).Body.String())
			wantSameMarks(t, text, pictures)
		}
		name := lastLine(do(h, "GET", p.low.path("ll.m3u8")).Body.String())
		k, ok := parseSegmentName(strings.TrimSuffix(name, llTextSuffix) + textSuffix)
		if !ok || k.epoch != p.low.epoch {
			t.Fatalf("the last segment is %q", name)
		}
		got := do(h, "GET", p.low.path(name)).Body.String()
		plain := do(h, "GET", p.low.path(textName(k))).Body.String()
		if want := string(webvtt.Shift([]byte(plain), offsetOf(t, h, p.high, k))); got != want || got == plain {
			t.Errorf("%s is\n%s\nwant\n%s", name, got, want)
		}
		for _, name := range []string{"9-9.ll.vtt", "x.ll.vtt"} {
			if w := do(h, "GET", p.low.path(name)); w.Code != http.StatusNotFound {
				t.Errorf("%s: %d", name, w.Code)
			}
		}
	})
}

// Players read a cue's time by the pictures of the same discontinuity sequence number: a hole
// that the subtitles alone have makes no discontinuity, one of the pictures alone does.
func TestSubtitlesHaveThePicturesMarks(t *testing.T) {
	subtitled(t, func(t *testing.T, p *picky, h http.Handler) {
		play := func(b *broadcast) string {
			do(h, "GET", p.low.path("ll.m3u8")) // so that they are carried
			return do(h, "GET", b.path("ll.m3u8")).Body.String()
		}
		play(p.high)
		missing := map[int]*broadcast{4: p.low, 9: p.high}
		seen := make(map[string]uint64)
		for n := range 16 {
			time.Sleep(2 * time.Second)
			for _, b := range []*broadcast{p.high, p.low} {
				p.mu.Lock() // Carry reads what was shot
				s := b.shoot(2*time.Second, n == 13)
				p.mu.Unlock()
				b.announce(s)
				if missing[n] != b {
					b.deliver(s, -1)
				}
			}
			synctest.Wait()
			text, pictures := marksOf(t, play(p.low)), marksOf(t, play(p.high))
			for at, mark := range text {
				if before, ok := seen[at]; ok && mark != before {
					t.Errorf("after %d segments, that of %s has discontinuity sequence number %d, and had %d", n, at, mark, before)
				}
				seen[at] = mark
				if want, ok := pictures[at]; ok && mark != want {
					t.Errorf("after %d segments, that of %s has discontinuity sequence number %d, the pictures %d", n, at, mark, want)
				}
			}
		}
		wantSameMarks(t, marksOf(t, play(p.low)), marksOf(t, play(p.high)))
		if marks := marksOf(t, play(p.high)); len(slices.Compact(slices.Sorted(maps.Values(marks)))) < 2 {
			t.Errorf("the pictures have no discontinuity: %v", marks)
		}
	})
}

// Who plays pictures a second behind has use for subtitles only if the playlist comes as soon
// as it has something new: hls.js loads none whose playlist ends before what it plays.
func TestSubtitlesBlock(t *testing.T) {
	subtitled(t, func(t *testing.T, p *picky, h http.Handler) {
		code := heldRequest(t.Context(), h, p.low.path("ll.m3u8"))
		do(h, "GET", p.high.path("ll.m3u8"))
		expect(t, "the subtitles", code, http.StatusOK)
		text := do(h, "GET", p.low.path("ll.m3u8")).Body.String()
		list, _ := readPlaylist(text)
		if !list.block {
			t.Fatalf("the playlist cannot be waited for:\n%s", text)
		}
		next := list.next()
		ask := func(n uint64) func() int {
			return heldRequest(t.Context(), h, p.low.path(fmt.Sprintf("ll.m3u8?_HLS_msn=%d", n)))
		}
		expect(t, "what is there", ask(next-1), http.StatusOK)
		expect(t, "more than two ahead", ask(next+2), http.StatusBadRequest)
		held, later := ask(next), ask(next+1)
		time.Sleep(time.Second)
		expect(t, "before it is there", held, 0)
		p.air(false)
		expect(t, "the next", held, http.StatusOK)
		expect(t, "the one after", later, 0)
		time.Sleep(holdTargets * 2 * time.Second)
		synctest.Wait()
		expect(t, "what does not come", later, http.StatusServiceUnavailable)
	})
}

// marksOf returns each listed segment's discontinuity sequence number, by its program time.
func marksOf(t *testing.T, text string) map[string]uint64 {
	t.Helper()
	list, flaws := readPlaylist(text)
	if len(flaws) > 0 {
		t.Errorf("%v in\n%s", flaws, text)
	}
	out := make(map[string]uint64)
	n := list.discontinuity
	for _, s := range list.segments {
		if s.discontinuity {
			n++
		}
		out[s.programTime.String()] = n
	}
	return out
}

// offsetOf returns by how much the decode times of a segment's pictures differ from their
// timestamps.
func offsetOf(t *testing.T, h http.Handler, b *broadcast, k key) int64 {
	t.Helper()
	ts, err := readTS(do(h, "GET", b.path(segmentName(k))).Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	list, _ := readPlaylist(do(h, "GET", b.path("ll.m3u8")).Body.String())
	for _, s := range list.segments {
		r, err := readMP4(do(h, "GET", b.path(s.uri)).Body.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if r.segment == segmentName(k) {
			return r.start - ts.start
		}
	}
	t.Fatalf("segment %v is not listed", k)
	return 0
}
