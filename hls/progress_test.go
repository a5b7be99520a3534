package hls

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// leaving runs f with a server of a node that holds all of two renditions, the second of
// which is of a kind, with five segments on air.
func leaving(t *testing.T, kind stream.Kind, f func(t *testing.T, l *leaver, h http.Handler)) {
	bubble(t, func(t *testing.T) {
		stays := newBroadcast(t, 0)
		stays.film = newFilm(t)
		leaves := stays.another("leaves")
		if kind != stream.KindMain {
			leaves.media = stream.Media{Kind: kind, Codecs: "mp4a.40.2", Language: "de", Name: "Deutsch"}
		}
		l := &leaver{stays, leaves}
		_, h, stop := serve(t, stays)
		l.air(5, stays, leaves)
		f(t, l, h)
		stop()
		synctest.Wait()
	})
}

type leaver struct{ stays, leaves *broadcast }

// air has so many segments pass, of those that are there.
func (l *leaver) air(n int, there ...*broadcast) {
	for range n {
		time.Sleep(2 * time.Second)
		for _, b := range []*broadcast{l.stays, l.leaves} {
			if !b.ended[b.epoch].IsZero() {
				continue
			}
			s := b.shoot(2*time.Second, false)
			if slices.Contains(there, b) {
				b.announce(s)
				b.deliver(s, -1)
			}
		}
	}
	time.Sleep(2 * rescanEvery)
	synctest.Wait()
}

// expect checks whether the second rendition is listed, and whether its playlists have ended.
func (l *leaver) expect(t *testing.T, h http.Handler, when string, listed, ended bool) {
	t.Helper()
	for _, file := range []string{"index.m3u8", "ll.m3u8"} {
		list := do(h, "GET", strings.TrimSuffix(l.stays.multivariantPath(), "index.m3u8")+file).Body.String()
		if got := strings.Contains(list, "leaves/"+file); got != listed {
			t.Errorf("%s, %s has it: %t, want %t:\n%s", when, file, got, listed, list)
		}
		if !strings.Contains(list, "\n"+testRendition+"/"+file) {
			t.Errorf("%s, %s lacks the other:\n%s", when, file, list)
		}
		text := do(h, "GET", l.leaves.path(file)).Body.String()
		if got := strings.Contains(text, "#EXT-X-ENDLIST"); got != ended {
			t.Errorf("%s, its %s has ended: %t, want %t:\n%s", when, file, got, ended, text)
		}
		if text := do(h, "GET", l.stays.path(file)).Body.String(); strings.Contains(text, "#EXT-X-ENDLIST") {
			t.Errorf("%s, the other's %s has ended:\n%s", when, file, text)
		}
	}
}

// A language that the encoder sends no more is listed no more, and its playlists end: players
// that show it with the pictures wait for more of it otherwise. It may come back.
func TestALanguageThatVanishes(t *testing.T) {
	leaving(t, stream.KindAudio, func(t *testing.T, l *leaver, h http.Handler) {
		l.expect(t, h, "while it is there", true, false)
		l.air(goneTargets-1, l.stays)
		l.expect(t, h, "while it may be late", true, false)
		l.air(2, l.stays)
		l.expect(t, h, "once it is gone", false, true)
		l.air(2, l.stays, l.leaves)
		l.expect(t, h, "when it is back", true, false)
	})
}

// A rendition's encoder may be awaited: players wait with it.
func TestARenditionThatVanishes(t *testing.T) {
	leaving(t, stream.KindMain, func(t *testing.T, l *leaver, h http.Handler) {
		l.air(goneTargets+1, l.stays)
		l.expect(t, h, "once it is gone", false, false)
		l.air(2, l.stays, l.leaves)
		l.expect(t, h, "when it is back", true, false)
	})
}

func TestARenditionThatEnds(t *testing.T) {
	leaving(t, stream.KindMain, func(t *testing.T, l *leaver, h http.Handler) {
		l.leaves.end()
		l.air(endedTargets, l.stays)
		l.expect(t, h, "at first, when the other may end too", true, false)
		l.air(1, l.stays)
		l.expect(t, h, "once the other goes on", false, true)
	})
}

// When all stop, as while an encoder is awaited, none is gone.
func TestAllThatStopStay(t *testing.T) {
	leaving(t, stream.KindAudio, func(t *testing.T, l *leaver, h http.Handler) {
		time.Sleep(2 * time.Minute)
		l.expect(t, h, "after two minutes of nothing", true, false)
		l.air(1, l.stays) // the other is about to come
		l.expect(t, h, "when pictures are back", true, false)
	})
}

// Who comes later learns it, too, if not at once: headers come in any order.
func TestAVanishedRenditionIsKnownLater(t *testing.T) {
	bubble(t, func(t *testing.T) {
		stays := newBroadcast(t, 0)
		leaves := stays.another("leaves")
		leaves.media = stream.Media{Kind: stream.KindAudio, Codecs: "mp4a.40.2", Language: "de", Name: "Deutsch"}
		stays.film = newFilm(t)
		l := &leaver{stays, leaves}
		l.air(5, stays, leaves)
		l.air(goneTargets+1, stays)
		_, h, stop := serve(t, stays)
		time.Sleep(settleFor + rescanEvery)
		synctest.Wait()
		l.air(1, stays)
		l.expect(t, h, "to who comes later", false, true)
		stop()
		synctest.Wait()
	})
}

// Nobody is kept waiting by those who play what has ended: the other rendition is carried.
func TestOthersAreCarriedWhenOneEnds(t *testing.T) {
	picking(t, func(t *testing.T, p *picky, h http.Handler) {
		do(h, "GET", p.low.path("index.m3u8"))
		p.air(false)
		p.low.end()
		for range 4 {
			time.Sleep(2 * time.Second)
			p.mu.Lock()
			s := p.high.shoot(2*time.Second, false)
			p.mu.Unlock()
			p.high.announce(s)
			p.high.deliver(s, -1)
			do(h, "GET", p.low.path("index.m3u8"))
		}
		time.Sleep(2 * rescanEvery)
		synctest.Wait()
		if list := do(h, "GET", p.high.multivariantPath()).Body.String(); !strings.Contains(list, "high/index.m3u8") || strings.Contains(list, "low/") {
			t.Errorf("the multivariant playlist is\n%s", list)
		}
	})
}
