//go:build linux

package main

import (
	"strings"
	"testing"
	"time"
)

func TestResultsAreMedians(t *testing.T) {
	var res result
	for _, mbs := range []float64{90, 10, 80} {
		res.Runs = append(res.Runs, run{
			Relay:    side{BytesPerCPUSecond: mbs * 1e6},
			Bare:     side{BytesPerCPUSecond: 100e6},
			BareCopy: side{BytesPerCPUSecond: 160e6},
			BareFast: side{BytesPerCPUSecond: 200e6},
			resident: 300e6,
			cache:    256e6,
		})
	}
	res.summarise()
	if res.Ratio != 0.8 || res.RatioCopy != 0.5 || res.RatioFast != 0.4 || res.BesideMB != 44 {
		t.Errorf("ratios %v, %v and %v, %v MB beside the cache; want 0.8, 0.5, 0.4 and 44", res.Ratio, res.RatioCopy, res.RatioFast, res.BesideMB)
	}
	var out strings.Builder
	res.print(&out)
	if want := "relay                        80.0"; !strings.Contains(out.String(), want) {
		t.Errorf("the table has no %q:\n%s", want, &out)
	}
}

func TestIntervalsBeginJustBeforeAPart(t *testing.T) {
	for _, ago := range []time.Duration{0, time.Second, 1234 * time.Millisecond, 1460 * time.Millisecond} {
		start := time.Now().Add(-ago)
		at := nextQuiet(start)
		if phase := at.Sub(start) % partDuration; phase != partDuration-quiet {
			t.Errorf("%v into a part, want %v", phase, partDuration-quiet)
		}
		if wait := time.Until(at); wait <= 0 || wait > partDuration+quiet {
			t.Errorf("in %v, want within a part", wait)
		}
	}
}
