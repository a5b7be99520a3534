package origin

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLive()
		c, o, err := follow(t, l, 21*time.Second, nil)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		// Ten segments are there at first: three target durations before the end are
		// published at once.
		if got, want := c.numbers(t, ""), "7 8 9 10 11 12 13 14 15 16 17 18 19"; got != want {
			t.Errorf("published %s, want %s", got, want)
		}
		for i, g := range c.segments {
			if g.length != segmentLength || g.parts != 4 || g.media.Width != 640 {
				t.Errorf("segment %d lasts %v, %d parts, %+v", i, g.length, g.parts, g.media)
			}
			if want := l.began.Add(time.Duration(7+i) * segmentLength); !g.began.Equal(want) {
				t.Errorf("segment %d is of %v, want %v", i, g.began, want)
			}
		}
		if n := len(l.loads); n > 13 {
			t.Errorf("%d loads of the playlist in ten target durations", n)
		}
		if st := o.Stats(); st.Retries != 0 || st.LeftOut != 0 || st.Lost != 0 || st.Input.Segments != 13 {
			t.Errorf("figures %+v", st)
		}
	})
}
