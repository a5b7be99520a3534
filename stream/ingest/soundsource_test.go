package ingest

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"
)

// timestamped is packed audio: frames as they are in MPEG-TS, after a tag with the timestamp.
func timestamped(pts int64, frames ...[]byte) []byte {
	content := []byte("com.apple.streaming.transportStreamTimestamp\x00")
	for shift := 56; shift >= 0; shift -= 8 {
		content = append(content, byte(pts>>shift))
	}
	frame := append([]byte{'P', 'R', 'I', 'V', 0, 0, 0, byte(len(content)), 0, 0}, content...)
	tag := append([]byte{'I', 'D', '3', 4, 0, 0, 0, 0, 0, byte(len(frame))}, frame...)
	return append(tag, bytes.Join(frames, nil)...)
}

// packed returns a clip's sound as packed audio, and its frames.
func packed(t testing.TB, c clip) (segment []byte, frames []frame) {
	t.Helper()
	ts, _, frames := c.encode(t)
	var raw [][]byte
	for _, f := range soundsIn(t, ts) {
		raw = append(raw, f.data)
	}
	return timestamped(frames[0].pts, raw...), frames
}

// Packed audio has the frames that MPEG-TS has, at the same times, however the bytes come.
func TestPackedAudio(t *testing.T) {
	for name, c := range map[string]clip{
		"AAC":  {},
		"MP3":  {audio: &codecs.MPEG1Audio{}},
		"AC-3": {audio: &codecs.AC3{}},
	} {
		t.Run(name, func(t *testing.T) {
			c.noVideo, c.frames, c.start = true, 50, 33*second
			segment, want := packed(t, c)
			for _, chunk := range []int{1, 100, len(segment)} {
				var src plainSound
				src.begin()
				var got []audioFrame
				take := func(list []audioFrame, _ codecs.Codec, detail audioFormat) {
					for _, f := range list {
						f.data = bytes.Clone(f.data)
						got = append(got, f)
					}
				}
				for b := range slices.Chunk(segment, chunk) {
					if err := src.write(b, take); err != nil {
						t.Fatal(err)
					}
				}
				if err := src.end(take); err != nil {
					t.Fatal(err)
				}
				if len(got) != len(want) {
					t.Fatalf("%d frames, want %d", len(got), len(want))
				}
				for n, f := range got {
					// Each chunk's times are whole ticks.
					if d := f.pts - want[n].pts; d < -int64(n)-1 || d > 1 {
						t.Errorf("frame %d is %d ticks off", n, d)
					}
				}
			}
		})
	}
}

// What begins with a tag that goes on, or has more than one, is understood; what is none is not.
func TestPackedAudioBegins(t *testing.T) {
	segment, _ := packed(t, clip{noVideo: true, frames: 10})
	other := append([]byte{'I', 'D', '3', 4, 0, 0, 0, 0, 1, 0}, make([]byte, 128)...)
	for name, tt := range map[string]struct {
		in   []byte
		want error
	}{
		"two tags":         {append(bytes.Clone(other), segment...), nil},
		"no tag":           {segment[73:], ErrNoTimestamp},
		"another tag":      {append(bytes.Clone(other), segment[73:]...), ErrNoTimestamp},
		"a page":           {[]byte("<html>we are busy</html>"), ErrNoTimestamp},
		"a timestamp only": {timestamped(1), ErrCutOff},
		"nothing":          {nil, ErrNoSound},
		"text":             {timestamped(1, []byte("some text that is no sound")), ErrNoSound},
	} {
		s := NewSound(SoundConfig{Patience: time.Second})
		if err := s.Init(nil); err != nil {
			t.Fatal(err)
		}
		s.Begin(false)
		_, err := s.Write(tt.in)
		if err == nil {
			err = s.Close()
		}
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	var codec *UnsupportedCodecError
	if _, err := packedCodec([]byte{0x0b, 0x77, 0, 0, 0, 16 << 3}); !errors.As(err, &codec) || codec.Codec != "E-AC-3" {
		t.Errorf("E-AC-3: %v", err)
	}
}

// Sound in MPEG-TS that is cut off, or of which packets are missing, is told or left out.
func TestDamagedSoundInMPEGTS(t *testing.T) {
	ts, _, frames := clip{noVideo: true, frames: 50}.encode(t)
	count := func(b []byte) (n int, err error) {
		var src plainSound
		src.begin()
		take := func(list []audioFrame, _ codecs.Codec, _ audioFormat) { n += len(list) }
		if err = src.write(b, take); err == nil {
			err = src.end(take)
		}
		return n, err
	}
	if n, err := count(ts); n != len(frames) || err != nil {
		t.Errorf("%d frames of %d: %v", n, len(frames), err)
	}
	if _, err := count(ts[:len(ts)-100]); !errors.Is(err, ErrCutOff) {
		t.Errorf("cut off: %v", err)
	}
	at := len(ts) / packetSize / 2 * packetSize
	if n, err := count(slices.Concat(ts[:at], ts[at+packetSize:])); n >= len(frames) || n < len(frames)-20 || err != nil {
		t.Errorf("%d frames of %d without a packet: %v", n, len(frames), err)
	}
	pictures, _, _ := clip{noAudio: true, frames: 10}.encode(t)
	if _, err := count(pictures); !errors.Is(err, ErrNoTracks) {
		t.Errorf("pictures: %v", err)
	}
}

// FuzzPlainSound: no bytes make it panic, or hand on frames of no sound.
func FuzzPlainSound(f *testing.F) {
	ts, _, _ := clip{noVideo: true, frames: 12}.encode(f)
	f.Add(ts)
	for _, c := range []clip{{}, {audio: &codecs.MPEG1Audio{}}, {audio: &codecs.AC3{}}} {
		c.noVideo, c.frames = true, 12
		segment, _ := packed(f, c)
		f.Add(segment)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var src plainSound
		take := func(list []audioFrame, codec codecs.Codec, detail audioFormat) {
			for _, a := range list {
				if len(a.data) == 0 || a.end <= a.pts || detail.rate <= 0 {
					t.Errorf("%+v of %T, %+v", a, codec, detail)
				}
			}
		}
		for range 2 {
			src.begin()
			if src.write(b, take) == nil {
				_ = src.end(take)
			}
		}
	})
}
