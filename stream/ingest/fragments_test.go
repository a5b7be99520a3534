package ingest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4/seekablebuffer"
	mp4codecs "github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"

	"github.com/grapevine-live/grapevine/stream"
)

// film is a made-up packager's fragmented MP4: a picture every 40 ms, and sounds.
type film struct {
	hevc  bool
	audio mp4codecs.Codec // nil for none
	base  uint64          // decode time of the first segment, in units of 1/12800 s
	parts int             // fragments in a segment
	early int32           // by which presentation precedes decoding at worst, in frames
}

func (f film) init(t testing.TB) []byte {
	t.Helper()
	init := fmp4.Init{Tracks: []*fmp4.InitTrack{{ID: 1, TimeScale: 12800, Codec: &mp4codecs.H264{SPS: sps360, PPS: pps264}}}}
	if f.hevc {
		init.Tracks[0].Codec = &mp4codecs.H265{VPS: vps265, SPS: sps265, PPS: pps265}
	}
	if f.audio != nil {
		init.Tracks = append(init.Tracks, &fmp4.InitTrack{ID: 2, TimeScale: 48000, Codec: f.audio})
	}
	var buf seekablebuffer.Buffer
	if err := init.Marshal(&buf); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// segment returns segment n, two seconds, and its frames with the times in MPEG-TS.
func (f film) segment(t testing.TB, n int) (b []byte, video, audio []frame) {
	t.Helper()
	count := max(1, f.parts)
	for part := range count {
		from, to := 50*part/count, 50*(part+1)/count
		base := f.base + uint64(n*50+from)*512
		v := &fmp4.PartTrack{ID: 1, BaseTime: base}
		for i := from; i < to; i++ {
			head := []byte{0x41}
			switch {
			case f.hevc && i == 0:
				head = []byte{0x26, 1}
			case f.hevc:
				head = []byte{0x02, 1}
			case i == 0:
				head = []byte{0x65}
			}
			name := fmt.Sprintf("picture %d", n*50+i)
			au, err := h264.AVCC{append(head, name...)}.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			s := &fmp4.Sample{Duration: 512, Payload: au, IsNonSyncSample: i > 0}
			if i > 0 && i%2 == 0 {
				s.PTSOffset = -f.early * 512
			}
			v.Samples = append(v.Samples, s)
			dts := int64(f.base+uint64(n*50+i)*512) * second / 12800
			video = append(video, frame{pts: dts + int64(s.PTSOffset)*second/12800 + firstTimestamp, dts: dts - int64(f.early)*3600 + firstTimestamp, name: name, key: i == 0})
		}
		p := fmp4.Part{SequenceNumber: uint32(n), Tracks: []*fmp4.PartTrack{v}}
		if f.audio != nil {
			a := &fmp4.PartTrack{ID: 2, BaseTime: base * 48000 / 12800}
			for i := 0; i < (to-from)*1920; i += 1024 {
				name := fmt.Sprintf("sound %d of %d.%d", i, n, part)
				payload := []byte(name)
				if _, ok := f.audio.(*mp4codecs.Opus); ok {
					payload = append([]byte{0xfc}, name...)
				}
				a.Samples = append(a.Samples, &fmp4.Sample{Duration: 1024, Payload: payload})
				audio = append(audio, frame{name: name})
			}
			p.Tracks = append(p.Tracks, a)
		}
		var buf seekablebuffer.Buffer
		if err := p.Marshal(&buf); err != nil {
			t.Fatal(err)
		}
		b = append(b, buf.Bytes()...)
	}
	return b, video, audio
}

func ended(f *Fragments) error {
	_, err := f.End()
	return err
}

// TestFragments: every frame goes through with its time, and the splitter takes the result.
func TestFragments(t *testing.T) {
	aac := &mp4codecs.MPEG4Audio{Config: aacStereo().Config}
	for _, test := range []struct {
		name string
		film film
	}{
		{"H.264 and AAC", film{audio: aac}},
		{"pictures shown before they are decoded", film{audio: aac, early: 1}},
		{"HEVC and Opus", film{hevc: true, audio: &mp4codecs.Opus{ChannelCount: 2}}},
		{"no sound, several fragments", film{parts: 5}},
		{"time of day", film{base: 1_800_000_000 * 12800, audio: aac}},
	} {
		for _, step := range []int{1 << 20, 100} {
			t.Run(fmt.Sprint(test.name, " by ", step), func(t *testing.T) {
				var f Fragments
				var parts []stream.Part
				s := NewSplitter(SplitConfig{Publish: func(p stream.Part) error { parts = append(parts, p); return nil }})
				var video, audio []frame
				for n := range 3 {
					if err := f.Init(test.film.init(t)); err != nil {
						t.Fatal(err)
					}
					b, pictures, sounds := test.film.segment(t, n)
					video, audio = append(video, pictures...), append(audio, sounds...)
					f.Begin()
					s.Begin(SegmentInfo{Duration: 2 * time.Second})
					for piece := range slices.Chunk(b, step) {
						ts, err := f.Write(piece)
						if err != nil {
							t.Fatal(err)
						}
						if _, err := s.Write(ts); err != nil {
							t.Fatal(err)
						}
					}
					if err := errors.Join(ended(&f), s.Close()); err != nil {
						t.Fatal(err)
					}
				}
				gotVideo, gotAudio := demuxed(t, join(parts))
				for i := range video {
					video[i].pts &= wrap - 1
					video[i].dts &= wrap - 1
				}
				if !slices.Equal(gotVideo, video) {
					t.Errorf("pictures %v…, want %v…", gotVideo[:min(3, len(gotVideo))], video[:3])
				}
				if !slices.Equal(names(gotAudio), names(audio)) {
					t.Errorf("%d sounds, want %d", len(gotAudio), len(audio))
				}
				starts := 0
				for _, p := range parts {
					if p.StartsSegment {
						starts++
						if !p.Independent || p.Discontinuity || p.Media.Width != 640 && !test.film.hevc {
							t.Errorf("a segment begins with %+v", p.Media)
						}
					}
				}
				if starts != 3 {
					t.Errorf("%d segments", starts)
				}
			})
		}
	}
}

// TestFragmentsUndo: after what nobody got, the same again is the same.
func TestFragmentsUndo(t *testing.T) {
	var f Fragments
	if err := f.Init(film{}.init(t)); err != nil {
		t.Fatal(err)
	}
	b, _, _ := film{}.segment(t, 0)
	var out [3][]byte
	for n := range out {
		if n == 2 {
			f.Undo()
		}
		f.Begin()
		ts, err := f.Write(b)
		if err != nil {
			t.Fatal(err)
		}
		out[n] = ts
	}
	if bytes.Equal(out[0], out[1]) || !bytes.Equal(out[1], out[2]) {
		t.Error("what is written again after Undo differs")
	}
}

func TestFragmentsRefused(t *testing.T) {
	var f Fragments
	good, _, _ := film{}.segment(t, 0)
	if _, err := f.Write(good); !errors.Is(err, ErrNotMP4) {
		t.Errorf("without an init: %v", err)
	}
	if err := f.Init([]byte("<html>")); !errors.Is(err, ErrNotMP4) {
		t.Errorf("a page as init: %v", err)
	}
	if err := f.Init(film{}.init(t)); err != nil {
		t.Fatal(err)
	}
	f.Begin()
	if _, err := f.Write(good[:len(good)-1]); err != nil || !errors.Is(ended(&f), ErrCutOff) {
		t.Errorf("cut off: %v, %v", err, ended(&f))
	}
	f.Begin()
	if _, err := f.Write([]byte("<html>\n<body>Not found")); !errors.Is(err, ErrNotMP4) && !errors.Is(ended(&f), ErrCutOff) {
		t.Errorf("a page: %v", err)
	}
	var codec *UnsupportedCodecError
	var buf seekablebuffer.Buffer
	if err := (fmp4.Init{Tracks: []*fmp4.InitTrack{{ID: 1, TimeScale: 90000, Codec: &mp4codecs.VP9{Width: 64, Height: 64, Profile: 0, BitDepth: 8, ChromaSubsampling: 1}}}}).Marshal(&buf); err != nil {
		t.Fatal(err)
	}
	if err := f.Init(buf.Bytes()); !errors.As(err, &codec) || codec.Codec != "VP9" {
		t.Errorf("VP9: %v", err)
	}
}

func box(kind string, content ...[]byte) []byte {
	b := slices.Concat(content...)
	return append(append(binary.BigEndian.AppendUint32(nil, uint32(len(b)+8)), kind...), b...)
}

func words(list ...uint32) (b []byte) {
	for _, w := range list {
		b = binary.BigEndian.AppendUint32(b, w)
	}
	return b
}

func TestReadMovie(t *testing.T) {
	b := slices.Concat(box("ftyp"), box("moov",
		box("mvhd", words(0, 0, 0, 1000, 0)),
		box("trak", box("tkhd", words(0, 0, 0, 7, 0)), box("edts", box("elst", words(0, 2, 500, 1<<32-1, 1<<16, 0, 1024, 1<<16)))),
		box("trak", box("tkhd", words(1<<24, 0, 0, 0, 0, 8, 0)), box("edts", box("elst", words(1<<24, 1, 0, 0, 0, 2048, 1<<16)))),
		box("mvex", box("trex", words(0, 7, 1, 512, 0, 0))),
	))
	got := readMovie(b)
	if m := got[7]; m.duration != 512 || m.shift(48000) != 1024-24000 {
		t.Errorf("track 7: %+v, shift %d", m, m.shift(48000))
	}
	if m := got[8]; m.duration != 0 || m.shift(48000) != 2048 {
		t.Errorf("track 8: %+v", m)
	}
	for n := range b { // whatever is cut off
		readMovie(b[:n])
	}
	if !bytes.Equal(b[:4], words(8)) {
		t.Error("the boxes are wrong")
	}
}

// FuzzFragments: no bytes make it panic, or write what is no MPEG-TS.
func FuzzFragments(f *testing.F) {
	aac := &mp4codecs.MPEG4Audio{Config: aacStereo().Config}
	for _, m := range []film{{audio: aac, early: 1}, {hevc: true, parts: 3}} {
		b, _, _ := m.segment(f, 1)
		f.Add(m.init(f), b)
	}
	f.Fuzz(func(t *testing.T, init, b []byte) {
		var fr Fragments
		if fr.Init(init) != nil {
			return
		}
		fr.Begin()
		ts, _ := fr.Write(b)
		if len(ts)%packetSize != 0 {
			t.Errorf("%d bytes", len(ts))
		}
		for ; len(ts) > 0; ts = ts[packetSize:] {
			if ts[0] != syncByte {
				t.Fatal("no packet")
			}
		}
		fr.End()
	})
}

// FuzzSplit: no bytes make it panic, lose or change any, or publish what is malformed.
func FuzzSplit(f *testing.F) {
	for _, c := range []clip{{bframes: true}, {hevc: true, sps: sps265}, {noVideo: true, audio: opusStereo(), start: wrap - second}} {
		segment := continued(f, c, 1)[0]
		f.Add(segment, segment)
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		publisher, err := stream.NewPublisher(stream.NewKey(), "main", 1)
		if err != nil {
			t.Fatal(err)
		}
		var data []byte
		ended := false
		s := NewSplitter(SplitConfig{Publish: func(p stream.Part) error {
			if p.StartsSegment {
				data = nil
			}
			data, ended = append(data, p.Data...), p.EndsSegment
			if _, _, err := publisher.Publish(p); err != nil {
				t.Errorf("publish %+v: %v", p, err)
			}
			return nil
		}})
		for _, segment := range [][]byte{a, b, a} {
			data, ended = nil, false
			s.Begin(SegmentInfo{Duration: time.Second})
			if _, err := s.Write(segment); err != nil {
				continue
			}
			err := s.Close()
			if ended != (err == nil) || ended && !bytes.Equal(data, segment) || !bytes.HasPrefix(segment, data) {
				t.Errorf("%d bytes of %d were published, ended %t, %v", len(data), len(segment), ended, err)
			}
		}
	})
}
