package fmp4

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"
	"github.com/grapevine-live/grapevine/stream/transport"
)

// TestCodecs remuxes ten seconds of each codec: all frames come out, in order, and no
// fragment begins elsewhere than where the one before ended.
func TestCodecs(t *testing.T) {
	for _, test := range []struct {
		name  string
		clip  clip
		video string // type of the codec, "" for none
		audio string
		rate  int64
	}{
		{"H.264 and AAC", clip{video: true, audio: aac(48000, 2)}, "*codecs.H264", "*codecs.MPEG4Audio", 48000},
		{"B pictures", clip{video: true, bframes: true, audio: aac(48000, 2)}, "*codecs.H264", "*codecs.MPEG4Audio", 48000},
		{"pictures at uneven times", clip{video: true, jitter: 800, audio: aac(48000, 2)}, "*codecs.H264", "*codecs.MPEG4Audio", 48000},
		{"AAC at 44.1 kHz, whose frames last no whole ticks", clip{video: true, audio: aac(44100, 1)}, "*codecs.H264", "*codecs.MPEG4Audio", 44100},
		{"HEVC and AC-3", clip{video: true, hevc: true, audio: &codecs.AC3{}}, "*codecs.H265", "*codecs.AC3", 48000},
		{"MP3", clip{video: true, audio: &codecs.MPEG1Audio{}}, "*codecs.H264", "*codecs.MPEG1Audio", 48000},
		{"Opus", clip{video: true, audio: opusStereo()}, "*codecs.H264", "*codecs.Opus", 48000},
		{"no audio", clip{video: true}, "*codecs.H264", "", 0},
		{"no video", clip{audio: aac(48000, 2)}, "", "*codecs.MPEG4Audio", 48000},
		{"large pictures", clip{video: true, size: 200_000}, "*codecs.H264", "", 0},
		{"timestamps wrap", clip{start: wrap - 5*second, video: true, bframes: true, audio: aac(48000, 2)}, "*codecs.H264", "*codecs.MPEG4Audio", 48000},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.clip.frames = 250
			var ts bytes.Buffer
			pictures, sounds := test.clip.write(t, &ts)
			parts := cut(t, ts.Bytes())
			tracks, inits := play(t, parts)
			if inits != 1 {
				t.Errorf("%d inits, want 1", inits)
			}
			id := 1
			if test.video != "" {
				v := tracks[id]
				id++
				if got := fmt.Sprintf("%T", v.codec); got != test.video || v.scale != second {
					t.Errorf("video is %s at %d", got, v.scale)
				}
				if len(v.samples) != pictures || v.gaps != 0 {
					t.Errorf("%d of %d pictures, %d gaps of up to %d", len(v.samples), pictures, v.gaps, v.gap)
				}
				if d := v.samples[len(v.samples)-1].end - v.samples[0].dts; d < 10*second-2*test.clip.jitter || d > 10*second+2*test.clip.jitter {
					t.Errorf("the video lasts %d ticks, want %d", d, 10*second)
				}
				for n, s := range v.samples {
					if name := fmt.Sprintf("picture %d", n); !bytes.Contains(s.data, []byte(name)) || s.key != (n%50 == 0) {
						t.Fatalf("sample %d is %q, key %t", n, s.data[:min(40, len(s.data))], s.key)
					}
					if sets := bytes.Contains(s.data, sps360) || bytes.Contains(s.data, sps265); sets != s.key {
						t.Fatalf("sample %d, key %t, has the parameter sets: %t", n, s.key, sets)
					}
				}
			}
			if test.audio != "" {
				a := tracks[id]
				if got := fmt.Sprintf("%T", a.codec); got != test.audio || a.scale != test.rate {
					t.Errorf("audio is %s at %d", got, a.scale)
				}
				if len(a.samples) != sounds || a.gaps != 0 {
					t.Errorf("%d of %d audio frames, %d gaps of up to %d", len(a.samples), sounds, a.gaps, a.gap)
				}
				for n, s := range a.samples {
					if name := fmt.Sprintf("sound %d", n); !bytes.Contains(s.data, []byte(name)) {
						t.Fatalf("sample %d is %q", n, s.data)
					}
				}
			}
			if id == 2 && len(tracks) > 1 && test.audio != "" {
				v, a := tracks[1].samples[0], tracks[2].samples[0]
				if d := v.dts - a.dts*second/tracks[2].scale; d < -1 || d > 1 {
					t.Errorf("the video starts %d ticks after the audio, want 0", d)
				}
			}
		})
	}
}

// TestWrap feeds parts whose timestamps wrap, which ingest's do after 26 hours only.
func TestWrap(t *testing.T) {
	list := parts(t, clip{frames: 200, video: true, bframes: true, audio: aac(48000, 2)})
	// Ingest starts at 10 s: all timestamps are moved by the same.
	shift := int64(wrap - 13*second)
	for _, p := range list {
		for at := 0; at < len(p.Data); at += transport.PacketSize {
			raw := p.Data[at : at+transport.PacketSize]
			k := transport.ParsePacket(raw)
			if !k.Start || len(k.Payload) < 19 || !bytes.Equal(k.Payload[:3], []byte{0, 0, 1}) {
				continue
			}
			for i := range int(k.Payload[7]>>6) - 1 {
				b := k.Payload[9+5*i:]
				v := (transport.ParseTimestamp(b) + shift) & (wrap - 1)
				b[0] = b[0]&0xf1 | byte(v>>29)&0x0e
				b[1], b[2] = byte(v>>22), byte(v>>14)|1
				b[3], b[4] = byte(v>>7), byte(v<<1)|1
			}
		}
	}
	tracks, _ := play(t, list)
	for id, track := range tracks {
		if track.gaps != 0 {
			t.Errorf("track %d: %d gaps of up to %d", id, track.gaps, track.gap)
		}
		if newest := track.samples[len(track.samples)-1]; newest.end*second/track.scale <= wrap {
			t.Errorf("track %d ends at %d: nothing wrapped", id, newest.end)
		}
	}
	if n := len(tracks[1].samples); n != 200 {
		t.Errorf("%d pictures, want 200", n)
	}
}

// TestLostPicture checks that a picture that never came leaves the others where they
// were.
func TestLostPicture(t *testing.T) {
	for _, lose := range []int{5, 12, 13, 49, 51} { // within a part, at its end and start, around a keyframe
		tracks, _ := play(t, parts(t, clip{frames: 100, video: true, audio: aac(48000, 2), lose: lose}))
		v := tracks[1]
		if len(v.samples) != 99 || v.samples[98].dts-v.samples[0].dts != 99*step {
			t.Errorf("picture %d lost: %d pictures over %d ticks", lose, len(v.samples), v.samples[len(v.samples)-1].dts-v.samples[0].dts)
		}
		if v.gaps != 0 || tracks[2].gaps != 0 {
			t.Errorf("picture %d lost: %d gaps of up to %d ticks in the video, %d in the audio", lose, v.gaps, v.gap, tracks[2].gaps)
		}
	}
}

// TestBreaks joins what does not belong together: decode times go on, and an init is
// made where the parameters differ, and only there.
func TestBreaks(t *testing.T) {
	base := clip{frames: 100, video: true, audio: aac(48000, 2)}
	for _, test := range []struct {
		name   string
		then   func(c clip) clip
		inits  int
		tracks int
	}{
		{"the same again", func(c clip) clip { return c }, 1, 2},
		{"another time", func(c clip) clip { c.start = 5000 * second; return c }, 1, 2},
		{"another size", func(c clip) clip { c.sps = sps1080; return c }, 2, 2},
		{"mono", func(c clip) clip { c.audio = aac(48000, 1); return c }, 2, 2},
		{"another rate", func(c clip) clip { c.audio = aac(32000, 2); return c }, 2, 2},
		{"HEVC", func(c clip) clip { c.hevc = true; return c }, 2, 2},
		{"no audio", func(c clip) clip { c.audio = nil; return c }, 2, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			// Two runs of the broadcaster: both begin at ingest's first timestamp.
			first, second2 := parts(t, base), parts(t, test.then(base))
			second2[0].Discontinuity = true
			var r Remuxer
			inits, end := 0, int64(0)
			for n, p := range append(first, second2...) {
				f, err := r.Remux(p)
				if err != nil {
					t.Fatal(err)
				}
				if f.Init != nil {
					inits++
				}
				var read fmp4.Parts
				if err := read.Unmarshal(f.Data); err != nil {
					t.Fatal(err)
				}
				v := read[0].Tracks[0]
				if at := int64(v.BaseTime); end > 0 && at != end {
					t.Errorf("part %d begins at %d, the one before ended at %d", n, at, end)
				}
				end = int64(v.BaseTime)
				for _, s := range v.Samples {
					end += int64(s.Duration)
				}
			}
			if inits != test.inits {
				t.Errorf("%d inits, want %d", inits, test.inits)
			}
		})
	}
}

func TestLateAudio(t *testing.T) {
	// The audio begins after the first segment: it joins at the second.
	video, both := clip{frames: 50, video: true}, clip{frames: 100, video: true, audio: aac(48000, 2)}
	list := parts(t, both)
	list[0].Discontinuity = true
	tracks, inits := play(t, append(parts(t, video), list...))
	if inits != 2 || tracks[2] == nil {
		t.Errorf("%d inits, %d tracks", inits, len(tracks))
	}
}

// TestOtherTables: other packagers put a table of their own in front of those that matter,
// as ffmpeg does with the service's description.
func TestOtherTables(t *testing.T) {
	sdt := bytes.Repeat([]byte{0xff}, transport.PacketSize)
	copy(sdt, []byte{transport.SyncByte, 0x40, 0x11, 0x10, 0, 0x42})
	list := parts(t, clip{frames: 100, video: true, audio: aac(48000, 2)})
	want, _ := play(t, list)
	for i, p := range list {
		if p.Independent {
			list[i].Data = append(bytes.Clone(sdt), p.Data...)
		}
	}
	got, inits := play(t, list)
	if inits != 1 || len(got[1].samples) != len(want[1].samples) || len(got[2].samples) != len(want[2].samples) {
		t.Errorf("%d inits, %d pictures, %d sounds", inits, len(got[1].samples), len(got[2].samples))
	}
}

func TestRefused(t *testing.T) {
	good := parts(t, clip{frames: 100, video: true, audio: aac(48000, 2)})
	start := func(data []byte) Part { return Part{Data: data, StartsSegment: true, Independent: true} }
	for _, test := range []struct {
		name string
		part Part
		want error
	}{
		{"nothing", start(nil), ErrNotMPEGTS},
		{"half a packet", start(good[0].Data[:100]), ErrNotMPEGTS},
		{"text", start([]byte(strings.Repeat("x", 188*4))), ErrNoTracks},
		{"no tables", good[1], ErrNoTracks},
		{"tables only", start(good[0].Data[:2*transport.PacketSize]), ErrNoParams},
		{"a packet that is none", start(append(bytes.Clone(good[0].Data), make([]byte, transport.PacketSize)...)), ErrNotMPEGTS},
	} {
		var r Remuxer
		if f, err := r.Remux(test.part); !errors.Is(err, test.want) || f.Data != nil {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
		// What follows is not harmed.
		for n, p := range good {
			if f, err := r.Remux(p); err != nil || f.Data == nil || n == 0 && f.Init == nil {
				t.Fatalf("%s: part %d after it: %v", test.name, n, err)
			}
		}
	}
	// A part without frames makes no fragment.
	var r Remuxer
	if _, err := r.Remux(good[0]); err != nil {
		t.Fatal(err)
	}
	if f, err := r.Remux(Part{Data: good[0].Data[:2*transport.PacketSize], Duration: time.Second}); err != nil || f.Data != nil {
		t.Errorf("tables alone: %d bytes, %v", len(f.Data), err)
	}
}

func TestUnwrap(t *testing.T) {
	for _, test := range []struct{ ref, ts, want int64 }{
		{0, 0, 0}, {100, 50, 50}, {wrap - 1, 1, wrap + 1}, {wrap + 1, wrap - 1, wrap - 1},
		{5*wrap + 10, 20, 5*wrap + 20}, {5 * wrap, wrap - 5, 5*wrap - 5},
	} {
		if got := unwrap(test.ref, test.ts); got != test.want {
			t.Errorf("unwrap(%d, %d) is %d, want %d", test.ref, test.ts, got, test.want)
		}
	}
}

func FuzzRemux(f *testing.F) {
	for _, c := range []clip{
		{frames: 30, video: true, audio: aac(48000, 2)},
		{frames: 30, video: true, hevc: true, bframes: true, audio: opusStereo()},
		{frames: 30, audio: &codecs.AC3{}},
		{frames: 30, audio: &codecs.MPEG1Audio{}},
	} {
		for _, p := range parts(f, c) {
			f.Add(p.Data[:min(len(p.Data), 40*transport.PacketSize)], p.Data[:min(len(p.Data), 10*transport.PacketSize)], true)
		}
	}
	for _, p := range (clip{frames: 30, video: true}).annotated(f) {
		f.Add(p.Data, p.Data, false)
	}
	f.Fuzz(func(t *testing.T, first, next []byte, discontinuity bool) {
		var r Remuxer
		last := map[int]uint64{}
		for i, data := range [][]byte{first, next, first} {
			p := Part{Data: data[:len(data)/transport.PacketSize*transport.PacketSize], Duration: time.Second / 2, StartsSegment: i != 1, Independent: i != 1, Discontinuity: discontinuity && i > 0}
			out, err := r.Remux(p)
			if err != nil || out.Data == nil {
				continue
			}
			if out.Init != nil {
				clear(last)
			}
			var read fmp4.Parts
			if err := read.Unmarshal(out.Data); err != nil {
				t.Fatalf("part %d cannot be read back: %v", i, err)
			}
			for _, track := range read[0].Tracks {
				if before, ok := last[track.ID]; ok && track.BaseTime <= before {
					t.Fatalf("decode time %d after %d", track.BaseTime, before)
				}
				last[track.ID] = track.BaseTime
			}
		}
	})
}

// BenchmarkRemux8Mbit takes 20 s of 8 Mbit/s, made of as few NAL units as can be.
func BenchmarkRemux8Mbit(b *testing.B) {
	const seconds = 20
	benchmarkRemux(b, parts(b, clip{frames: 25 * seconds, video: true, audio: aac(48000, 2), size: 8_000_000 / 8 / 25 * 97 / 100}))
}

// benchmarkRemux reports how much of a core a live stream of 8 Mbit/s takes.
func benchmarkRemux(b *testing.B, list []Part) {
	var size int64
	for _, p := range list {
		size += int64(len(p.Data))
	}
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		var r Remuxer
		for _, p := range list {
			if _, err := r.Remux(p); err != nil {
				b.Fatal(err)
			}
		}
	}
	const rate = 8_000_000 / 8
	perByte := b.Elapsed().Seconds() / float64(b.N) / float64(size)
	b.ReportMetric(perByte*rate*100, "%core")
	b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N*len(list)), "ms/part")
}
