package origin

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4/seekablebuffer"
	mp4codecs "github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"
)

func testInit() []byte {
	var buf seekablebuffer.Buffer
	must(fmp4.Init{Tracks: []*fmp4.InitTrack{{ID: 1, TimeScale: 25, Codec: &mp4codecs.H264{SPS: testSPS, PPS: testPPS}}}}.Marshal(&buf))
	return buf.Bytes()
}

// testFragment is two seconds of pictures in fragmented MP4.
func testFragment(n int) []byte {
	track := &fmp4.PartTrack{ID: 1, BaseTime: uint64(50 * n)}
	for i := range 50 {
		unit := []byte{0x41}
		if i == 0 {
			unit[0] = 0x65
		}
		au, err := h264.AVCC{fmt.Appendf(unit, "picture %d of %d", i, n)}.Marshal()
		must(err)
		track.Samples = append(track.Samples, &fmp4.Sample{Duration: 1, Payload: au, IsNonSyncSample: i > 0})
	}
	var buf seekablebuffer.Buffer
	must(fmp4.Part{Tracks: []*fmp4.PartTrack{track}}.Marshal(&buf))
	return buf.Bytes()
}

// TestFragmented: fragmented MP4 is published segment by segment, with every picture.
func TestFragmented(t *testing.T) {
	whole := func(n int) []byte { return testFragment(n) }
	for _, test := range []struct {
		name    string
		init    []byte
		segment func(n int) []byte
		want    string // the segments whose pictures are all there
		fails   string
	}{
		{"all is well", testInit(), whole, "0 1 2 3", ""},
		{"a segment is cut off", testInit(), func(n int) []byte {
			if n == 2 {
				return testFragment(n)[:1000]
			}
			return testFragment(n)
		}, "0 1 |3", ""},
		{"the initialisation section is missing", nil, whole, "", "404"},
		{"the initialisation section is a page", []byte("<html></html>"), whole, "", "not fragmented MP4"},
		{"MPEG-TS with an initialisation section", testSegment("", 0), func(n int) []byte { return testSegment("", n) }, "", "EXT-X-MAP"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &files{list: map[string][]byte{"/live/index.m3u8": []byte(ended(4, func(i int) string {
					return fmt.Sprintf("#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:2,\ns%d.m4s\n", i)
				}))}}
				if test.init != nil {
					f.list["/live/init.mp4"] = test.init
				}
				for n := range 4 {
					f.list[fmt.Sprintf("/live/s%d.m4s", n)] = test.segment(n)
				}
				c, _, err := follow(t, f, 5*time.Minute, nil)
				if test.fails == "" && err != nil || test.fails != "" && (err == nil || !strings.Contains(err.Error(), test.fails)) {
					t.Errorf("it ended with %v, want %q", err, test.fails)
				}
				var got []string
				for _, g := range c.segments {
					for n := range 4 {
						text := fmt.Sprint(n)
						if g.marked {
							text = "|" + text
						}
						if g.whole && strings.Count(string(g.data), fmt.Sprintf(" of %d", n)) == 50 && g.length == segmentLength {
							got = append(got, text)
						}
					}
				}
				if strings.Join(got, " ") != test.want || len(got) != len(c.segments) {
					t.Errorf("published %v of %d, want %s", got, len(c.segments), test.want)
				}
			})
		})
	}
}
