package ingest

import (
	"bytes"
	"errors"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"

	"github.com/grapevine-live/grapevine/stream"
)

func TestErrors(t *testing.T) {
	noKey, _, _ := clip{lead: 1000, frames: 1000}.encode(t)
	short, _, _ := clip{lead: 100, frames: 20}.encode(t)
	lateKey, _, _ := clip{gop: 2000, frames: 1000}.encode(t)
	mpeg4 := func(codec codecs.Codec) []byte {
		var b bytes.Buffer
		v := &mpegts.Track{Codec: codec}
		w := &mpegts.Writer{W: &b, Tracks: []*mpegts.Track{v, {Codec: aacStereo()}}}
		if err := w.Initialize(); err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			if err := w.WriteMPEG4Video(v, int64(i)*3600, []byte{0, 0, 1, 0xb3, 1, 2, 3}); err != nil {
				t.Fatal(err)
			}
		}
		return b.Bytes()
	}
	data := func(codec codecs.Codec) []byte {
		var b bytes.Buffer
		tr := &mpegts.Track{Codec: codec}
		w := &mpegts.Writer{W: &b, Tracks: []*mpegts.Track{tr}}
		if err := w.Initialize(); err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			if err := w.WriteKLV(tr, int64(i)*3600, []byte{1, 2, 3}); err != nil {
				t.Fatal(err)
			}
		}
		return b.Bytes()
	}
	tests := []struct {
		name  string
		input []byte
		want  error
	}{
		{"nothing", nil, ErrNotMPEGTS},
		{"text", bytes.Repeat([]byte("GRAPES GROW ON VINES\n"), 50000), ErrNotMPEGTS},
		{"short text", []byte("hello"), ErrNotMPEGTS},
		{"no keyframe", noKey, ErrNoKeyframe},
		{"ends before a keyframe", short, ErrNoKeyframe},
		{"no second keyframe", lateKey, ErrNoKeyframe},
		{"no tracks", data(&codecs.KLV{}), ErrNoTracks},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			parts, _, err := ingestAll(t, Config{}, tt.input)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if tt.want != ErrNoKeyframe && len(parts) > 0 {
				t.Errorf("%d parts", len(parts))
			}
			t.Log(err)
		})
	}
	for codec, name := range map[codecs.Codec]string{&codecs.MPEG4Video{}: "MPEG-4 part 2 video", &codecs.MPEG1Video{}: "MPEG-2 video"} {
		_, _, err := ingestAll(t, Config{}, mpeg4(codec))
		var unsupported *UnsupportedCodecError
		if !errors.As(err, &unsupported) || unsupported.Codec != name || unsupported.Kind != "video" {
			t.Errorf("got %v, want %s", err, name)
		}
	}
}

func TestPublishError(t *testing.T) {
	ts, _, _ := clip{frames: 100}.encode(t)
	i, err := New(Config{Input: "-", Stdin: bytes.NewReader(ts)})
	if err != nil {
		t.Fatal(err)
	}
	full := errors.New("full")
	if err := i.Run(t.Context(), func(stream.Part) error { return full }); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}
