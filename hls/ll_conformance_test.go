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

// TestLLConformance follows a stream through everything that may befall it.
func TestLLConformance(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := filmed(t)
		_, handler, cancel := serve(t, b)
		defer func() { cancel(); synctest.Wait() }()
		synctest.Wait()
		in := newLLInspector(b, handler)
		fault := func(f func()) {
			in.lateCheck = false
			f()
			in.lateCheck = true
			in.calm()
			in.ll.newestAt = time.Time{}
			in.airLL(12)
		}
		marks := func(want int, after string) {
			t.Helper()
			if in.marks != want {
				t.Fatalf("%d marks after %s, want %d", in.marks, after, want)
			}
		}
		in.reload()
		in.ll.newestAt = time.Time{}
		in.airLL(15)
		if in.ll.gap != 500*time.Millisecond || in.marks != 0 || in.ll.deltas == 0 {
			t.Fatalf("undisturbed, a part came after %v, with %d marks and %d deltas", in.ll.gap, in.marks, in.ll.deltas)
		}

		// A part comes 1.5 s late: nothing is listed meanwhile, nothing is marked.
		late := b.shoot(2*time.Second, false)
		fault(func() {
			in.airShot(late, 1)
			n := len(in.ll.data)
			next := b.shoot(2*time.Second, false)
			b.airPart(next, 0)
			in.watch(time.Second)
			if len(in.ll.data) != n {
				t.Fatal("a part was listed before the one that is late")
			}
			b.airPart(late, 1)
			synctest.Wait()
			in.reload()
			if len(in.ll.data) != n+4 {
				t.Fatalf("%d parts were listed once the late one came, want 4", len(in.ll.data)-n)
			}
			for i := 1; i < 4; i++ {
				b.airPart(next, i)
			}
			synctest.Wait()
			in.reload()
		})
		marks(0, "a late part")

		// A part never comes: its segment ends before it.
		fault(func() {
			in.airShot(b.shoot(2*time.Second, false), 2)
			in.airLL(4)
		})
		marks(1, "a lost part")

		// The first never comes: the segment is left out.
		fault(func() {
			in.airShot(b.shoot(2*time.Second, false), 0)
			in.airLL(4)
		})
		marks(2, "a lost segment")

		// Nothing comes for a while.
		fault(func() {
			for range 3 {
				b.shoot(2*time.Second, false)
			}
			in.watch(6 * time.Second)
			in.airLL(4)
		})
		marks(3, "a long hole")

		// The encoder starts anew, with pictures of another size.
		inits := len(in.ll.inits)
		b.film.sps = largeSPS
		in.airShot(b.shoot(2*time.Second, true))
		in.airLL(12)
		marks(4, "a discontinuity")
		if len(in.ll.inits) != inits+1 {
			t.Fatalf("%d inits more after another size, want 1", len(in.ll.inits)-inits)
		}

		// The size changes, and the broadcaster says nothing.
		b.film.sps = smallSPS
		in.airLL(12)
		marks(5, "another size")

		// Segments of other lengths: of the parts, a target is passed.
		fault(func() { in.airShot(b.shoot(5*time.Second, false)) })
		if in.raises != 1 || in.last.target != 5 || in.last.partTarget < 1250*time.Millisecond {
			t.Fatalf("the target duration is %d, the part target %v", in.last.target, in.last.partTarget)
		}
		marks(5, "a long segment")

		// The broadcaster is killed within a segment, and comes back after a while.
		fault(func() {
			cut := b.shoot(2*time.Second, false)
			b.airPart(cut, 0)
			b.airPart(cut, 1)
			in.watch(25 * time.Second)
			b.restart()
			b.film.dts = 10 * 90000
			n := len(in.ll.data)
			first := b.shoot(2*time.Second, false)
			in.airShot(first, 3)
			if len(in.ll.data) != n {
				t.Fatal("players that ran dry got less than a segment")
			}
			b.airPart(first, 3)
			in.airLL(2)
		})
		marks(6, "a broadcaster was killed")
		if in.endings != 0 {
			t.Fatal("the playlist ended when the broadcaster was killed")
		}

		// Parts that are not MPEG-TS: they are left out, what follows is not harmed.
		fault(func() {
			keep := b.film
			b.film = nil
			bad := b.shoot(2*time.Second, false)
			b.film = keep
			in.airShot(bad)
			in.airLL(4)
		})
		marks(7, "parts that cannot be remuxed")

		// It ends, and comes back.
		b.end()
		in.lateCheck = false
		in.watch(endTargets * 5 * time.Second)
		if !in.last.ended || in.endings != 1 {
			t.Fatal("rule 9: no end")
		}
		b.restart()
		fault(func() { in.airLL(4) })
		marks(8, "the comeback")
		if in.last.ended {
			t.Fatal("still ended")
		}
		if in.reloads < 400 {
			t.Fatalf("only %d reloads", in.reloads)
		}
	})
}

// TestLLPause checks that nothing is kept for nobody, and that numbers go on.
func TestLLPause(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := filmed(t)
		s, handler, cancel := serve(t, b)
		defer func() { cancel(); synctest.Wait() }()
		synctest.Wait()
		follower := s.streams[b.key.ID()].renditions[0].ll
		if follower.current().playable() || len(follower.pending) > 0 {
			t.Fatal("a playlist is made, and nobody asked")
		}
		in := newLLInspector(b, handler)
		in.reload()
		in.airLL(3)
		before := in.last
		for range 2 * int(llIdle/time.Second) / 4 {
			time.Sleep(2 * time.Second)
			b.air(2 * time.Second)
		}
		synctest.Wait()
		if follower.current().playable() || len(follower.pending) > 0 || follower.open != nil || follower.window.entries != nil {
			t.Fatal("a playlist is kept, and nobody asks")
		}
		if w := do(handler, "GET", b.path(before.segments[0].uri)); w.Code != 404 {
			t.Errorf("a name of a playlist that was let go answers %d", w.Code)
		}
		again := newLLInspector(b, handler)
		again.reload()
		if newest := before.sequence + uint64(len(before.segments)); again.last.sequence <= newest {
			t.Errorf("media sequence %d after a pause, %d was seen before", again.last.sequence, newest)
		}
		again.airLL(3)
		for uri := range again.ll.data {
			if in.ll.data[uri] != nil {
				t.Errorf("the name %s is used again", uri)
			}
		}
	})
}
