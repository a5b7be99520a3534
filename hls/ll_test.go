package hls

import (
	"testing"
	"testing/synctest"
	"time"
)

// filmed is a broadcast whose parts are real MPEG-TS, with three segments on air.
func filmed(t testing.TB) *broadcast {
	b := newBroadcast(t, 120_000)
	b.film = newFilm(t)
	for range startSegments {
		b.air(2 * time.Second)
	}
	return b
}

// TestLLPause checks that nothing is kept for nobody, and that numbers go on.
func TestLLPause(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := filmed(t)
		s, handler, cancel := serve(t, b)
		defer func() { cancel(); synctest.Wait() }()
		synctest.Wait()
		follower := s.streams[b.key.ID()].renditions[0].ll
		idle := func() bool {
			return !follower.current().playable() && len(follower.pending) == 0 && follower.open == nil && follower.window.entries == nil
		}
		if !idle() {
			t.Fatal("a playlist is made, and nobody asked")
		}
		p := newPlayer(b, handler, "ll.m3u8")
		before := p.reload()
		for range int(llIdle / time.Second) {
			time.Sleep(2 * time.Second)
			b.air(2 * time.Second)
		}
		synctest.Wait()
		if !idle() {
			t.Fatal("a playlist is kept, and nobody asks")
		}
		if w := do(handler, "GET", b.path(before.segments[0].uri)); w.Code != 404 {
			t.Errorf("a name of a playlist that was let go answers %d", w.Code)
		}
		// Rules 2 and 3 say the rest.
		p.leave()
		p.reload()
	})
}
