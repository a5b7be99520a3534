package transcode

import (
	"errors"
	"os"
	"testing"
)

func TestReadVersion(t *testing.T) {
	for _, tt := range []struct {
		out, version string
		ok           bool
	}{
		{"ffmpeg version 5.1.9-0+deb12u1 Copyright (c) 2000-2026\nbuilt with gcc", "5.1.9-0+deb12u1", true},
		{"ffmpeg version n7.1 Copyright", "n7.1", true},
		{"ffmpeg version 8.0 Copyright", "8.0", true},
		{"ffmpeg version 5.0.1 Copyright", "5.0.1", false},
		{"ffmpeg version 4.4.2-0ubuntu0.22.04.1 Copyright", "4.4.2-0ubuntu0.22.04.1", false},
		{"ffmpeg version N-109468-gd39b34123d Copyright", "N-109468-gd39b34123d", true},
		{"ffmpeg version git-2024-01-01 Copyright", "git-2024-01-01", true},
		{"avconv version 9", "of no version", false},
	} {
		if version, ok := readVersion(tt.out); version != tt.version || ok != tt.ok {
			t.Errorf("%q: %q, %v", tt.out, version, ok)
		}
	}
}

func TestPrepare(t *testing.T) {
	if name, err := newLadder(t, "copy", clip(t, 1), 240).Prepare(t.Context()); name != "libx264" || err != nil {
		t.Errorf("%q, %v", name, err)
	}
	var old *VersionError
	if _, err := newLadder(t, "old", clip(t, 1), 240).Prepare(t.Context()); !errors.As(err, &old) || old.Path != os.Args[0] {
		t.Errorf("an old ffmpeg: %v", err)
	}
	var encoder *EncoderError
	if _, err := newLadder(t, "broken", clip(t, 1), 240).Prepare(t.Context()); !errors.As(err, &encoder) || encoder.Name != "libx264" {
		t.Errorf("an ffmpeg that encodes nothing: %v", err)
	}
	l := newLadder(t, "copy", clip(t, 1), 240)
	l.cfg.Encoder = "h264_nvenc"
	if _, err := l.Prepare(t.Context()); !errors.As(err, &encoder) || encoder.Name != "h264_nvenc" {
		t.Errorf("an encoder that was asked for: %v", err)
	}
	l.cfg.FFmpeg = "no-such-program"
	if _, err := l.Prepare(t.Context()); !errors.Is(err, ErrNoFFmpeg) {
		t.Errorf("no ffmpeg: %v", err)
	}
}
