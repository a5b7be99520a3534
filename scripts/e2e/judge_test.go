//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// seenWith returns what is seen of a player that shows 25 pictures a second, but for the
// pauses given as from and to in seconds.
func seenWith(start time.Time, seconds float64, pauses ...[2]float64) (seen []sighting) {
	frames := 0.0
	for at := 0.0; at <= seconds; at += lookEvery.Seconds() {
		paused := false
		for _, p := range pauses {
			paused = paused || at > p[0] && at <= p[1]
		}
		if !paused {
			frames += frameRate * lookEvery.Seconds()
		}
		seen = append(seen, sighting{start.Add(time.Duration(at * float64(time.Second))), int(frames)})
	}
	return seen
}

func TestJudge(t *testing.T) {
	start := time.Now()
	at := func(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }
	for _, test := range []struct {
		name   string
		pauses [][2]float64
		want   string
	}{
		{"nothing happens", nil, "ok"},
		{"a stall that ends", [][2]float64{{15, 19}}, "ok 4.2 s"},
		{"it stops at once", [][2]float64{{10, 100}}, "FAILED"},
		{"it stops later", [][2]float64{{25, 100}}, "FAILED"},
		{"it stalls again and again", [][2]float64{{31, 33}, {35, 37}}, "FAILED"},
		{"it drops a third", [][2]float64{{30, 30.5}, {31, 31.5}, {32, 32.5}, {33, 33.5}, {34, 34.5}, {35, 35.5}, {36, 36.5}, {37, 37.5}}, "FAILED"},
		{"its pictures always come in bursts", [][2]float64{{1, 2.5}, {5, 6.5}, {11, 12.5}, {31, 32.5}}, "ok"},
	} {
		v := judge(seenWith(start, 40, test.pauses...), at(0), at(10), at(40))
		if got := v.short(); got != test.want {
			t.Errorf("%s: %s (%s), want %s", test.name, got, v, test.want)
		}
	}
}

// TestJudgeTakesBursts has a player show two seconds at once, the last of them soon.
func TestJudgeTakesBursts(t *testing.T) {
	start := time.Now()
	var seen []sighting
	for at := time.Duration(0); at <= 40*time.Second; at += lookEvery {
		seen = append(seen, sighting{start.Add(at), 49 * int((at+1900*time.Millisecond)/(2*time.Second))})
	}
	if v := judge(seen, start, start.Add(10*time.Second), start.Add(40*time.Second)); v.short() != "ok" {
		t.Errorf("it %s", v)
	}
}

func TestCountGoesOnWhereAFigureBeginsAnew(t *testing.T) {
	shown := newTally(`^frame=(\d+)`)
	count(strings.NewReader("frame=3\nspeed=1\nframe=8\nframe=2\nframe=5\n"), shown)
	if n := shown.sum.Load(); n != 13 {
		t.Errorf("%d pictures, want 13", n)
	}
}

func TestWhoCannotPlayMustBeSilent(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	for _, test := range []struct {
		shown int
		says  string
		want  string
	}{
		{0, "12:00 fatal manifestIncompatibleCodecsError no level\n12:01 error aborted", "no HEVC"},
		{0, "", "FAILED"},
		{0, "12:01 error aborted", "FAILED"},
		{3, "12:00 fatal manifestIncompatibleCodecsError no level", "FAILED"},
	} {
		if err := os.WriteFile(log, []byte(test.says), 0o600); err != nil {
			t.Fatal(err)
		}
		p := &player{process: &process{log: log, done: make(chan struct{})}, cannot: "no HEVC", seen: []sighting{{time.Now(), test.shown}}}
		if v := p.judged(pictures{rate: frameRate}, time.Now(), time.Now()); v.short() != test.want {
			t.Errorf("%d pictures, says %q: %s, want %s", test.shown, test.says, v, test.want)
		}
	}
}

func TestSoundIsHeardWhereItCanBe(t *testing.T) {
	start := time.Now()
	for _, test := range []struct {
		bytes int64
		mute  string
		want  string
	}{
		{1, "", "ok"},
		{0, "", "FAILED"},
		{0, "no Opus", "ok, no sound"},
		{1, "no Opus", "FAILED"},
	} {
		var heard atomic.Int64
		heard.Store(test.bytes)
		p := &player{process: &process{done: make(chan struct{})}, heard: &heard, mute: test.mute, seen: seenWith(start, 20)}
		if v := p.judged(pictures{rate: frameRate}, start, start.Add(20*time.Second)); v.short() != test.want {
			t.Errorf("%d bytes of sound, %q: %s, want %s", test.bytes, test.mute, v, test.want)
		}
	}
}
