package ingest

import (
	"testing"
	"time"
)

// ntpAt is a time in the format of sender reports.
func ntpAt(d time.Duration) uint64 {
	const since1900 = 3_900_000_000
	return (since1900+uint64(d/time.Second))<<32 | uint64(d%time.Second)<<32/uint64(time.Second)
}

// Sound is placed by its arrival until reports tell better, and then within the rounding
// of ticks, however the two clocks wrap.
func TestRTPClock(t *testing.T) {
	tests := map[string]struct {
		late  time.Duration // of the sound's arrival
		moved int64
	}{
		"at once":        {0, 0},
		"not noticed":    {10 * time.Millisecond, 0},
		"late":           {100 * time.Millisecond, -9000},
		"early":          {-200 * time.Millisecond, 18000},
		"another clock":  {10 * time.Second, 0},
		"slow to arrive": {4 * time.Second, -4 * second},
	}
	for name, tt := range tests {
		video, audio := rtpClock{rate: 90000}, rtpClock{rate: 48000}
		start := time.Unix(1_700_000_000, 0)
		const videoZero, audioZero = 1<<32 - 1000, 1<<32 - 500
		v := video.packet(videoZero, start, false)
		a := audio.packet(audioZero, start.Add(tt.late), false)
		if d := audio.shared(a) - video.shared(v); d != ticks(tt.late) {
			t.Errorf("%s: sound is %d late by its arrival", name, d)
		}
		// Both began at 0 s, and report of 1 s and 3 s.
		video.report(ntpAt(time.Second), uint32((videoZero+90000)&(1<<32-1)))
		if moved := audio.alignTo(&video, skewTolerance); moved != 0 {
			t.Errorf("%s: moved by %d without reports", name, moved)
		}
		audio.report(ntpAt(3*time.Second), uint32((audioZero+3*48000)&(1<<32-1)))
		moved := audio.alignTo(&video, skewTolerance)
		if d := moved - tt.moved; d < -1 || d > 1 {
			t.Errorf("%s: moved by %d, want %d", name, moved, tt.moved)
		}
		if again := audio.alignTo(&video, skewTolerance); again != 0 {
			t.Errorf("%s: moved again by %d", name, again)
		}
	}
}

// Timestamps wrap, and go back a little where packets are late.
func TestRTPClockUnwraps(t *testing.T) {
	c := rtpClock{rate: 90000}
	now := time.Unix(0, 0)
	for _, step := range []struct {
		ts   uint32
		want int64
	}{{1<<32 - 10, 1<<32 - 10}, {5, 1<<32 + 5}, {1<<32 - 1, 1<<32 - 1}, {1 << 30, 1<<32 + 1<<30}} {
		if got := c.packet(step.ts, now, true); got != step.want {
			t.Errorf("%d is %d, want %d", step.ts, got, step.want)
		}
	}
	c.report(0, 7) // of a sender without a clock
	if c.reported {
		t.Error("a report without a time is taken")
	}
}

// The fastest packet says when a track began, until it is settled.
func TestRTPClockSettles(t *testing.T) {
	c := rtpClock{rate: 90000}
	start := time.Unix(1_700_000_000, 0)
	at := func(d time.Duration) int64 { return ticks(time.Duration(start.Add(d).UnixMicro()) * time.Microsecond) }
	first := c.packet(1000, start.Add(300*time.Millisecond), false)
	c.packet(1000+3600, start.Add(60*time.Millisecond), false)
	c.packet(1000+7200, start.Add(200*time.Millisecond), false)
	c.packet(1000+10800, start.Add(10*time.Millisecond), true)
	if got, want := c.shared(first), at(20*time.Millisecond); got != want {
		t.Errorf("the first packet is of %d, want %d", got, want)
	}
}
