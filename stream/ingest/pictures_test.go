package ingest

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"

	"github.com/grapevine-live/grapevine/stream/transport"
)

// ended returns a Sound of which all is there.
func endedSound(t testing.TB, segment []byte) *Sound {
	t.Helper()
	s := NewSound(SoundConfig{Language: "de", Patience: time.Second})
	if err := s.Init(nil); err != nil {
		t.Fatal(err)
	}
	s.Begin(false)
	for b := range slices.Chunk(segment, 1000) {
		if _, err := s.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s.End()
	return s
}

// put returns a segment of pictures with sound.
func put(t testing.TB, f *Pictures, segment []byte) (out []byte) {
	t.Helper()
	f.Begin()
	for b := range slices.Chunk(segment, 777) {
		ts, err := f.Write(b)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, ts...)
	}
	ts, err := f.End()
	if err != nil {
		t.Fatal(err)
	}
	return append(out, ts...)
}

// soundsIn are the frames of the first audio track of a transport stream.
func soundsIn(t testing.TB, ts []byte) (frames []audioFrame) {
	t.Helper()
	var s transportSound
	s.begin()
	take := func(list []audioFrame, _ codecs.Codec, _ audioFormat) {
		for _, f := range list {
			frames = append(frames, audioFrame{f.pts, f.end, bytes.Clone(f.data)})
		}
	}
	if err := errors.Join(s.write(ts, take), s.end(take)); err != nil {
		t.Fatal(err)
	}
	return frames
}

// notTables are the packets of a transport stream that are neither tables nor of a PID.
func notTables(ts []byte, pid uint16) (out []byte) {
	var tables transport.Tables
	for raw := range slices.Chunk(ts, packetSize) {
		p := transport.ParsePacket(raw)
		tables.Add(raw, p)
		if !tables.Holds(p) && p.PID != pid {
			out = append(out, raw...)
		}
	}
	return out
}

// Sound is put in at its times. All else stays as it is, timed metadata too, whatever the
// sound's codec and the timestamps are.
func TestPicturesGetSound(t *testing.T) {
	for name, c := range map[string]clip{
		"AAC":             {bframes: true},
		"HEVC and MP3":    {hevc: true, sps: sps265, audio: &codecs.MPEG1Audio{}},
		"Opus":            {audio: opusStereo()},
		"AC-3":            {audio: &codecs.AC3{}},
		"timestamps wrap": {start: wrap - second},
	} {
		t.Run(name, func(t *testing.T) {
			c.frames = 100
			pictures, sound := c, c
			pictures.noAudio, sound.noVideo = true, true
			notes := []annotation{{at: 30, pts: c.start + 30*second/25, tag: id3Tag("kept")}}
			ts := pictures.annotated(t, notes)
			heard, _, _ := sound.encode(t)
			var f Pictures
			f.SetSound(endedSound(t, heard))
			got := put(t, &f, ts)
			if !bytes.Equal(notTables(got, f.pid), notTables(ts, 0)) {
				t.Error("packets of the pictures differ")
			}
			_, want, _ := c.encode(t)
			if video, _ := demuxed(t, got); !slices.Equal(names(video), names(want)) {
				t.Errorf("%d pictures, want %d", len(video), len(want))
			}
			sent, published := soundsIn(t, heard), soundsIn(t, got)
			same := func(a, b audioFrame) bool {
				return bytes.Equal(a.data, b.data) && abs(unwrap(0, a.pts-b.pts)) <= 1
			}
			// Those that begin before the first picture, or after the last, have no place.
			first := slices.IndexFunc(sent, func(a audioFrame) bool { return same(a, published[0]) })
			n := len(published)
			if first < 0 || first > 5 || n < len(sent)-first-1 || !slices.EqualFunc(published, sent[first:first+n], same) || f.MissingSound() != 0 {
				t.Errorf("%d of %d sounds, from the one numbered %d; %d segments lack some", n, len(sent), first, f.MissingSound())
			}
			if tags := readData(t, got).tags; len(tags) != 1 {
				t.Errorf("%d tags", len(tags))
			}
			f.SetSound(nil)
		})
	}
}

// Each segment names the sound, though the counters of its tables begin anew.
func TestPicturesInSegmentsThatCountAnew(t *testing.T) {
	ts, _, _ := clip{frames: 50, noAudio: true}.encode(t)
	heard, _, _ := clip{frames: 50, noVideo: true}.encode(t)
	var segment []byte
	var tables transport.Tables
	known := false
	for raw := range slices.Chunk(ts, packetSize) {
		p := transport.ParsePacket(raw)
		tables.Add(raw, p)
		if table := p.PID != 0 && tables.Holds(p); !table || !known {
			segment = append(segment, raw...)
			known = known || table
		}
	}
	var f Pictures
	f.SetSound(endedSound(t, heard))
	for n := range 2 {
		tracks := 0
		var tables transport.Tables
		for raw := range slices.Chunk(put(t, &f, segment), packetSize) {
			if pmt := tables.Add(raw, transport.ParsePacket(raw)); pmt != nil {
				tracks = len(pmt.ElementaryStreams)
			}
		}
		if tracks != 2 {
			t.Errorf("segment %d names %d tracks", n, tracks)
		}
	}
}

// What has sound of its own stays as it is, and what is cut off is told of by who reads it.
func TestPicturesWithSound(t *testing.T) {
	ts, _, _ := clip{frames: 50}.encode(t)
	var f Pictures
	f.SetSound(NewSound(SoundConfig{}))
	if got := put(t, &f, ts[:len(ts)-10]); !bytes.Equal(got, ts[:len(ts)-10]) {
		t.Errorf("%d bytes became %d", len(ts), len(got))
	}
	f.Begin()
	if _, err := f.Write(bytes.Repeat([]byte{1}, packetSize)); err == nil {
		t.Error("no error for what is no MPEG-TS")
	}
}

// Segments whose sound never comes are counted, and have pictures.
func TestPicturesWithoutSound(t *testing.T) {
	c := clip{frames: 50, noAudio: true}
	ts, want, _ := c.encode(t)
	s := NewSound(SoundConfig{})
	s.End()
	var f Pictures
	f.SetSound(s)
	got := put(t, &f, ts)
	if video, _ := demuxed(t, got); !slices.Equal(video, want) || f.MissingSound() != 1 {
		t.Errorf("%d pictures, %d segments without sound", len(video), f.MissingSound())
	}
}

// FuzzPictures: no bytes make it panic, or lose any.
func FuzzPictures(f *testing.F) {
	heard, _, _ := clip{frames: 50, noVideo: true}.encode(f)
	for _, c := range []clip{{frames: 12, gop: 5, noAudio: true}, {frames: 12, gop: 5}, {frames: 12, hevc: true, sps: sps265, noAudio: true}} {
		ts, _, _ := c.encode(f)
		f.Add(ts)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var p Pictures
		p.SetSound(endedSound(t, heard))
		defer p.SetSound(nil)
		p.Begin()
		out, err := p.Write(b)
		if err != nil {
			return
		}
		rest, err := p.End()
		if err != nil {
			return
		}
		if out = append(out, rest...); p.entry == nil && !bytes.Equal(out, b) {
			t.Errorf("%d bytes became %d", len(b), len(out))
		}
	})
}
