package hls

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// overflow publishes headers, but no chunks, until the timeline lets go of one.
func (b *broadcast) overflow(gone *stream.SignedHeader) {
	b.t.Helper()
	for n := 0; b.timeline.Header(gone.Position) != nil; n++ {
		part := n % stream.MaxPartsPerSegment
		h, _, err := b.publisher.Publish(stream.Part{
			StartsSegment: part == 0,
			EndsSegment:   part == stream.MaxPartsPerSegment-1,
			Independent:   part == 0,
			ProgramTime:   b.clock,
			Media:         b.media,
			Data:          []byte{0x47},
		})
		if err != nil {
			b.t.Fatal(err)
		}
		if err := b.timeline.Add(h, time.Now()); err != nil {
			b.t.Fatal(err)
		}
	}
}

// TestSegmentOutlivesItsHeaders checks that a segment which is whole and waits behind a
// hole is listed although the timeline let go of its first header meanwhile.
func TestSegmentOutlivesItsHeaders(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBroadcast(t, 0)
		_, h, stop := serve(t, b)
		l, stopTail := tail(t, b, nil)
		for range 3 {
			b.air(2 * time.Second)
		}
		code := heldRequest(t.Context(), h, b.path("index.m3u8"))
		synctest.Wait()
		expect(t, "the playlist", code, http.StatusOK)
		l.expect("1-0", "1-1", "1-2")

		b.announce(b.shoot(2*time.Second, false)) // and no chunk
		whole := b.air(2 * time.Second)
		synctest.Wait()
		b.overflow(whole.headers[0])
		if b.timeline.Header(whole.headers[1].Position) == nil {
			t.Fatal("the timeline let go of more than the segment's first header")
		}
		time.Sleep(time.Minute)
		l.expect("lost 1", "|1-4")
		stopTail()
		stop()
		synctest.Wait()
	})
}
