package hls

import (
	"bytes"
	"testing"
	"time"

	"github.com/grafov/m3u8"

	"github.com/grapevine-live/grapevine/stream"
)

// testWindow lists five segments: an epoch's last, another one's first with a hole
// after it, and one that is a bit longer than the target.
func testWindow() *window {
	at := time.Date(2026, 11, 21, 20, 0, 0, 123456789, time.FixedZone("", 3600))
	w := &window{size: 4, target: 2, sequence: 217458373, discontinuity: 4}
	for _, e := range []*entry{
		{key: key{1700000000, 41}, duration: 2 * time.Second},
		{key: key{1700000600, 0}, duration: 2002 * time.Millisecond, discontinuity: true},
		{key: key{1700000600, 2}, duration: 1960 * time.Millisecond, discontinuity: true},
		{key: key{1700000600, 3}, duration: 2333333 * time.Microsecond},
		{key: key{1700000600, 4}, duration: 2 * time.Second},
	} {
		e.body, e.programTime = &body{size: 500_000}, at
		at = at.Add(e.duration)
		w.add(e)
	}
	return w
}

const goldenMedia = `#EXTM3U
#EXT-X-VERSION:3
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA-SEQUENCE:217458374
#EXT-X-TARGETDURATION:2
#EXT-X-DISCONTINUITY-SEQUENCE:4
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:2026-11-21T19:00:02.123Z
#EXTINF:2.002,
1700000600-0.ts
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:2026-11-21T19:00:04.125Z
#EXTINF:1.960,
1700000600-2.ts
#EXT-X-PROGRAM-DATE-TIME:2026-11-21T19:00:06.085Z
#EXTINF:2.333,
1700000600-3.ts
#EXT-X-PROGRAM-DATE-TIME:2026-11-21T19:00:08.418Z
#EXTINF:2.000,
1700000600-4.ts
`

func TestRenderMedia(t *testing.T) {
	w := testWindow()
	got, err := renderMedia(w, nil)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != goldenMedia {
		t.Errorf("live:\n%s\nwant\n%s", got, goldenMedia)
	}
	w.ended = true
	for range 2 { // twice: the library would write a second end
		if got, err = renderMedia(w, nil); err != nil {
			t.Fatal(err)
		}
	}
	if want := goldenMedia + "#EXT-X-ENDLIST\n"; string(got) != want {
		t.Errorf("ended:\n%s\nwant\n%s", got, want)
	}
}

// TestRenderMediaRoundTrip reads back what is rendered.
func TestRenderMediaRoundTrip(t *testing.T) {
	w := testWindow()
	text, err := renderMedia(w, nil)
	if err != nil {
		t.Fatal(err)
	}
	list, kind, err := m3u8.Decode(*bytes.NewBuffer(text), true)
	if err != nil || kind != m3u8.MEDIA {
		t.Fatalf("kind %v, %v", kind, err)
	}
	p := list.(*m3u8.MediaPlaylist)
	if p.SeqNo != 217458374 || p.DiscontinuitySeq != 4 || int(p.Count()) != len(w.entries) || p.Closed {
		t.Errorf("sequence %d, discontinuities %d, %d segments, closed %t", p.SeqNo, p.DiscontinuitySeq, p.Count(), p.Closed)
	}
	for i, e := range w.entries {
		s := p.Segments[i]
		if s.URI != segmentName(e.key) || s.Discontinuity != e.discontinuity || s.SeqId != e.sequence ||
			!s.ProgramDateTime.Equal(e.programTime.Truncate(time.Millisecond)) {
			t.Errorf("segment %d is %+v, want %+v", i, s, e)
		}
	}
}

const goldenMultivariant = `#EXTM3U
#EXT-X-VERSION:3
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-STREAM-INF:PROGRAM-ID=0,BANDWIDTH=4200000,AVERAGE-BANDWIDTH=3900000,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=1920x1080,FRAME-RATE=29.970
main/index.m3u8
#EXT-X-STREAM-INF:PROGRAM-ID=0,BANDWIDTH=1600000,AVERAGE-BANDWIDTH=1500000,CODECS="avc1.64001e,mp4a.40.2",RESOLUTION=854x480,FRAME-RATE=29.970
480p/index.m3u8
#EXT-X-STREAM-INF:PROGRAM-ID=0,BANDWIDTH=130000,AVERAGE-BANDWIDTH=128000,CODECS="mp4a.40.2"
audio/index.m3u8
`

func TestRenderMultivariant(t *testing.T) {
	got := renderMultivariant([]variant{
		{"480p", stream.Media{Codecs: "avc1.64001e,mp4a.40.2", Width: 854, Height: 480, FrameRate: 29.97}, 1_600_000, 1_500_000},
		{"audio", stream.Media{Codecs: "mp4a.40.2"}, 130_000, 128_000},
		{"main", stream.Media{Codecs: "avc1.64001f,mp4a.40.2", Width: 1920, Height: 1080, FrameRate: 29.97}, 4_200_000, 3_900_000},
	}, "index.m3u8")
	if string(got) != goldenMultivariant {
		t.Errorf("%s\nwant\n%s", got, goldenMultivariant)
	}
	list, kind, err := m3u8.Decode(*bytes.NewBuffer(got), true)
	if err != nil || kind != m3u8.MASTER {
		t.Fatalf("kind %v, %v", kind, err)
	}
	if n := len(list.(*m3u8.MasterPlaylist).Variants); n != 3 {
		t.Errorf("%d variants read back", n)
	}
}

func TestBandwidth(t *testing.T) {
	w := testWindow()
	// 500 kB in 1.96 s is the densest; what slid out counts for the peak.
	if w.peak != 2040817 || w.average() != 1928796 {
		t.Errorf("peak %d, average %d", w.peak, w.average())
	}
}
