//go:build linux

package main

import (
	"testing"
	"time"
)

func TestStamp(t *testing.T) {
	taken := time.Now()
	picture := make([]byte, pictureWidth*pictureHeight)
	drawStamp(picture, stampOf(taken))
	seen := seeStamp(func(x, y int) byte { return picture[y*pictureWidth+x] })
	age, ok := readStamp(seen, taken.Add(1234*time.Millisecond))
	if !ok || (age-1234*time.Millisecond).Abs() > time.Millisecond {
		t.Errorf("the picture is %v old, %t; want 1.234 s", age, ok)
	}
	for _, stamp := range []uint64{0, 1<<40 - 1, seen ^ 1, seen ^ 1<<20, stampOf(taken.Add(time.Minute))} {
		if age, ok := readStamp(stamp, taken); ok {
			t.Errorf("%x is taken for a picture that is %v old", stamp, age)
		}
	}
}
