//go:build linux

package main

import (
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// TestLossy has a stream of segments of two parts copied.
func TestLossy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := stream.NewKey()
		p, err := stream.NewPublisher(key, "main", 1)
		if err != nil {
			t.Fatal(err)
		}
		timeline, store := stream.NewTimeline(key.ID(), "main"), stream.NewStore(0)
		l := newLossy(nil, store, slog.New(slog.DiscardHandler))
		air := func() {
			for i := range 2 {
				h, chunks, err := p.Publish(stream.Part{StartsSegment: i == 0, EndsSegment: i == 1, Duration: time.Second, Data: make([]byte, 10_000)})
				if err != nil {
					t.Fatal(err)
				}
				if err := timeline.Add(h, time.Now()); err != nil {
					t.Fatal(err)
				}
				for _, c := range chunks {
					store.Put(c)
				}
				if err := l.copy(timeline); err != nil {
					t.Fatal(err)
				}
			}
		}
		// whole returns the segments that are whole in the copies, and how many are known.
		whole := func() (list []uint64, known int) {
			segments := l.copies["main"].Segments(stream.Position{})
			for _, s := range segments {
				if s.Complete && !slices.ContainsFunc(s.Headers, func(h *stream.SignedHeader) bool { return !l.to.Whole(h.ID()) }) {
					list = append(list, s.Number)
				}
			}
			return list, len(segments)
		}
		air()
		l.hole()
		air()
		air()
		if list, known := whole(); !slices.Equal(list, []uint64{0, 2}) || known != 3 {
			t.Errorf("after a hole %v are whole of %d, want 0 and 2 of 3", list, known)
		}
		l.late(10 * time.Second)
		air()
		if _, known := whole(); known != 3 {
			t.Errorf("%d segments are known while all is held back, want 3", known)
		}
		time.Sleep(10 * time.Second)
		air()
		if list, known := whole(); !slices.Equal(list, []uint64{0, 2, 3, 4}) || known != 5 {
			t.Errorf("then %v are whole of %d, want all but 1 of 5", list, known)
		}
	})
}
