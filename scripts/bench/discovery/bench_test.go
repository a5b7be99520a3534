package main

import (
	"testing"
	"time"
)

func TestPercentilesAreNearestRanks(t *testing.T) {
	var took []time.Duration
	for i := range 20 {
		took = append(took, time.Duration(20-i)*time.Second)
	}
	if got, want := newTimes(took), (times{20, 10, 19, 20}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got, want := newTimes(took[:1]), (times{1, 1, 1, 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
