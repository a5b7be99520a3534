package hls

import (
	"strings"
	"testing"
	"time"

	"github.com/grapevine-live/grapevine/hls/cue"
)

// testRanges is one of each kind: a break that is over, one that is open, an end alone and
// a command.
func testRanges() dateRanges {
	at := time.Date(2026, 11, 21, 20, 0, 0, 123_000_000, time.FixedZone("", 3600))
	return dateRanges{
		{ID: "splice-1-7-900000", Start: at, Planned: 30 * time.Second, End: at.Add(29_960 * time.Millisecond), Out: []byte{0xfc, 1}, In: []byte{0xfc, 2}},
		{ID: "splice-2-7-1800000", Start: at.Add(40 * time.Second), Out: []byte{0xfc, 3}},
		{ID: "splice-3-7-2700000", Start: at.Add(50 * time.Second), End: at.Add(50 * time.Second), In: []byte{0xfc, 4}},
		{ID: "segment-4-16-7-2700000", Start: at.Add(60 * time.Second), Planned: time.Hour, Command: []byte{0xfc, 5}},
	}
}

const goldenRanges = `#EXT-X-DATERANGE:ID="splice-1-7-900000",START-DATE="2026-11-21T19:00:00.123Z",PLANNED-DURATION=30,SCTE35-OUT=0xFC01
#EXT-X-DATERANGE:ID="splice-1-7-900000",START-DATE="2026-11-21T19:00:00.123Z",DURATION=29.96,SCTE35-IN=0xFC02
#EXT-X-DATERANGE:ID="splice-2-7-1800000",START-DATE="2026-11-21T19:00:40.123Z",SCTE35-OUT=0xFC03
#EXT-X-DATERANGE:ID="splice-3-7-2700000",START-DATE="2026-11-21T19:00:50.123Z",END-DATE="2026-11-21T19:00:50.123Z",SCTE35-IN=0xFC04
#EXT-X-DATERANGE:ID="segment-4-16-7-2700000",START-DATE="2026-11-21T19:01:00.123Z",PLANNED-DURATION=3600,SCTE35-CMD=0xFC05
`

// Date ranges come once, before the first segment, and change nothing else.
func TestRenderDateRanges(t *testing.T) {
	text, err := renderMedia(testWindow(), testRanges())
	if err != nil {
		t.Fatal(err)
	}
	got := string(text)
	if n := strings.Index(got, goldenRanges); n < 0 || n > strings.Index(got, "#EXTINF") {
		t.Errorf("got\n%s", got)
	}
	if rest := strings.Replace(got, goldenRanges, "", 1); rest != goldenMedia {
		t.Errorf("without date ranges\n%s", rest)
	}
}

// A delta has all date ranges, as the client does not say that it knows some.
func TestRenderLLDateRanges(t *testing.T) {
	l := &llPlaylist{window: &window{target: 2, sequence: 106}, session: "s", partTarget: 500 * time.Millisecond}
	at := time.Date(2026, 11, 21, 19, 0, 0, 0, time.UTC)
	for n := range 10 {
		name := llSegmentName("s", uint64(96+n))
		l.window.entries = append(l.window.entries, &entry{name: name, duration: 2 * time.Second, programTime: at.Add(2 * time.Second * time.Duration(n)), init: piece{name: "s-0.mp4"}})
	}
	plain := [2]string{string(l.render(0)), string(l.render(4))}
	l.ranges = testRanges()
	for i, text := range []string{string(l.render(0)), string(l.render(4))} {
		if n := strings.Index(text, goldenRanges); n < 0 || n > strings.Index(text, "#EXTINF") || strings.Replace(text, goldenRanges, "", 1) != plain[i] {
			t.Errorf("got\n%s", text)
		}
	}
	if strings.Contains(plain[0], "CAN-SKIP-DATERANGES") {
		t.Error("a delta may leave out date ranges")
	}
}

// Those of a window in which the broadcaster's clock was set back are of all of it.
func TestRangesOfWindow(t *testing.T) {
	at := time.Date(2026, 11, 21, 19, 0, 0, 0, time.UTC)
	c := newCues(nil)
	c.ranges.Add([]cue.Cue{{Kind: cue.Command, Event: "a", Start: at, Found: at, Timed: true, Section: []byte{1}}})
	for _, test := range []struct {
		first, second time.Duration
		want          int
	}{{-time.Second, time.Second, 1}, {time.Second, 3 * time.Second, 0}, {time.Second, -time.Hour, 1}} {
		got := c.since([]*entry{{programTime: at.Add(test.first)}, {programTime: at.Add(test.second)}})
		if len(got) != test.want {
			t.Errorf("%v, %v: %d ranges", test.first, test.second, len(got))
		}
	}
	if c.since(nil) != nil {
		t.Error("an empty playlist has some")
	}
}
