package p2p

import (
	"testing"
	"time"
)

// Who comes and goes again and again neither puts requests for introductions off nor makes more of them
// than there are at first.
func TestIntroductionsAreHastenedAndNeverPutOff(t *testing.T) {
	s := incomplete(t, "main")
	defer s.wg.Wait()
	defer s.cancel()
	x, now := &s.repair.introductions, time.Now()
	for _, c := range []struct{ due, least, most time.Duration }{
		{time.Second, time.Second, time.Second},
		{introduceRarest, introduceFirst / 2, introduceFirst * 3 / 2},
	} {
		x.interval, x.next = introduceRarest, now.Add(c.due)
		for range 3 {
			s.repair.source("main").holds = true
			s.repair.onSubscriber("main", false, now)
		}
		if in := x.next.Sub(now); in < c.least || in > c.most {
			t.Errorf("due in %v, and in %v after holders were lost; want %v to %v", c.due, in, c.least, c.most)
		}
	}
}
