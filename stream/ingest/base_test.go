package ingest

import (
	"bytes"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/stream"
)

// breaks reads one input after the other.
type breaks [][]byte

func (b *breaks) Read(p []byte) (int, error) {
	if len((*b)[0]) == 0 {
		if *b = (*b)[1:]; len(*b) == 0 {
			*b = breaks{nil}
			return 0, io.EOF
		}
		return 0, ErrBreak
	}
	n := copy(p, (*b)[0])
	(*b)[0] = (*b)[0][n:]
	return n, nil
}

func runBreaks(t *testing.T, cfg Config, inputs ...[]byte) []stream.Part {
	t.Helper()
	b := breaks(inputs)
	cfg.Input, cfg.Stdin = "-", &b
	parts, _, err := runAll(t, t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	checkParts(t, parts)
	return parts
}

// What follows a break goes on after what was before, whatever its timestamps.
func TestBreak(t *testing.T) {
	one, video, _ := clip{frames: 100, label: "a "}.encode(t)
	two, more, _ := clip{frames: 100, start: 2 * second, label: "b "}.encode(t)
	// The first ends within a packet.
	parts := runBreaks(t, Config{}, one[:len(one)-10], two)
	v, _ := demuxed(t, join(parts))
	if got, want := names(v), names(append(video, more...)); !slices.Equal(got[100:], want[100:]) {
		t.Errorf("%d pictures of %d", len(got), len(want))
	}
	_, _, marked := segments(parts)
	if !slices.Equal(marked, []bool{false, false, true, false}) {
		t.Errorf("discontinuities are %v", marked)
	}
	if d := v[100].pts - v[99].pts; d != second/25 {
		t.Errorf("the second begins %d after the last picture", d)
	}
}

// An ingest of what was made of another's output has its timestamps and program times.
func TestBaseOfWhatIsEncoded(t *testing.T) {
	one, _, _ := clip{frames: 200, start: 7 * second}.encode(t)
	two, _, _ := clip{frames: 200, start: 3 * second}.encode(t)
	base := NewBase()
	first := runBreaks(t, Config{Base: base}, one, two)
	halves := [2][]byte{}
	half := 0
	for _, p := range first {
		if p.Discontinuity {
			half++
		}
		halves[half] = append(halves[half], p.Data...)
	}
	// The encoder lost the first segment of each, and the second rendition one more.
	after := func(ts []byte, segment int) []byte {
		data, _, _ := segments(first)
		return ts[bytes.Index(ts, data[segment]):]
	}
	for n, lost := range []int{1, 2} {
		parts := runBreaks(t, Config{Base: base.Encoded()}, after(halves[0], lost), after(halves[1], 4+lost))
		got, _ := demuxed(t, join(parts))
		want, _ := demuxed(t, join(first))
		want = slices.Concat(want[50*lost:200], want[200+50*lost:])
		if !slices.Equal(got, want) {
			t.Errorf("rendition %d: %d frames of %d, the first %v, want %v", n, len(got), len(want), got[0], want[0])
		}
		var times, wantTimes []time.Time
		for _, p := range parts {
			times = append(times, p.ProgramTime)
		}
		for i, p := range first {
			if s := i / 4 % 4; s >= lost {
				wantTimes = append(wantTimes, p.ProgramTime)
			}
		}
		if !slices.EqualFunc(times, wantTimes, time.Time.Equal) {
			t.Errorf("rendition %d: program times\n%v, want\n%v", n, times, wantTimes)
		}
	}
}

// Output time that starts again, before it would wrap, does so in what is encoded, too.
func TestBaseStartsAgain(t *testing.T) {
	base := NewBase()
	wall := time.Now()
	base.note(place{firstTimestamp, wall})
	base.note(place{firstTimestamp, wall.Add(24 * time.Hour)})
	one, _, _ := clip{frames: 100, start: lastTimestamp - 4*second}.encode(t)
	two, _, _ := clip{frames: 100, start: firstTimestamp}.encode(t)
	parts := runBreaks(t, Config{Base: base.Encoded()}, one, two)
	v, _ := demuxed(t, join(parts))
	if len(v) != 200 || v[0].pts != lastTimestamp-4*second || v[100].pts != firstTimestamp {
		t.Errorf("%d pictures, at %d and %d", len(v), v[0].pts, v[100].pts)
	}
	_, durations, _ := segments(parts)
	for n, d := range durations {
		if d != 2*time.Second {
			t.Errorf("segment %d lasts %v", n, d)
		}
	}
}
