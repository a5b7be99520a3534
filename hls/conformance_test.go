package hls

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// bubble runs f in virtual time. Bubbles begin in 2000, before there were media
// sequence numbers.
func bubble(t *testing.T, f func(t *testing.T)) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)))
		f(t)
	})
}

// serve runs a server for a node and returns its handler.
func serve(t testing.TB, n Node) (*Server, http.Handler, context.CancelFunc) {
	s, err := NewServer(Config{Node: n})
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
		in.watch(time.Second)
		time.Sleep(time.Second)
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
		if len(p.segments) != windowFor(2) {
			t.Errorf("%d segments listed at once, want %d", len(p.segments), windowFor(2))
		}
		cancel()
		synctest.Wait()
	})
}
