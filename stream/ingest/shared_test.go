package ingest

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// late is what an encoder sends that begins some time after the test.
type late struct {
	after time.Duration
	clips []clip // one after the other
}

// runShared plays clips at the speed of life, with one base, and returns what each input
// published.
func runShared(t *testing.T, inputs ...late) (parts [][]stream.Part, stats []Stats) {
	t.Helper()
	base := NewSharedBase(len(inputs))
	parts, stats = make([][]stream.Part, len(inputs)), make([]Stats, len(inputs))
	var files []string
	for n, in := range inputs {
		var ts []byte
		for _, c := range in.clips {
			one, _, _ := c.encode(t)
			ts = append(ts, one...)
		}
		files = append(files, filepath.Join(t.TempDir(), "clip.ts"))
		if err := os.WriteFile(files[n], ts, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		var wg sync.WaitGroup
		for n, in := range inputs {
			wg.Go(func() {
				time.Sleep(in.after)
				i, err := New(Config{Input: files[n], Base: base})
				if err != nil {
					t.Error(err)
					return
				}
				if err := i.Run(context.Background(), func(p stream.Part) error {
					parts[n] = append(parts[n], p)
					return nil
				}); err != nil {
					t.Error(err)
				}
				stats[n] = i.Stats()
			})
		}
		wg.Wait()
	})
	for _, p := range parts {
		checkParts(t, p)
	}
	return parts, stats
}

// starts returns the program times of segments.
func starts(parts []stream.Part) (times []time.Time) {
	for _, p := range parts {
		if p.StartsSegment {
			times = append(times, p.ProgramTime)
		}
	}
	return times
}

func TestEncodersThatAgreeBeginTogether(t *testing.T) {
	// The second comes after 2.4 s, in the middle of a group of pictures.
	parts, stats := runShared(t,
		late{0, []clip{{frames: 500}}},
		late{2400 * time.Millisecond, []clip{{frames: 440, start: 24 * second / 10, lead: 40, sps: sps1080}}})
	a, b := starts(parts[0]), starts(parts[1])
	if !slices.EqualFunc(a, b, time.Time.Equal) || len(a) != 8 {
		t.Errorf("segments start at\n%v and\n%v", a, b)
	}
	v, _ := demuxed(t, join(parts[0]))
	w, _ := demuxed(t, join(parts[1]))
	if len(v) != 400 || len(w) != 400 || v[0].pts != w[0].pts || !w[0].key || w[0].name != "picture 40" {
		t.Errorf("%d and %d pictures, from %+v and %+v", len(v), len(w), v[0], w[0])
	}
	if stats[0].Misaligned+stats[1].Misaligned != 0 {
		t.Errorf("%d and %d misaligned", stats[0].Misaligned, stats[1].Misaligned)
	}
}

func TestMisalignedKeyframesAreCounted(t *testing.T) {
	_, stats := runShared(t, late{0, []clip{{frames: 1000}}}, late{0, []clip{{frames: 1000, gop: 70}}})
	// In 40 s one starts 20, the other 15, of which they share 3.
	if n := stats[0].Misaligned + stats[1].Misaligned; n < 20 || n > 30 {
		t.Errorf("%d and %d misaligned", stats[0].Misaligned, stats[1].Misaligned)
	}
}

// One that never comes is not waited for, and one that comes then joins in.
func TestEncoderThatIsLate(t *testing.T) {
	parts, _ := runShared(t,
		late{0, []clip{{frames: 750}}},
		late{20 * time.Second, []clip{{frames: 250, start: 20 * second}}})
	a, b := starts(parts[0]), starts(parts[1])
	if len(a) != 9 || len(b) != 5 {
		t.Fatalf("%d and %d segments", len(a), len(b))
	}
	if !slices.EqualFunc(a[4:], b, time.Time.Equal) {
		t.Errorf("segments start at\n%v and\n%v", a[4:], b)
	}
}

// Timestamps that have nothing to do with each other are put where they arrive.
func TestEncodersThatDisagree(t *testing.T) {
	parts, _ := runShared(t,
		late{0, []clip{{frames: 500}}},
		late{4 * time.Second, []clip{{frames: 400, start: 1000 * second}}})
	a, b := starts(parts[0]), starts(parts[1])
	d := b[0].Sub(a[0]) % (2 * time.Second)
	if d > 100*time.Millisecond && d < 1900*time.Millisecond {
		t.Errorf("the second is %v off", d)
	}
	v, _ := demuxed(t, join(parts[0]))
	w, _ := demuxed(t, join(parts[1]))
	if got, want := w[0].pts-v[0].pts, ticks(b[0].Sub(a[0])); abs(got-want) > 1 {
		t.Errorf("%d ticks between the first pictures, program times say %d", got, want)
	}
}

// All encoders jump to another time line, one a moment after the other.
func TestEncodersThatJumpTogether(t *testing.T) {
	clips := []clip{{frames: 250}, {frames: 500, start: 5000 * second}}
	parts, _ := runShared(t, late{0, clips}, late{130 * time.Millisecond, clips})
	a, b := starts(parts[0]), starts(parts[1])
	if !slices.EqualFunc(a, b, time.Time.Equal) || len(a) < 12 {
		t.Errorf("segments start at\n%v and\n%v", a, b)
	}
	v, _ := demuxed(t, join(parts[0]))
	w, _ := demuxed(t, join(parts[1]))
	if !slices.Equal(v, w) {
		t.Errorf("%d and %d pictures", len(v), len(w))
	}
}
