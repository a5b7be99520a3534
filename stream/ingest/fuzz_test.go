package ingest

import (
	"io"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"

	"github.com/grapevine-live/grapevine/stream"
)

// FuzzIngest: no bytes make it panic, or publish what is malformed.
func FuzzIngest(f *testing.F) {
	for _, c := range []clip{
		{frames: 12, bframes: true},
		{frames: 12, hevc: true, sps: sps265, audio: &codecs.MPEG1Audio{}},
		{frames: 12, noVideo: true, audio: opusStereo()},
		{frames: 12, noVideo: true, audio: &codecs.AC3{}, start: wrap - second},
	} {
		c.gop = 5
		ts, _, _ := c.encode(f)
		f.Add(ts)
	}
	f.Add(clip{frames: 12, gop: 5}.annotated(f, []annotation{{at: 3, pts: second / 5, tag: id3Tag("tag")}, {at: 5, section: spliceAt(second, 1)}}))
	f.Add([]byte("GRAPES"))
	f.Fuzz(func(t *testing.T, b []byte) {
		i, err := New(Config{Input: "sample:"})
		if err != nil {
			t.Fatal(err)
		}
		open, out := false, 0
		// Without Run's goroutine, whose timing would make coverage look new.
		r := newRunner(i, &source{}, func(p stream.Part) error {
			if p.StartsSegment == open || p.Duration <= 0 || len(p.Data) == 0 || len(p.Data)%packetSize != 0 {
				t.Errorf("bad part: %+v", p)
			}
			open = !p.EndsSegment
			out += len(p.Data)
			return nil
		})
		err = r.take(t.Context(), chunk{data: b, err: io.EOF})
		if open && err == io.EOF {
			t.Error("the last segment does not end")
		}
		// A packet in makes at most a frame, with tables, a clock and parameter sets.
		if limit := (len(b)/packetSize + 1) * 64 << 10; out > limit {
			t.Errorf("%d bytes became %d", len(b), out)
		}
	})
}

// FuzzRTMP: nothing that a publisher sends makes it panic, or write what is no MPEG-TS.
func FuzzRTMP(f *testing.F) {
	for _, c := range []clip{
		{frames: 12, bframes: true},
		{frames: 12, hevc: true, sps: sps265, audio: &codecs.MPEG1Audio{}},
		{frames: 12, audio: opusStereo(), once: true},
		{frames: 12, noVideo: true, audio: &codecs.AC3{}},
	} {
		c.gop = 5
		f.Add(rtmpStream(f, c))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		const most = 5000 * packetSize
		ts, _ := io.ReadAll(io.LimitReader(rtmpSource(b), most))
		if len(ts)%packetSize != 0 {
			t.Errorf("%d bytes", len(ts))
		}
		for at := 0; at < len(ts); at += packetSize {
			if ts[at] != syncByte {
				t.Fatalf("no packet at %d", at)
			}
		}
	})
}
