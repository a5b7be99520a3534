package fmp4

import (
	"testing"
	"time"
)

// TestPlaced checks that a placed part begins where it is told, from zero on, and never
// before the frame before has ended.
func TestPlaced(t *testing.T) {
	const s = second
	for _, test := range []struct {
		name string
		clip clip
	}{
		{"video", clip{start: 500 * s, frames: 100, video: true}},
		{"B pictures and audio", clip{start: 500 * s, frames: 100, video: true, bframes: true, audio: aac(48000, 2)}},
		{"audio", clip{start: 500 * s, frames: 100, audio: aac(48000, 2)}},
		{"timestamps wrap", clip{start: wrap - 2*s, frames: 100, video: true, audio: aac(48000, 2)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var list []Part
			for _, at := range []time.Duration{0, 10 * time.Second, 3 * time.Second} {
				run := parts(t, test.clip)
				run[0].Discontinuity = len(list) > 0
				for _, p := range run {
					p.Placed, p.At = true, at // only where a run begins it counts
					list = append(list, p)
				}
			}
			tracks, _ := play(t, list)
			least := int64(s)
			for _, p := range tracks {
				least = min(least, p.samples[0].dts*s/p.scale)
			}
			if least != 0 {
				t.Errorf("it begins at %d ticks, want 0", least)
			}
			leader := tracks[1]
			n := len(leader.samples) / 3
			if len(leader.samples) != 3*n {
				t.Fatalf("%d frames in three equal runs", len(leader.samples))
			}
			first, second, third := leader.samples[0], leader.samples[n], leader.samples[2*n]
			if got, want := second.dts-first.dts, 10*leader.scale; got < want-1 || got > want+1 {
				t.Errorf("the second run begins %d time units after the first, want %d", got, want)
			}
			// 3 s are over long before the second run ends; its audio may end a frame later.
			if end := leader.samples[2*n-1].end; third.dts < end-1 || third.dts > end+leader.scale/40 {
				t.Errorf("the third run begins at %d, want the second's end %d", third.dts, end)
			}
		})
	}
}
