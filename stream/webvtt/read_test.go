package webvtt

import (
	"errors"
	"slices"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	cue := Cue{Start: 2 * time.Second, End: 3500 * time.Millisecond, Text: "one"}
	for _, test := range []struct {
		name, text string
		at         int64
		want       []Cue
	}{
		{"plain", "WEBVTT\n\n00:02.000 --> 00:03.500\none\n", 0, []Cue{cue}},
		{"hours, a name, settings", "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000\n\n7\n00:00:02.000 --> 00:00:03.500 line:0 align:start\none", 900000, []Cue{cue}},
		{"the other order, a local time", "WEBVTT - x\r\nX-TIMESTAMP-MAP=LOCAL:00:00:01.000,MPEGTS:900000\r\n\r\n00:02.000 --> 00:03.500\r\none\r\n\r\n", 810000, []Cue{cue}},
		{"markup", "\ufeffWEBVTT\n\n00:02.000 --> 00:03.500\n<v Ann><i>a &amp; b</i>\n&lt;c&gt;\n", 0, []Cue{{cue.Start, cue.End, "a & b\n<c>"}}},
		{"notes and styles", "WEBVTT\n\nNOTE\nno --> cue\n\nSTYLE\n::cue {}\n\n\n\n00:02.000 --> 00:03.500\none\n\n00:04.000 --> 00:04.000\nnever\n\n00:05.000 --> 00:06.000\n", 0, []Cue{cue}},
		{"nothing", "WEBVTT", 0, nil},
	} {
		cues, at, err := Parse([]byte(test.text))
		if err != nil || at != test.at || !slices.Equal(cues, test.want) {
			t.Errorf("%s: %+v at %d, %v; want %+v at %d", test.name, cues, at, err, test.want, test.at)
		}
	}
	if _, _, err := Parse([]byte("<html>")); !errors.Is(err, ErrNotWebVTT) {
		t.Errorf("a page: %v", err)
	}
	// What is written is read again.
	if cues, at, err := Parse(Segment([]Cue{cue})); err != nil || at != 0 || !slices.Equal(cues, []Cue{cue}) {
		t.Errorf("%+v at %d, %v", cues, at, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000\n\n1\n00:00:02.000 --> 00:00:03.500\none\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		cues, at, err := Parse(b)
		if err != nil {
			return
		}
		if at <= -1<<43 || at >= 1<<33 {
			t.Errorf("at %d", at)
		}
		for _, c := range cues {
			if c.Start < 0 || c.End <= c.Start {
				t.Errorf("%+v", c)
			}
		}
	})
}
