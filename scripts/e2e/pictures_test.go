//go:build linux

package main

import (
	"testing"
	"time"
)

func TestPicturesThatVary(t *testing.T) {
	// 10 a second for 4 s, then 5 a second for 4 s, with a pause of 1 s.
	var times []int64
	for n := range int64(40) {
		times = append(times, n*second/10)
	}
	for n := range int64(20) {
		times = append(times, 5*second+n*second/5)
	}
	if got := fewest(times, 2*time.Second); got != 3 {
		t.Errorf("%v a second are fewest, want 3", got)
	}
	if got := longest(times); got != second+second/10 {
		t.Errorf("the longest step is %d, want 1.1 s", got)
	}
}
