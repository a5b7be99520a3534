package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"

	"github.com/grapevine-live/grapevine/stream"
	"github.com/grapevine-live/grapevine/stream/transport"
)

// splitAll writes segments step bytes at a time, and returns the parts.
func splitAll(t *testing.T, step int, segments ...[]byte) []stream.Part {
	t.Helper()
	var parts []stream.Part
	s := NewSplitter(SplitConfig{Publish: func(p stream.Part) error { parts = append(parts, p); return nil }})
	for _, b := range segments {
		writeSegment(t, s, SegmentInfo{Duration: 2 * time.Second}, b, step)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if st := s.Stats(); st.Segments != uint64(len(segments)) || st.Parts != uint64(len(parts)) || st.PartBytes != st.Bytes {
		t.Errorf("figures %+v of %d segments, %d parts", st, len(segments), len(parts))
	}
	return parts
}

func writeSegment(t *testing.T, s *Splitter, info SegmentInfo, b []byte, step int) {
	t.Helper()
	s.Begin(info)
	for len(b) > 0 {
		n := min(step, len(b))
		if _, err := s.Write(b[:n]); err != nil {
			t.Fatal(err)
		}
		b = b[n:]
	}
}

// continued returns segments of two seconds that continue each other.
func continued(t testing.TB, c clip, n int) [][]byte {
	t.Helper()
	c.frames = 50
	var segments [][]byte
	for range n {
		ts, _, _ := c.encode(t)
		segments = append(segments, ts)
		c.start += 2 * second
	}
	return segments
}

func TestSplitKeepsEveryByte(t *testing.T) {
	for _, test := range []struct {
		name string
		clip clip
	}{
		{"H.264", clip{size: 3000}},
		{"B pictures", clip{bframes: true, size: 900}},
		{"HEVC and MP3", clip{hevc: true, sps: sps265, audio: &codecs.MPEG1Audio{}}},
		{"no audio", clip{noAudio: true}},
		{"audio alone", clip{noVideo: true}},
		{"Opus alone", clip{noVideo: true, audio: opusStereo()}},
		{"timestamps wrap", clip{start: wrap - 3*second}},
	} {
		for _, step := range []int{1, 187, 188, 5000, 1 << 20} {
			t.Run(fmt.Sprint(test.name, " by ", step), func(t *testing.T) {
				segments := continued(t, test.clip, 3)
				parts := splitAll(t, step, segments...)
				checkSplit(t, parts, segments)
				for _, p := range parts {
					if p.Duration < 490*time.Millisecond && !p.EndsSegment || p.Duration < 400*time.Millisecond || p.Duration > 550*time.Millisecond || p.Discontinuity {
						t.Errorf("a part of %v, discontinuity %t", p.Duration, p.Discontinuity)
					}
					if !p.Independent && (p.StartsSegment || test.clip.noVideo) {
						t.Error("a part is not independent")
					}
					if p.StartsSegment && (p.Media.Codecs == "" || !test.clip.noVideo && p.Media.Width != 640) {
						t.Errorf("media %+v", p.Media)
					}
				}
			})
		}
	}
}

// checkSplit checks that the parts of each segment are that segment, and last as long.
func checkSplit(t *testing.T, parts []stream.Part, segments [][]byte) {
	t.Helper()
	var got [][]byte
	for _, p := range parts {
		if p.StartsSegment {
			got = append(got, nil)
		}
		got[len(got)-1] = append(got[len(got)-1], p.Data...)
	}
	if !slices.EqualFunc(got, segments, bytes.Equal) {
		t.Fatalf("%d segments of %d bytes, which are not the %d of %d that went in", len(got), len(join(parts)), len(segments), len(slices.Concat(segments...)))
	}
	var sum time.Duration
	for _, p := range parts {
		sum += p.Duration
	}
	if want := time.Duration(len(segments)) * 2 * time.Second; (sum - want).Abs() > 25*time.Millisecond {
		t.Errorf("they last %v, want %v", sum, want)
	}
}

// TestSplitPublishesAtOnce: a part leaves with the beginning of the frame after it.
func TestSplitPublishesAtOnce(t *testing.T) {
	segment := continued(t, clip{size: 2000, noAudio: true}, 1)[0]
	published := 0
	s := NewSplitter(SplitConfig{Publish: func(p stream.Part) error { published += len(p.Data); return nil }})
	s.Begin(SegmentInfo{})
	most := 0
	for at := 0; at < len(segment); at += packetSize {
		if _, err := s.Write(segment[at : at+packetSize]); err != nil {
			t.Fatal(err)
		}
		most = max(most, at+packetSize-published)
	}
	if limit := 14 * 2400; most > limit { // 13 pictures of half a second, with the next's beginning
		t.Errorf("up to %d bytes were held back, want %d at most", most, limit)
	}
}

func TestSplitMarksBreaks(t *testing.T) {
	segments := func(clips ...clip) (out [][]byte) {
		for _, c := range clips {
			out = append(out, continued(t, c, 1)[0])
		}
		return out
	}
	for _, test := range []struct {
		name     string
		segments [][]byte
		marked   bool
	}{
		{"continues", segments(clip{}, clip{start: 2 * second}), false},
		{"timestamps jump ahead", segments(clip{}, clip{start: 200 * second}), true},
		{"timestamps fall back", segments(clip{start: 200 * second}, clip{}), true},
		{"another size", segments(clip{}, clip{start: 2 * second, sps: sps1080}), true},
		{"another codec", segments(clip{}, clip{start: 2 * second, hevc: true, sps: sps265}), true},
		{"no audio any more", segments(clip{}, clip{start: 2 * second, noAudio: true}), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			parts := splitAll(t, 1000, test.segments...)
			checkSplit(t, parts, test.segments)
			for i, p := range parts {
				if want := test.marked && p.StartsSegment && i > 0; p.Discontinuity != want {
					t.Errorf("part %d: discontinuity %t, want %t", i, p.Discontinuity, want)
				}
			}
		})
	}
}

// TestSplitTracksChangeWithin: a table that changes within a segment breaks what is next, as
// a part within a segment cannot be marked.
func TestSplitTracksChangeWithin(t *testing.T) {
	first, _, _ := clip{frames: 30}.encode(t)
	rest, _, _ := clip{frames: 20, start: 30 * second / 25, noAudio: true}.encode(t)
	third := continued(t, clip{start: 2 * second, noAudio: true}, 2)
	parts := splitAll(t, 1000, append(first, rest...), third[0], third[1])
	var marked []bool
	for _, p := range parts {
		if p.StartsSegment {
			marked = append(marked, p.Discontinuity)
		}
	}
	if !slices.Equal(marked, []bool{false, true, false}) {
		t.Errorf("discontinuities %v", marked)
	}
}

// TestSplitLeavesASegmentOpen: one that is not closed has no last part, and the publisher
// takes what follows.
func TestSplitLeavesASegmentOpen(t *testing.T) {
	segments := continued(t, clip{size: 2000}, 3)
	publisher, err := stream.NewPublisher(stream.NewKey(), "main", 1)
	if err != nil {
		t.Fatal(err)
	}
	var headers []*stream.SignedHeader
	s := NewSplitter(SplitConfig{Publish: func(p stream.Part) error {
		h, _, err := publisher.Publish(p)
		headers = append(headers, h)
		return err
	}})
	for i, b := range segments {
		if i == 1 {
			b = b[:len(b)*2/3]
		}
		writeSegment(t, s, SegmentInfo{}, b, 4096)
		if i != 1 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	size, last := map[uint64]int{}, map[uint64]bool{}
	for _, h := range headers {
		size[h.Segment] += h.Size
		last[h.Segment] = last[h.Segment] || h.Last
		if h.Discontinuity != (h.Segment == 2 && h.Part == 0) {
			t.Errorf("part %v: discontinuity %t", h.Position, h.Discontinuity)
		}
	}
	if !last[0] || last[1] || !last[2] || size[1] == 0 || size[0] != len(segments[0]) || size[2] != len(segments[2]) {
		t.Errorf("segments of %v bytes, ended: %v", size, last)
	}
}

// TestSplitKeepsFramesWhole: no part ends where a sound is under way, if there is a better
// place within reach.
func TestSplitKeepsFramesWhole(t *testing.T) {
	segment := continued(t, clip{size: 700, audio: &codecs.MPEG1Audio{}}, 1)[0]
	var woven, held [][]byte // a sound's second packet comes after the next picture's first
	pictures := 0
	for b := segment; len(b) > 0; b = b[packetSize:] {
		raw := b[:packetSize]
		switch p := transport.ParsePacket(raw); {
		case p.PID == 257 && !p.Start && pictures%5 != 0:
			held = append(held, raw)
			continue
		case p.PID == 257:
			woven = append(append(woven, held...), raw)
			held = nil
			continue
		case p.PID == 256 && p.Start:
			pictures++
		}
		woven = append(append(woven, raw), held...)
		held = nil
	}
	parts := splitAll(t, 1000, slices.Concat(woven...))
	if len(parts) < 3 {
		t.Fatalf("%d parts", len(parts))
	}
	left := 0
	for i, p := range parts {
		for b := p.Data; len(b) > 0; b = b[packetSize:] {
			packet := transport.ParsePacket(b[:packetSize])
			if packet.PID != 257 {
				continue
			}
			if h, ok, _ := transport.ParsePESHeader(packet.Payload); packet.Start && ok {
				left = h.Total
			}
			left -= len(packet.Payload)
		}
		if left > 0 {
			t.Errorf("part %d ends %d bytes before its last sound does", i, left)
		}
	}
}

func TestSplitPutsPartsInTime(t *testing.T) {
	began := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	var asked []int64
	var parts []stream.Part
	s := NewSplitter(SplitConfig{Publish: func(p stream.Part) error { parts = append(parts, p); return nil }})
	writeSegment(t, s, SegmentInfo{ProgramTime: func(pts int64) time.Time { asked = append(asked, pts); return began }},
		continued(t, clip{start: 7 * second, bframes: true}, 1)[0], 1000)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	at := began
	for i, p := range parts {
		if !p.ProgramTime.Equal(at) {
			t.Errorf("part %d is of %v, want %v", i, p.ProgramTime, at)
		}
		at = at.Add(p.Duration)
	}
	for _, pts := range asked {
		if want := int64(7*second + second/25); pts != want {
			t.Errorf("asked for %d, want %d", pts, want)
		}
	}
}

func TestSplitRefuses(t *testing.T) {
	whole := continued(t, clip{}, 1)[0]
	late, _, _ := clip{frames: 50, lead: 5}.encode(t)
	for _, test := range []struct {
		name    string
		segment []byte
		want    error
	}{
		{"text", []byte(strings.Repeat("<html>", 100)), ErrNotMPEGTS},
		{"nothing", nil, ErrNoTracks},
		{"within a packet", whole[:len(whole)-10], ErrCutOff},
		{"tables alone", whole[:2*packetSize], ErrCutOff},
		{"a packet is shifted", append(bytes.Clone(whole[:packetSize*7]), whole[packetSize*7+1:]...), ErrNotMPEGTS},
		{"no keyframe first", late, ErrNoKeyframe},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := NewSplitter(SplitConfig{Publish: func(p stream.Part) error {
				if p.EndsSegment {
					t.Error("the segment was published to its end")
				}
				return nil
			}})
			s.Begin(SegmentInfo{})
			_, err := s.Write(test.segment)
			if err == nil {
				err = s.Close()
			}
			if !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}
