package p2p

import (
	"testing"
	"time"
)

func TestRecentIsTheMeanOfTheLastWholeSeconds(t *testing.T) {
	var r recent
	start := time.Unix(1_000_000, 0)
	for i := range 20 { // two parts a second
		r.add(1000, start.Add(time.Duration(i)*500*time.Millisecond))
	}
	for after, want := range map[time.Duration]float64{
		9900 * time.Millisecond:  16_000, // the second under way is left out
		10100 * time.Millisecond: 16_000,
		12 * time.Second:         8_000,
		14 * time.Second:         0,
		time.Hour:                0,
	} {
		if got := r.rate(start.Add(after)); got != want {
			t.Errorf("after %v the rate is %v, want %v", after, got, want)
		}
	}
}
