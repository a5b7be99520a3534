package main

import (
	"testing"
	"time"
)

func TestParseMoment(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0":            0,
		"90":           90 * time.Second,
		"7.25":         7250 * time.Millisecond,
		"90s":          90 * time.Second,
		"1h2m3.5s":     3723500 * time.Millisecond,
		"10:00":        10 * time.Minute,
		"00:10:00":     10 * time.Minute,
		"1:02:03.5":    3723500 * time.Millisecond,
		"100:00:00":    100 * time.Hour,
		"00:00:00.001": time.Millisecond,
	} {
		if m, ok := parseMoment(text); !ok || !m.Set || m.Offset != want || !m.Clock.IsZero() {
			t.Errorf("%q is read as %+v, %t; want %v", text, m, ok, want)
		}
	}
	clock := time.Date(2030, 1, 31, 19, 15, 0, 5e8, time.UTC)
	if m, ok := parseMoment("2030-01-31T20:15:00.5+01:00"); !ok || !m.Set || !m.Clock.Equal(clock) {
		t.Errorf("a date is read as %+v, %t", m, ok)
	}
	for _, text := range []string{"", "-5", "-5s", "tomorrow", "1:60", "1:60:00", "1:2:3:4", "1.5:00", ":", "1:", "NaN", "Inf", "1e9", "0x10", "99999h", "99999:00:00", "2030-01-31"} {
		if m, ok := parseMoment(text); ok {
			t.Errorf("%q is read as %+v", text, m)
		}
	}
}
