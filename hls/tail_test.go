package hls

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// listing is a TailSink that writes down what it gets.
type listing struct {
	t        *testing.T
	b        *broadcast
	mu       sync.Mutex // guards all following
	notes    []string
	segments []Segment
}

func (l *listing) note(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notes = append(l.notes, text)
}

func (l *listing) Segment(s Segment) {
	name := fmt.Sprintf("%d-%d", s.Epoch, s.Number)
	if s.Discontinuity {
		name = "|" + name
	}
	l.note(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.segments = append(l.segments, s)
}

func (l *listing) LeftOut(n uint64) { l.note(fmt.Sprintf("lost %d", n)) }
func (l *listing) Ended()           { l.note("end") }

// expect compares what came since it was asked last, once all is quiet.
func (l *listing) expect(want ...string) {
	l.t.Helper()
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Equal(l.notes, want) {
		l.t.Errorf("the tail gave %q, want %q", l.notes, want)
	}
	l.notes = nil
}

// tail runs a tail until the test stops it.
func tail(t *testing.T, b *broadcast, change func(*TailConfig)) (l *listing, stop func()) {
	l = &listing{t: t, b: b}
	cfg := TailConfig{Timeline: b.timeline, Store: b.store, Sink: l, Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&cfg)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { NewTail(cfg).Run(ctx) })
	stop = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(stop)
	return l, stop
}

func TestTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroadcast(t, 1<<30)
		l, stop := tail(t, b, nil)
		l.expect()
		b.air(2 * time.Second)
		l.expect("1-0") // nobody has to wait for three
		b.air(2 * time.Second)
		b.air(2 * time.Second)
		l.expect("1-1", "1-2")

		late := b.shoot(2*time.Second, false)
		b.announce(late)
		b.deliver(late, 2)
		b.air(2 * time.Second)
		time.Sleep(tailPatience*2*time.Second - time.Millisecond)
		l.expect() // a playlist would have left it out by now
		b.deliver(late, -1)
		l.expect("1-3", "1-4")

		hole := b.shoot(2*time.Second, false)
		b.announce(hole)
		b.deliver(hole, 2)
		b.air(2 * time.Second)
		time.Sleep(tailPatience * 2 * time.Second)
		l.expect("lost 1", "|1-6")

		b.end()
		time.Sleep(time.Minute)
		l.expect("end")
		b.restart()
		b.air(2 * time.Second)
		l.expect("|2-0") // no reserve for players that ran dry
		marked := b.shoot(2*time.Second, true)
		b.announce(marked)
		b.deliver(marked, -1)
		l.expect("|2-1")
		stop()
		l.expect()

		for _, s := range l.segments {
			shot := b.sent[s.Name]
			if !bytes.Equal(s.Bytes(), shot.data) || s.Size() != int64(len(shot.data)) || s.Duration != shot.duration ||
				!s.ProgramTime.Equal(shot.programTime) || s.Target != 2 || s.Media.Width != 1280 {
				t.Errorf("segment %s differs from what was published", s.Name)
			}
		}
	})
}

// TestTailStops checks that a tail that stops leaves nothing behind that is whole, however
// many holes it waits for.
func TestTailStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroadcast(t, 1<<30)
		l, stop := tail(t, b, nil)
		b.air(2 * time.Second)
		l.expect("1-0")
		for range 2 {
			hole := b.shoot(2*time.Second, false)
			b.announce(hole)
			b.air(2 * time.Second)
		}
		growing := b.shoot(2*time.Second, false)
		b.airPart(growing, 0)
		l.expect()
		stop()
		l.expect("lost 1", "|1-2", "lost 1", "|1-4")
	})
}

func TestTailResumes(t *testing.T) {
	for _, test := range []struct {
		name  string
		after SegmentID
		want  []string
	}{
		{"without a gap", SegmentID{2, 0}, []string{"2-1", "2-2"}},
		{"with what is known", SegmentID{2, 2}, nil},
		{"with an epoch before", SegmentID{1, 7}, []string{"|2-0", "2-1", "2-2"}},
		{"with an epoch that went back", SegmentID{9, 7}, []string{"|2-0", "2-1", "2-2"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroadcast(t, 1<<30)
				b.restart()
				for range 3 {
					b.air(2 * time.Second)
				}
				l, _ := tail(t, b, func(cfg *TailConfig) { cfg.Resume, cfg.After, cfg.Target = true, test.after, 2 })
				time.Sleep(tailPatience * 2 * time.Second)
				l.expect(test.want...)
			})
		})
	}
}

// TestTailKeeps checks that a segment keeps its bytes although the store lets them go.
func TestTailKeeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroadcast(t, 60_000) // one segment
		l, _ := tail(t, b, nil)
		for range 5 {
			b.air(2 * time.Second)
			synctest.Wait()
		}
		l.expect("1-0", "1-1", "1-2", "1-3", "1-4")
		first := b.order[0]
		if b.store.Whole(first.headers[0].ID()) {
			t.Fatal("the store holds everything; the test shows nothing")
		}
		if !bytes.Equal(l.segments[0].Bytes(), first.data) {
			t.Error("the first segment's bytes changed")
		}
	})
}

func TestMediaPlaylistKinds(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 6e6, time.UTC)
	m := MediaPlaylist{Type: TypeVOD, Target: 2, Sequence: 7, Discontinuity: 1, Ended: true, Segments: []PlaylistSegment{
		{"1-0.ts", 2 * time.Second, at, false}, {"2-0.ts", 1500 * time.Millisecond, at, true},
	}}
	got, err := m.Render()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"#EXT-X-PLAYLIST-TYPE:VOD\n", "#EXT-X-MEDIA-SEQUENCE:7\n", "#EXT-X-DISCONTINUITY-SEQUENCE:1\n", "#EXT-X-TARGETDURATION:2\n",
		"#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2030-01-02T03:04:05.006Z\n#EXTINF:1.500,\n2-0.ts\n", "#EXT-X-ENDLIST",
	} {
		if bytes.Count(got, []byte(want)) != 1 {
			t.Errorf("%q is not there once:\n%s", want, got)
		}
	}
	if bytes.Contains(got, []byte("ALLOW-CACHE")) {
		t.Errorf("a tag that RFC 8216 has not:\n%s", got)
	}
}
